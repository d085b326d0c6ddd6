"""A lower bound that needs no sets of a whole piece: windows of its storages, each solved with all others ignored.

The cost of a way is the sum of what its storages cost. Those first touched in a stretch of steps cost at least what
they would cost if nothing else took up room between two steps (`Piece.window`), so bounds of disjoint windows add up.
"""

from __future__ import annotations

from collections.abc import Sequence

from memplan.solver import Budget
from memplan_solvers.search.piece import NEVER, Piece

STRIDE = 50
"""Ops from one possible end of a window to the next, about."""

SPAN = 4
"""Strides of the longest windows."""

BEAMS = (30, 300, 3_000)

STATES = 60_000
"""States after which a window's search gives up; what is proved by then counts."""


def windows_bound(piece: Piece, order: Sequence[int], budget: Budget) -> int:
    """The best sum of bounds over consecutive windows of `order`."""
    ends = _ends(piece, order)
    first = [0] * len(piece.size)
    position = {i: t for t, i in enumerate(order)}
    for s, ops in enumerate(piece.touches):
        first[s] = 0 if piece.begun[s] or not ops else min(position[i] for i in ops)
    best = [0] * len(ends)
    for j in range(1, len(ends)):
        best[j] = best[j - 1]
        inner = 0
        for i in range(j - 1, max(j - 1 - SPAN, -1), -1):
            if budget.spent():
                return max(best)
            inside = [s for s, t in enumerate(first) if ends[i] <= t < ends[j]]
            inner, closed = _least(piece.window(inside), inner, budget)
            best[j] = max(best[j], best[i] + inner)
            if not closed:
                break
    return best[-1]


def _least(window: Piece, least: int, budget: Budget) -> tuple[int, bool]:
    """A lower bound on what the window costs, at least `least`, and whether its search came to an end."""
    from memplan_solvers.search.levels import Engine

    engine, below = Engine(window), NEVER
    for beam in BEAMS:
        found = engine.search(below, budget, beam, most=STATES)
        least = max(least, min(found.bound, below))
        below = below if found.value is None else found.value
        if found.complete:
            return least, True
    return least, False


def _ends(piece: Piece, order: Sequence[int]) -> list[int]:
    """Where windows may end: at steps with few live bytes, about a stride apart."""
    left = [len(ops) for ops in piece.touches]
    live = sum(z for z, there in zip(piece.size, piece.begun, strict=True) if there)
    level = []
    seen = list(piece.begun)
    for i in order:
        level.append(live)
        for s in piece.touched[i]:
            live += 0 if seen[s] else piece.size[s]
            seen[s] = True
            left[s] -= 1
            live -= 0 if left[s] or piece.closing[s] else piece.size[s]
    ends, n = [0], len(order)
    while n - ends[-1] > 2 * STRIDE:
        low, high = ends[-1] + 3 * STRIDE // 5, ends[-1] + 7 * STRIDE // 5
        ends.append(min(range(low, high), key=lambda t: (level[t], abs(t - ends[-1] - STRIDE))))
    return [*ends, n]
