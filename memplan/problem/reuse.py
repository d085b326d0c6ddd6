"""Overwriting of what is still wanted: legal where its bytes were stored before."""

from __future__ import annotations

from memplan.ir.sorting import precedes
from memplan.problem.problem import Problem


def overwrites_what_is_wanted(problem: Problem) -> bool:
    """Whether some plan could write an output over an operand that is an output too, or is used again later.

    Either must have been stored before, and what is used again is loaded again, which objectives without spills rule out
    unless ops reach it in the backing memory.
    """
    if problem.target.queues == 0:  # nothing is stored: each storage lies in one place
        return False
    objective, order = problem.options.objective, problem.options.order
    again = objective in ("traffic", "latency") or problem.target.direct
    for i, (_, over) in problem.overwriting.items():
        for s in map(problem.storages.__getitem__, over):
            if s.is_output and not s.resident:
                return True
            later = [
                j
                for j in s.uses
                if j > i or (j < i and order == "free" and not precedes(problem.preds, j, i))
            ]
            if again and later and not s.pinned:
                return True
    return False
