"""The hole to choose among the occupied spans of the scratchpad. Compiled."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from memplan_solvers.jit import inlined
from memplan_solvers.latency.arrays import Records

SPAN = np.dtype(
    [
        ("low", np.int64),  # bytes, where it begins
        ("high", np.int64),  # and ends
    ]
)


class Fit(IntEnum):
    """Which hole, and which end of it: the smallest that is large enough, or the first or the last that is."""

    BEST = 0
    BEST_FROM_ABOVE = 1
    LOWEST = 2
    HIGHEST_FROM_ABOVE = 3


@inlined
def choose_hole(spans: Records, count: int, size: int, capacity: int, fit: int) -> int:
    """The offset at which `size` bytes go between the first `count` spans, or -1; of equal holes the lowest is best.

    spans: SPAN, or any record with `low` and `high`, by ascending `low`; they may overlap. fit: a `Fit`.
    """
    best, slack, top = -1, NO_SLACK, 0
    for i in range(count + 1):
        low = high = capacity
        if i < count:
            low, high = spans[i].low, spans[i].high
        free = low - top
        if free >= size:
            if fit == Fit.HIGHEST_FROM_ABOVE:
                best = low - size
            elif fit == Fit.LOWEST:
                if best < 0:
                    best = top
            elif free - size < slack:
                best, slack = low - size if fit == Fit.BEST_FROM_ABOVE else top, free - size
        top = max(top, high)
    return best


NO_SLACK = 2**62
"""More bytes than any hole leaves over."""
