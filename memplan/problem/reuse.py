"""Overwriting of what is still wanted: legal where its bytes were stored before."""

from __future__ import annotations

from collections.abc import Sequence

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
                if j > i or (j < i and order == "free" and not _precedes(problem.preds, j, i))
            ]
            if again and later and not s.pinned:
                return True
    return False


def _precedes(preds: Sequence[Sequence[int]], j: int, i: int) -> bool:
    """Whether op `j`, which stands before op `i` in the program, comes before it in every order."""
    todo, seen = [i], {i}
    while todo:
        for k in preds[todo.pop()]:
            if k == j:
                return True
            if k > j and k not in seen:
                seen.add(k)
                todo.append(k)
    return False
