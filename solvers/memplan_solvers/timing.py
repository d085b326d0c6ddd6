"""From the step model to the timed one: stores get the time in which their storage is there anyway."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.problem.plan import Move, Residency
from memplan.problem.problem import Problem


def stretch_stores(
    problem: Problem, residencies: Sequence[Residency], moves: Sequence[Move]
) -> tuple[Move, ...] | None:
    """The moves with each store issued when its storage appears and due when it leaves.

    None where a storage leaves and returns between two steps: no copy fits in between.
    """
    first: dict[str, Residency] = {}
    later: dict[str, int] = {}
    for r in sorted(residencies, key=lambda r: r.start):
        if r.tensor not in first:
            first[r.tensor] = r
        else:
            later.setdefault(r.tensor, r.start)
    timed = []
    for move in moves:
        if not problem.is_load(move):
            start, stop = first[move.tensor].start, first[move.tensor].stop
            due = stop if later.get(move.tensor, stop + 1) > stop else stop - 1
            if due <= start:
                return None
            move = move._replace(issue=start + 1, due=due)
        timed.append(move)
    return tuple(sorted(timed, key=lambda m: (*problem.turn(m), m.tensor)))
