"""What is free in a draft. Compiled."""

from __future__ import annotations

from memplan_solvers.jit import inlined
from memplan_solvers.latency.draft import (
    ALIGNMENT,
    CAPACITY,
    OFFSET,
    SIZE,
    START,
    STOP,
    WIDTH,
    Draft,
)


@inlined
def is_free(draft: Draft, low: int, size: int, start: int, stop: int) -> bool:
    """Whether nothing lies in `[low, low + size)` during `[start, stop)`."""
    slot, block, filled, width = draft.slot, draft.block, draft.filled, draft.fact[WIDTH]
    b, last, free = start // width, min((stop - 1) // width, len(filled) - 1), True
    while free and b <= last and start < stop:
        for i in range(filled[b]):
            r = block[b, i]
            if slot[r, START] < stop and slot[r, STOP] > start and slot[r, OFFSET] < low + size:
                if slot[r, OFFSET] + slot[r, SIZE] > low:
                    free = False
        b += 1
    return free


@inlined
def gap(draft: Draft, size: int, start: int, stop: int, fit: int) -> int:
    """An offset free during `[start, stop)`, or -1: of the smallest gap, its lower end (fit < 5) or its upper end
    (5); the lowest of all (6); the highest of all (7)."""
    slot, block, filled, around, fresh = draft.slot, draft.block, draft.filled, draft.around, draft.fresh
    width, capacity, alignment = draft.fact[WIDTH], draft.fact[CAPACITY], draft.fact[ALIGNMENT]
    first, found = start // width, 0
    for b in range(first, min((stop - 1) // width, len(filled) - 1) + 1):
        since, more = b * width if b > first else 0, 0
        for i in range(filled[b]):
            fresh[more] = r = block[b, i]
            more += (slot[r, START] >= since) & (slot[r, START] < stop) & (slot[r, STOP] > start)
        i, found = found - 1, found + more
        for j in range(more):  # merged from above
            r = fresh[more - 1 - j]
            low, at = slot[r, OFFSET], i + more - j
            while i >= 0 and around[0, i] > low:
                around[0, at], around[1, at] = around[0, i], around[1, i]
                i -= 1
                at -= 1
            around[0, at], around[1, at] = low, low + slot[r, SIZE]
    best, slack, top = -1, 2**62, 0
    for i in range(found + 1):
        low = high = capacity
        if i < found:
            low, high = around[0, i], around[1, i]
        room = low - top
        if room >= size:
            if fit == 7 or (fit == 6 and best < 0):
                best = low - size if fit == 7 else top
            elif fit < 6 and room - size < slack:
                best, slack = low - size if fit == 5 else top, room - size
        top = max(top, high)
    return int(best - best % alignment)
