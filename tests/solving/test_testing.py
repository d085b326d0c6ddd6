"""Every registered solver conforms; a broken one is found out."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec, registry
from memplan.solving.solver import Solver
from memplan.solving.testing import ConformanceError, check_solver


@pytest.mark.slow(reason="runs the conformance suite of every solver")
@pytest.mark.parametrize("name", list(registry()))
def test_registered_solver_conforms(name: str) -> None:
    assert check_solver(name) > 100


@dataclass(frozen=True)
class Broken(Solver):
    """Greedy with one fault."""

    name: ClassVar[str] = "broken"
    summary: ClassVar[str] = "for tests"
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))
    fault: str = "none"

    def solve(self, problem: Problem, budget: Limits) -> Plan:
        plan = parse_spec("greedy").solve(problem, budget)
        if self.fault == "bound":
            return replace(plan, bound=plan.bound + 1e9)
        if self.fault == "overlap":
            return replace(plan, residencies=tuple(r._replace(offset=0) for r in plan.residencies))
        if self.fault == "gives up":
            return self.no_answer(problem, budget, Status.UNKNOWN, "tired")
        if self.fault == "lies":
            return self.no_answer(problem, budget, Status.INFEASIBLE, "no")
        if self.fault == "random":
            object.__setattr__(self, "fault", "random")
            count = self.__dict__.setdefault("_calls", 0)
            object.__setattr__(self, "_calls", count + 1)
            return replace(plan, reason=str(count))
        if self.fault == "slow" and problem.n > 1000:
            begin = time.thread_time()  # of work, which takes the longer the busier the machine is
            while time.thread_time() - begin < 2.5 and not budget.cancelled():
                pass
        return plan


@pytest.mark.slow(reason="runs the conformance suite of every solver")
def test_a_sound_solver_passes() -> None:
    assert check_solver(Broken()) > 50


FAULTS = ("bound", "overlap", "gives up", "lies", "random")


@pytest.mark.parametrize(
    "fault", [*FAULTS, pytest.param("slow", marks=pytest.mark.slow(reason="waits for a time limit"))]
)
def test_each_fault_is_found(fault: str) -> None:
    with pytest.raises(ConformanceError):
        check_solver(Broken(fault=fault))
