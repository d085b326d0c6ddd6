"""From the step model to the timed one: stores get the time in which their storage is there anyway."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.problem.plan import Move, Residency
from memplan.problem.problem import Problem


def stretch_stores(
    problem: Problem, residencies: Sequence[Residency], moves: Sequence[Move]
) -> tuple[Move, ...]:
    """The moves with each store issued when its storage appears and due when it leaves; it may return at that boundary."""
    first: dict[str, Residency] = {}
    for r in sorted(residencies, key=lambda r: r.start):
        first.setdefault(r.tensor, r)
    timed = []
    for move in moves:
        if not problem.is_load(move):
            born = first[move.tensor]
            move = move._replace(issue=born.start + 1, due=born.stop)
        timed.append(move)
    return tuple(sorted(timed, key=lambda m: (*problem.turn(m), m.tensor)))
