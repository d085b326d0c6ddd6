"""Memory space assignment where no kernel is compiled: by a process in which numba leaves kernels what they are, functions of Python."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings

from memplan.base.children import end_with_parent, start
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits

PATIENCE_S = 20.0
"""Seconds after which nobody waits any more; most nets take less than two."""


def assigned(problem: Problem) -> Plan | None:
    """The plan of `msa`, or None where it takes too long."""
    process = start(
        __name__,
        env={"NUMBA_DISABLE_JIT": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        answer, _ = process.communicate(pickle.dumps(problem), timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    plan: Plan | None = pickle.loads(answer) if process.returncode == 0 else None
    return plan


def main() -> None:
    """Answer the problem on stdin with a plan on stdout."""
    from memplan_solvers.latency.msa import Msa

    with warnings.catch_warnings(
        action="ignore"
    ):  # numpy's numbers say what they do where kernels say nothing
        plan = Msa().search(pickle.load(sys.stdin.buffer), Limits(float("inf")))
    sys.stdout.buffer.write(pickle.dumps(plan))


if __name__ == "__main__":
    end_with_parent()
    main()
