"""Memory space assignment where no kernel is compiled: by a process in which numba leaves kernels what they are, functions of Python."""

from __future__ import annotations

import pickle
import subprocess

from memplan.base.children import start
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits

SOLVER = "memplan_solvers.latency.msa"
"""The module that answers a problem on stdin with a plan on stdout."""

PATIENCE_S = 20.0
"""Seconds after which nobody waits any more; most nets take less than two."""


def assigned(problem: Problem, limits: Limits) -> Plan | None:
    """The plan of `msa`, or None where it takes too long; ops must be able to use host."""
    process = start(
        SOLVER,
        env={"NUMBA_DISABLE_JIT": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer, _ = process.communicate(pickle.dumps(problem), timeout=min(PATIENCE_S, limits.remaining_s))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    plan: Plan | None = pickle.loads(answer) if process.returncode == 0 else None
    return plan
