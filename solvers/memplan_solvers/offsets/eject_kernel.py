"""Dive, first fit and repair, compiled: packings of many buffers with little waste. Memory is linear in the buffers.

`box` has a row per buffer: its first step, the one after its last, its offset and its end. Steps are numbered
0 .. horizon - 1; level l cuts them into 2^l buckets, for `lowest` <= l < `levels`. The bucket b of level l lists what
lies and overlaps it in `row`, from `first[2^l - 1 + b]`, ascending by offset, `length[2^l - 1 + b]` long.
"""

from __future__ import annotations

import heapq

import numba
import numpy as np

from memplan_solvers.jit import kernel


@kernel
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
def _spot(i, box, row, begin, length):  # type: ignore[no-untyped-def]
    """Where buffer i is, or belongs, among `length` entries of `row` from `begin`, ascending by offset and number."""
    a, b, key = begin, begin + length, box[i, 2]
    while a < b:
        mid = (a + b) // 2
        other = row[mid]
        if box[other, 2] < key or (box[other, 2] == key and other < i):
            a = mid + 1
        else:
            b = mid
    return a


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _lay(i, box, horizon, lowest, levels, first, length, row, put):  # type: ignore[no-untyped-def]
    """Put buffer i into (or take it from) the rows of all buckets that it overlaps, level by level."""
    for level in range(lowest, levels):
        base = (1 << level) - 1
        begin, last = box[i, 0] * (1 << level) // horizon, (box[i, 1] - 1) * (1 << level) // horizon
        for b in range(base + begin, base + last + 1):
            end = first[b] + length[b]
            at = _spot(i, box, row, first[b], length[b])
            if put:
                for k in range(end, at, -1):
                    row[k] = row[k - 1]
                row[at] = i
                length[b] += 1
            else:
                for k in range(at, end - 1):
                    row[k] = row[k + 1]
                length[b] -= 1


@numba.njit(nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _beside(i, box, horizon, levels, first, length, row, found, low, high):  # type: ignore[no-untyped-def]
    """List what lies and shares a step with buffer i, ascending by offset, offsets and ends too; how many those are.

    Reads the finest two neighbouring buckets that cover the buffer's lifetime.
    """
    a, z = box[i, 0], box[i, 1]
    level = levels - 1
    while (z - 1) * (1 << level) // horizon - a * (1 << level) // horizon > 1:
        level -= 1
    step = a * (1 << level) // horizon
    b = (1 << level) - 1 + step
    wide = (z - 1) * (1 << level) // horizon > step
    p, last = first[b], first[b] + length[b]
    q, end = (first[b + 1], first[b + 1] + length[b + 1]) if wide else (0, 0)
    # Whoever begins before the second bucket does is in the first as well.
    border = -(-(step + 1) * horizon // (1 << level))
    count, beyond = 0, np.int64(1) << 62
    while True:
        while p < last and not (box[row[p], 0] < z and box[row[p], 1] > a):
            p += 1
        while q < end and not border <= box[row[q], 0] < z:
            q += 1
        one, other = box[row[p], 2] if p < last else beyond, box[row[q], 2] if q < end else beyond
        if one == beyond and other == beyond:
            return count
        if one <= other:
            j = row[p]
            p += 1
        else:
            j = row[q]
            q += 1
        found[count], low[count], high[count] = j, box[j, 2], box[j, 3]
        count += 1


@kernel
def lay_all(box, horizon, lowest, levels, first, length, row, order):  # type: ignore[no-untyped-def]
    """Put the buffers of `order`, which is ascending by offset, into empty rows."""
    for i in order:
        for level in range(lowest, levels):
            base = (1 << level) - 1
            begin, last = box[i, 0] * (1 << level) // horizon, (box[i, 1] - 1) * (1 << level) // horizon
            for b in range(base + begin, base + last + 1):
                row[first[b] + length[b]] = i
                length[b] += 1


@kernel
def fill(  # type: ignore[no-untyped-def]
    box, horizon, lowest, levels, first, length, row, size, target, order, queue, waiting
):
    """Put the buffers of `order` each into its lowest hole below `target`; who has none joins the queue: its length."""
    found = np.empty(size.size, np.int32)
    low, high = np.empty(size.size, np.int64), np.empty(size.size, np.int64)
    for i in order:
        count = _beside(i, box, horizon, levels, first, length, row, found, low, high)
        at = np.int64(0)
        for k in range(count):
            if low[k] - at >= size[i]:
                break
            at = max(at, high[k])
        if at <= target - size[i]:
            box[i, 2], box[i, 3] = at, at + size[i]
            _lay(i, box, horizon, lowest, levels, first, length, row, True)
        else:
            queue[waiting] = i
            waiting += 1
    return waiting


@kernel
def repair(  # type: ignore[no-untyped-def]
    box, horizon, lowest, levels, first, length, row, size, target, moves, queue, waiting, penalty
):
    """Put the first `waiting` buffers of the queue below `target`, in at most `moves` moves; how many still wait.

    The one with the largest penalty takes the smallest hole that it fits; where there is none it takes the place whose
    present holders have the smallest penalties, and they join the queue. Its own penalty grows, so that what is hard to
    place comes first and is not put out again soon (after the ejection pools of Nagata and Braysy, 2009).
    """
    found = np.empty(size.size, np.int32)
    low, high, ends = (
        np.empty(size.size, np.int64),
        np.empty(size.size, np.int64),
        np.empty(size.size, np.int64),
    )
    worth = np.empty(size.size, np.float64)
    for _ in range(moves):
        if waiting == 0:
            break
        waiting -= 1
        most = waiting
        for k in range(waiting):
            if penalty[queue[k]] > penalty[queue[most]]:
                most = k
        i, queue[most] = queue[most], queue[waiting]
        need, limit = size[i], target - size[i]
        count = _beside(i, box, horizon, levels, first, length, row, found, low, high)
        at, best, slack = np.int64(0), np.int64(-1), np.int64(0)
        for k in range(count):
            room = low[k] - at - need
            if room >= 0 and (best < 0 or room < slack):
                best, slack = at, room
            at = max(at, high[k])
        if at <= limit and (best < 0 or limit - at < slack):
            best = at
        if best < 0:
            penalty[i] += 1.0
            for k in range(count):  # by end: nearly sorted as they are
                m = k
                while m > 0 and ends[m - 1] > high[k]:
                    ends[m], worth[m] = ends[m - 1], worth[m - 1]
                    m -= 1
                ends[m], worth[m] = high[k], penalty[found[k]]
            # Windows that begin at 0, at an end or as high as may be; `total` is what the one from x meets.
            entered, gone, total, cost, x, q = 0, 0, 0.0, np.inf, np.int64(0), 0
            while True:
                x = min(x, limit)
                while entered < count and low[entered] < x + need:
                    total += penalty[found[entered]]
                    entered += 1
                while gone < count and ends[gone] <= x:
                    total -= worth[gone]
                    gone += 1
                if total < cost:
                    cost, best = total, x
                if x == limit or q == count:
                    break
                x = ends[q]
                q += 1
            for k in range(count):
                if low[k] < best + need and high[k] > best:
                    _lay(found[k], box, horizon, lowest, levels, first, length, row, False)
                    queue[waiting] = found[k]
                    waiting += 1
        box[i, 2], box[i, 3] = best, best + need
        _lay(i, box, horizon, lowest, levels, first, length, row, True)
    return waiting
