"""The smallest hole that is large enough, for kernels: `holes.smallest_hole`, one step of the walk at a time.

hole = NO_HOLE
for k in range(count):  # what lies, ascending by offset
    hole = past(hole, low[k], high[k], size)
hole = past(hole, capacity, capacity, size)
"""

from __future__ import annotations

from typing import NamedTuple

from memplan_solvers.jit import inlined


class Hole(NamedTuple):
    """The smallest hole met on the way up from 0, past what lies; all in bytes.

    The highest place in it is `offset + slack`.
    """

    offset: int  # where it begins, -1: none was large enough
    slack: int  # what it has more than was asked for
    top: int  # where the walk is: nothing that was passed ends above


NO_HOLE = Hole(-1, 0, 0)
"""Where every walk begins."""


@inlined(allocates=False)
def past(hole: Hole, low: int, high: int, size: int) -> Hole:
    """The smallest hole of at least `size` bytes, the lowest of those, once the walk has passed the bytes
    `[low, high)`.
    """
    spare = low - hole.top - size
    if spare >= 0 and (hole.offset < 0 or spare < hole.slack):
        return Hole(hole.top, spare, max(hole.top, high))
    return Hole(hole.offset, hole.slack, max(hole.top, high))
