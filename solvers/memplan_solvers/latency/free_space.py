"""What is free in a mutable layout. Compiled."""

from __future__ import annotations

from enum import IntEnum

from memplan_solvers.common.hole_kernel import NO_HOLE, Hole, past
from memplan_solvers.jit import inlined
from memplan_solvers.latency.mutable_layout import MutableLayout


class Fit(IntEnum):
    """Which hole, and which end of it: the smallest that is large enough, or the first or the last that is."""

    BEST = 0
    BEST_FROM_ABOVE = 1
    LOWEST = 2
    HIGHEST_FROM_ABOVE = 3


@inlined
def is_free(layout: MutableLayout, low: int, size: int, start: int, stop: int) -> bool:
    """Whether nothing lies in `[low, low + size)` during `[start, stop)`."""
    slots, block, live, width = layout.slots, layout.block, layout.live, layout.width
    b, last, free = start // width, min((stop - 1) // width, len(live) - 1), True
    while free and b <= last and start < stop:
        for i in range(live[b]):
            slot = slots[block[b, i]]
            if slot.start < stop and slot.stop > start and slot.offset < low + size:
                if slot.offset + slot.size > low:
                    free = False
        b += 1
    return free


@inlined
def find_hole(layout: MutableLayout, size: int, start: int, stop: int, fit: int) -> int:
    """An offset free during `[start, stop)`, negative if there is none; `fit`: a `Fit`."""
    offset = _choose_hole(layout, _gather_spans(layout, start, stop), size, fit)
    return int(offset - offset % layout.alignment)


@inlined
def _choose_hole(layout: MutableLayout, count: int, size: int, fit: int) -> int:
    """The offset at which `size` bytes go between the first `count` of `spans`, or -1; `fit`: a `Fit`."""
    hole, highest = NO_HOLE, -1
    for i in range(count + 1):
        low = high = layout.capacity
        if i < count:
            low, high = layout.spans[i].low, layout.spans[i].high
        hole = past(hole, low, high, size)
        if hole.offset >= 0 and fit == Fit.LOWEST:
            break
        if hole.offset >= 0 and fit == Fit.HIGHEST_FROM_ABOVE:
            highest, hole = hole.offset + hole.slack, Hole(-1, 0, hole.top)
    if fit == Fit.HIGHEST_FROM_ABOVE:
        return highest
    return hole.offset + hole.slack if fit == Fit.BEST_FROM_ABOVE else hole.offset


@inlined
def _gather_spans(layout: MutableLayout, start: int, stop: int) -> int:
    """Fill `spans` with what lies in the scratchpad during `[start, stop)`, by offset; how many they are."""
    slots, block, live, fresh, spans = layout.slots, layout.block, layout.live, layout.fresh, layout.spans
    width, found = layout.width, 0
    first = start // width
    for b in range(first, min((stop - 1) // width, len(live) - 1) + 1):
        since, more = b * width if b > first else 0, 0
        for i in range(live[b]):
            fresh[more] = r = block[b, i]
            more += (slots[r].start >= since) & (slots[r].start < stop) & (slots[r].stop > start)
        i, found = found - 1, found + more
        for j in range(more):  # merged from above
            slot = slots[fresh[more - 1 - j]]
            low, at = slot.offset, i + more - j
            while i >= 0 and spans[i].low > low:
                spans[at] = spans[i]
                i -= 1
                at -= 1
            spans[at].low, spans[at].high = low, low + slot.size
    return found
