"""A lower bound that needs no sets of a whole subproblem: windows of its storages, each solved with all others ignored.

The cost of a way is the sum of what its storages cost. Those first touched in a stretch of steps cost at
least what they would cost if nothing else took up room between two steps (`Subproblem.window`), so bounds of
disjoint windows add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, pairwise

from memplan.solving.limits import Limits
from memplan_solvers.search.subproblem import PROHIBITIVE, Subproblem

STRIDE = 20
"""Ops from one possible end of a window to the next."""

SPAN = 5
"""Strides of the longest windows."""

BEAMS = (30, 300, 3_000)

STATES = 12_000
"""States after which a window's search gives up; what is proved by then counts."""


def windows_bound(subproblem: Subproblem, order: Sequence[int], limits: Limits) -> int:
    """The best sum of bounds over consecutive windows of `order`: the short windows first, as long as time allows."""
    ends = [*range(0, len(order), STRIDE), len(order)]
    position = {i: t for t, i in enumerate(order)}
    first = [
        0 if begun or not ops else min(position[i] for i in ops)
        for begun, ops in zip(subproblem.begun, subproblem.touches, strict=True)
    ]
    count = len(ends) - 1
    inside = [[s for s, t in enumerate(first) if a <= t < b] for a, b in pairwise(ends)]
    least: dict[tuple[int, int], int] = {(i, i): 0 for i in range(count + 1)}
    hard: set[tuple[int, int]] = set()
    for span in range(1, min(SPAN, count) + 1):
        for i in range(count - span + 1):
            j = i + span
            known = (
                max(least[i, k] + least[k, j] for k in range(i, j + 1) if k not in (i, j)) if span > 1 else 0
            )
            least[i, j] = known
            if limits.spent():
                continue
            if (i, j - 1) in hard or (i + 1, j) in hard:
                hard.add((i, j))
                continue
            least[i, j], closed = _least(subproblem.window(chain.from_iterable(inside[i:j])), known, limits)
            if not closed:
                hard.add((i, j))
    best = [0] * (count + 1)
    for j in range(1, count + 1):
        best[j] = max(best[i] + least[i, j] for i in range(max(0, j - SPAN), j))
    return best[-1]


def _least(window: Subproblem, least: int, limits: Limits) -> tuple[int, bool]:
    """A lower bound on what the window costs, at least `least`, and whether its search came to an end."""
    from memplan_solvers.search.engine import Engine
    from memplan_solvers.search.layered_search import search_layers

    engine, below = Engine(window), PROHIBITIVE
    for beam in BEAMS:
        found = search_layers(engine, below, limits, beam, most=STATES)
        least = max(least, min(found.bound, below))
        below = below if found.value is None else found.value
        if found.complete:
            return least, True
    return least, False
