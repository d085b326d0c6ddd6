"""Dive and repair, compiled: packings of many buffers with little waste. Memory is linear in the buffers."""

from __future__ import annotations

import heapq

import numba
import numpy as np

LEFT, PLACED = 0, 1
"""Places of `state`: how many buffers wait in the queue, and how many lie in the packing."""


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def dive(order, start, stop, size, patience):  # type: ignore[no-untyped-def]
    """Offsets where the buffer whose lowest place is lowest goes next, the first in `order` of those.

    Buffers are sorted by start. O(n^2) time in a loop that the processor does four at a time; empty where
    buffers had to be put back more than `patience` times in all.
    """
    n = size.size
    low, offset = np.zeros(n, np.int64), np.full(n, -1, np.int64)
    heap = [(np.int64(0), np.int64(r)) for r in range(n)]
    while len(heap) > 0:
        at, r = heapq.heappop(heap)
        i = order[r]
        if low[i] != at:
            patience -= 1
            if patience < 0:
                return np.zeros(0, np.int64)
            heapq.heappush(heap, (low[i], r))
            continue
        offset[i] = at
        top, begin, last = at + size[i], start[i], np.searchsorted(start, stop[i])
        for j in range(last):
            low[j] = max(low[j], top) if stop[j] > begin else low[j]
    return offset


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator,unused-ignore]
def _insert(row, length, value, keys):  # type: ignore[no-untyped-def]
    """Put `value` into the first `length` entries of `row`, ascending by key."""
    a, b = 0, length
    while a < b:
        mid = (a + b) // 2
        if keys[row[mid]] <= keys[value]:
            a = mid + 1
        else:
            b = mid
    for k in range(length, a, -1):
        row[k] = row[k - 1]
    row[a] = value


@numba.njit(nogil=True, inline="always")  # type: ignore[untyped-decorator,unused-ignore]
def _remove(row, length, value, keys):  # type: ignore[no-untyped-def]
    """Take `value` out of the first `length` entries of `row`."""
    a, b = 0, length
    while a < b:
        mid = (a + b) // 2
        if keys[row[mid]] < keys[value]:
            a = mid + 1
        else:
            b = mid
    while row[a] != value:
        a += 1
    for k in range(a, length - 1):
        row[k] = row[k + 1]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def repair(start, stop, size, target, moves, offset, end, queue, by_offset, by_end, penalty, state):  # type: ignore[no-untyped-def]
    """Put the `state[LEFT]` buffers of the queue below `target`, in at most `moves` moves; how many still wait.

    The last in the queue takes the smallest hole that it fits; where there is none it takes the place whose
    present holders have the smallest penalties, and they join the queue. Its own penalty grows, so that what is hard to
    place is not put out again soon (after the ejection pools of Nagata and Braysy, 2009).
    by_offset, by_end: the `state[PLACED]` buffers that lie, ascending by offset and by end.
    """
    n = size.size
    rising, falling = np.empty(n, np.int64), np.empty(n, np.int64)
    for _ in range(moves):
        if state[LEFT] == 0:
            break
        state[LEFT] -= 1
        i = queue[state[LEFT]]
        a, z, need, limit = start[i], stop[i], size[i], target - size[i]
        found, at, best, slack = 0, np.int64(0), np.int64(-1), np.int64(0)
        for k in range(state[PLACED]):
            j = by_offset[k]
            if start[j] < z and stop[j] > a:
                rising[found] = j
                found += 1
                room = offset[j] - at - need
                if room >= 0 and (best < 0 or room < slack):
                    best, slack = at, room
                at = max(at, end[j])
        if at <= limit and (best < 0 or limit - at < slack):
            best = at
        if best < 0:
            penalty[i] += 1.0
            q = 0
            for k in range(state[PLACED]):
                j = by_end[k]
                if start[j] < z and stop[j] > a:
                    falling[q] = j
                    q += 1
            # Windows that begin at 0, at an end or as high as may be; `cost` is what the one from x meets.
            entered, gone, total, cost, x, q = 0, 0, 0.0, np.inf, np.int64(0), 0
            while True:
                x = min(x, limit)
                while entered < found and offset[rising[entered]] < x + need:
                    total += penalty[rising[entered]]
                    entered += 1
                while gone < found and end[falling[gone]] <= x:
                    total -= penalty[falling[gone]]
                    gone += 1
                if total < cost:
                    cost, best = total, x
                if x == limit or q == found:
                    break
                x = end[falling[q]]
                q += 1
            for k in range(found):
                j = rising[k]
                if offset[j] < best + need and end[j] > best:
                    _remove(by_offset, state[PLACED], j, offset)
                    _remove(by_end, state[PLACED], j, end)
                    state[PLACED] -= 1
                    queue[state[LEFT]] = j
                    state[LEFT] += 1
        offset[i], end[i] = best, best + need
        _insert(by_offset, state[PLACED], i, offset)
        _insert(by_end, state[PLACED], i, end)
        state[PLACED] += 1
    return state[LEFT]
