"""What is free in a draft. Compiled."""

from __future__ import annotations

import numba

from memplan_solvers.latency.draft import (
    ALIGNMENT,
    CAPACITY,
    COUNT,
    FEW,
    OFFSET,
    SIZE,
    START,
    STOP,
    WIDTH,
    Draft,
)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
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


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def gap(draft: Draft, size: int, start: int, stop: int, fit: int) -> int:
    """An offset free during `[start, stop)`, or -1: of the smallest gap, its lower end (fit < 5) or its upper end
    (5); the lowest of all (6); the highest of all (7)."""
    slot, block, filled, around, by_offset = draft.slot, draft.block, draft.filled, draft.around, draft.by_offset
    width, capacity, alignment = draft.fact[WIDTH], draft.fact[CAPACITY], draft.fact[ALIGNMENT]
    first, last = start // width, min((stop - 1) // width, len(filled) - 1)
    entries, found = 0, 0
    for b in range(first, last + 1):
        entries += filled[b]
    few, total = entries <= FEW, draft.fact[COUNT]
    if few:
        for b in range(first, last + 1):
            for i in range(filled[b]):
                r = block[b, i]
                if slot[r, START] < stop and slot[r, STOP] > start and (b == first or slot[r, START] // width == b):
                    low, j = slot[r, OFFSET], found
                    while j > 0 and around[0, j - 1] > low:
                        around[0, j], around[1, j] = around[0, j - 1], around[1, j - 1]
                        j -= 1
                    around[0, j], around[1, j] = low, low + slot[r, SIZE]
                    found += 1
        total = found
    best, slack, top = -1, 2**62, 0
    for i in range(total + 1):
        low = high = capacity
        if i < total:
            if few:
                low, high = around[0, i], around[1, i]
            else:
                r = by_offset[i]
                if slot[r, START] >= stop or slot[r, STOP] <= start:
                    continue
                low, high = slot[r, OFFSET], slot[r, OFFSET] + slot[r, SIZE]
        room = low - top
        if room >= size:
            if fit == 7 or (fit == 6 and best < 0):
                best = low - size if fit == 7 else top
            elif fit < 6 and room - size < slack:
                best, slack = low - size if fit == 5 else top, room - size
        top = max(top, high)
    return int(best - best % alignment)
