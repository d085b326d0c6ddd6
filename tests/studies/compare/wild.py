"""Solvers that misbehave, and a slow one: installed beside memplan as a third party's would be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver

SOURCE = Path(__file__)


@dataclass(frozen=True)
class Wild(Solver):
    """Greedy, after something has gone wrong; but not on the graph of a first run."""

    name: ClassVar[str] = "wild"
    summary: ClassVar[str] = "for tests"

    fault: str = "none"

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        if problem.graph.name != "chain12":
            self._go_wrong()
        plan = parse_spec("greedy").solve(problem, limits)
        if self.fault == "overlap":
            return replace(plan, residencies=tuple(r._replace(offset=0) for r in plan.residencies))
        return replace(plan, solver=self.spec)

    def _go_wrong(self) -> None:
        print("something on stdout")
        if self.fault == "slow":
            time.sleep(0.3)
        if self.fault == "hang":
            while True:
                time.sleep(1)
        if self.fault == "raise":
            raise RuntimeError("a bug")
        if self.fault == "segfault":
            os.kill(os.getpid(), 11)
        if self.fault == "memory":
            hog = []
            while True:
                hog.append(bytearray(b"x" * 10_000_000))
        if self.fault == "child":  # the memory is eaten by somebody else, who outlives a parent that dies
            code = "import time; x = bytearray(b'x' * 600_000_000); time.sleep(60)"
            subprocess.run([sys.executable, "-c", code])
