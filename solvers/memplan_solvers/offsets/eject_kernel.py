"""Dive and repair, compiled: packings of many buffers with little waste. Memory is linear in the buffers."""

from __future__ import annotations

import heapq

import numba
import numpy as np


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


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _spot(row, begin, length, value, keys):  # type: ignore[no-untyped-def]
    """Where `value` is, or belongs, among `length` entries of `row` from `begin`, ascending by key and number."""
    a, b, key = begin, begin + length, keys[value]
    while a < b:
        mid = (a + b) // 2
        other = row[mid]
        if keys[other] < key or (keys[other] == key and other < value):
            a = mid + 1
        else:
            b = mid
    return a


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _lay(i, start, stop, horizon, levels, first, length, row, keys, put):  # type: ignore[no-untyped-def]
    """Put buffer i into (or take it from) the sorted rows of all buckets of steps that it overlaps, level by level."""
    for level in range(levels):
        base = (1 << level) - 1
        for b in range(start[i] * (1 << level) // horizon, (stop[i] - 1) * (1 << level) // horizon + 1):
            begin, count = first[base + b], length[base + b]
            at = _spot(row, begin, count, i, keys)
            if put:
                for k in range(begin + count, at, -1):
                    row[k] = row[k - 1]
                row[at] = i
                length[base + b] = count + 1
            else:
                for k in range(at, begin + count - 1):
                    row[k] = row[k + 1]
                length[base + b] = count - 1


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _beside(i, start, stop, horizon, levels, first, length, row, keys, found):  # type: ignore[no-untyped-def]
    """Fill `found` with what lies and shares a step with buffer i, ascending by key; how many those are.

    Reads the finest two neighbouring buckets that cover the buffer's lifetime.
    """
    a, z = start[i], stop[i]
    level = levels - 1
    while (z - 1) * (1 << level) // horizon - a * (1 << level) // horizon > 1:
        level -= 1
    b = (1 << level) - 1 + a * (1 << level) // horizon
    wide = (z - 1) * (1 << level) // horizon > a * (1 << level) // horizon
    p, last = first[b], first[b] + length[b]
    q, end = (first[b + 1], first[b + 1] + length[b + 1]) if wide else (0, 0)
    # Whoever begins before the second bucket does is in the first as well.
    border = -(-(a * (1 << level) // horizon + 1) * horizon // (1 << level))
    count = 0
    while p < last or q < end:
        if q < end and start[row[q]] < border:
            q += 1
            continue
        if p < last and (q >= end or keys[row[p]] <= keys[row[q]]):
            j = row[p]
            p += 1
        else:
            j = row[q]
            q += 1
        if start[j] < z and stop[j] > a:
            found[count] = j
            count += 1
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def lay_all(start, stop, horizon, levels, first, length, row, keys, order):  # type: ignore[no-untyped-def]
    """Put the buffers of `order`, which is ascending by key, into empty rows."""
    for i in order:
        for level in range(levels):
            base = (1 << level) - 1
            for b in range(start[i] * (1 << level) // horizon, (stop[i] - 1) * (1 << level) // horizon + 1):
                row[first[base + b] + length[base + b]] = i
                length[base + b] += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def settle(  # type: ignore[no-untyped-def]
    start, stop, horizon, levels, first, target, offset, end, queue, length, by_offset, by_end, order
):  # fmt: skip
    """Put the buffers of `order` where they were, below `target` and beside what lies; the others queue: how many."""
    found, waiting = np.empty(start.size, np.int64), 0
    for i in order:
        free = end[i] <= target
        if free:
            for k in range(_beside(i, start, stop, horizon, levels, first, length[0], by_offset, offset, found)):
                j = found[k]
                if offset[j] < end[i] and end[j] > offset[i]:
                    free = False
                    break
        if free:
            _lay(i, start, stop, horizon, levels, first, length[0], by_offset, offset, True)
            _lay(i, start, stop, horizon, levels, first, length[1], by_end, end, True)
        else:
            queue[waiting] = i
            waiting += 1
    return waiting


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def repair(  # type: ignore[no-untyped-def]
    start, stop, size, horizon, levels, first, target, moves, offset, end, queue, waiting, length, by_offset, by_end, penalty
):  # fmt: skip
    """Put the `waiting` last buffers of the queue below `target`, in at most `moves` moves; how many still wait.

    The last in the queue takes the smallest hole that it fits; where there is none it takes the place whose
    present holders have the smallest penalties, and they join the queue. Its own penalty grows, so that what is hard to
    place is not put out again soon (after the ejection pools of Nagata and Braysy, 2009).
    Steps are numbered 0 .. horizon - 1; level l of `levels` cuts them into 2^l buckets, whose rows of what lies begin
    at `first` in `by_offset` and `by_end`, ascending by offset and end, `length[0]` and `length[1]` long.
    """
    n = size.size
    rising, falling = np.empty(n, np.int64), np.empty(n, np.int64)
    for _ in range(moves):
        if waiting == 0:
            break
        waiting -= 1
        i = queue[waiting]
        need, limit = size[i], target - size[i]
        found = _beside(i, start, stop, horizon, levels, first, length[0], by_offset, offset, rising)
        at, best, slack = np.int64(0), np.int64(-1), np.int64(0)
        for k in range(found):
            j = rising[k]
            room = offset[j] - at - need
            if room >= 0 and (best < 0 or room < slack):
                best, slack = at, room
            at = max(at, end[j])
        if at <= limit and (best < 0 or limit - at < slack):
            best = at
        if best < 0:
            penalty[i] += 1.0
            _beside(i, start, stop, horizon, levels, first, length[1], by_end, end, falling)
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
                    _lay(j, start, stop, horizon, levels, first, length[0], by_offset, offset, False)
                    _lay(j, start, stop, horizon, levels, first, length[1], by_end, end, False)
                    queue[waiting] = j
                    waiting += 1
        offset[i], end[i] = best, best + need
        _lay(i, start, stop, horizon, levels, first, length[0], by_offset, offset, True)
        _lay(i, start, stop, horizon, levels, first, length[1], by_end, end, True)
    return waiting
