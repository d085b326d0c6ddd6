"""What is free in a mutable layout. Compiled."""

from __future__ import annotations

from memplan_solvers.jit import inlined
from memplan_solvers.latency.holes import choose_hole
from memplan_solvers.latency.mutable_layout import MutableLayout


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
    offset = choose_hole(layout.spans, _gather_spans(layout, start, stop), size, layout.capacity, fit)
    return int(offset - offset % layout.alignment)


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
