"""Dive, first fit and repair, compiled: packings of many buffers with little waste."""

from __future__ import annotations

import heapq
from typing import Annotated

import numpy as np

from memplan.base.units import MAX_BYTES
from memplan_solvers.common.arrays import Ints
from memplan_solvers.common.hole_kernel import NO_HOLE, past
from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.offsets.ejection_state import EjectionPool, Neighbours, PartialLayout


@kernel
def dive(
    order: Annotated[Ints, "buffers"],
    start: Annotated[Ints, "buffers"],
    stop: Annotated[Ints, "buffers"],
    size: Annotated[Ints, "buffers"],
    patience: int,
) -> Ints:
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


@inlined(allocates=False)
def _bucket(step: int, level: int, horizon: int) -> int:
    """Which bucket of a level a step is in, counted within the level."""
    return step * (1 << level) // horizon


@inlined(allocates=False)
def _spot(layout: PartialLayout, b: int, i: int) -> int:
    """Where buffer i is, or belongs, in the list of bucket b: ascending by offset and number."""
    box, row = layout.box, layout.row
    a, z, key = layout.first[b], layout.first[b] + layout.length[b], box[i].offset
    while a < z:
        mid = (a + z) // 2
        other = row[mid]
        if box[other].offset < key or (box[other].offset == key and other < i):
            a = mid + 1
        else:
            z = mid
    return int(a)


@inner(allocates=False)
def _enter(layout: PartialLayout, i: int) -> None:
    """Enter buffer i into the lists of all buckets that it overlaps, level by level."""
    row, first, length, mine = layout.row, layout.first, layout.length, layout.box[i]
    for level in range(layout.lowest, layout.levels):
        base = (1 << level) - 1
        last = _bucket(mine.stop - 1, level, layout.horizon)
        for b in range(base + _bucket(mine.begin, level, layout.horizon), base + last + 1):
            at = _spot(layout, b, i)
            for k in range(first[b] + length[b], at, -1):
                row[k] = row[k - 1]
            row[at] = i
            length[b] += 1


@inner(allocates=False)
def _leave(layout: PartialLayout, i: int) -> None:
    """Take buffer i out of the lists of all buckets that it overlaps."""
    row, first, length, mine = layout.row, layout.first, layout.length, layout.box[i]
    for level in range(layout.lowest, layout.levels):
        base = (1 << level) - 1
        last = _bucket(mine.stop - 1, level, layout.horizon)
        for b in range(base + _bucket(mine.begin, level, layout.horizon), base + last + 1):
            for k in range(_spot(layout, b, i), first[b] + length[b] - 1):
                row[k] = row[k + 1]
            length[b] -= 1


@inner(allocates=False)
def _find_neighbours(layout: PartialLayout, near: Neighbours, i: int) -> int:
    """List what lies and shares a step with buffer i; how many those are.

    Reads the finest two buckets beside each other that cover the buffer's lifetime.
    """
    box, row, horizon = layout.box, layout.row, layout.horizon
    who, low, high = near.who, near.low, near.high
    begin, stop = box[i].begin, box[i].stop
    level = layout.levels - 1
    while _bucket(stop - 1, level, horizon) - _bucket(begin, level, horizon) > 1:
        level -= 1
    step = _bucket(begin, level, horizon)
    b = (1 << level) - 1 + step
    p, last = layout.first[b], layout.first[b] + layout.length[b]
    q, end = layout.first[b], layout.first[b]
    if _bucket(stop - 1, level, horizon) > step:
        q, end = layout.first[b + 1], layout.first[b + 1] + layout.length[b + 1]
    # Whoever begins before the second bucket does is in the first as well.
    border = -(-(step + 1) * horizon // (1 << level))
    count = 0
    while True:
        while p < last and not (box[row[p]].begin < stop and box[row[p]].stop > begin):
            p += 1
        while q < end and not border <= box[row[q]].begin < stop:
            q += 1
        one = box[row[p]].offset if p < last else MAX_BYTES
        other = box[row[q]].offset if q < end else MAX_BYTES
        if one == MAX_BYTES and other == MAX_BYTES:
            return count
        if one <= other:
            j = row[p]
            p += 1
        else:
            j = row[q]
            q += 1
        who[count], low[count], high[count] = j, box[j].offset, box[j].end
        count += 1


@kernel(allocates=False)
def enter_all(layout: PartialLayout, order: Ints) -> None:
    """Enter the buffers of `order`, which is ascending by offset, into empty lists."""
    row, first, length, horizon = layout.row, layout.first, layout.length, layout.horizon
    for i in order:
        mine = layout.box[i]
        for level in range(layout.lowest, layout.levels):
            base = (1 << level) - 1
            last = _bucket(mine.stop - 1, level, horizon)
            for b in range(base + _bucket(mine.begin, level, horizon), base + last + 1):
                row[first[b] + length[b]] = i
                length[b] += 1


@kernel(allocates=False)
def fill(
    layout: PartialLayout,
    near: Neighbours,
    pool: EjectionPool,
    order: Ints,
    waiting: int,
    best_fit: bool,
) -> int:
    """Put the buffers of `order` each into its lowest hole below the target; who has none joins the queue: its length.

    `best_fit`: into the smallest hole between others instead, above all of them only where there is none.
    """
    box, low, high = layout.box, near.low, near.high
    for i in order:
        size = layout.size[i]
        count = _find_neighbours(layout, near, i)
        hole = NO_HOLE
        for k in range(count):
            hole = past(hole, low[k], high[k], size)
            if hole.offset >= 0 and not best_fit:
                break
        at = hole.offset if hole.offset >= 0 else hole.top
        if at <= layout.target - size:
            box[i].offset, box[i].end = at, at + size
            _enter(layout, i)
        else:
            pool.queue[waiting] = i
            waiting += 1
    return waiting


@inlined(allocates=False)
def _pop_hardest(pool: EjectionPool, waiting: int) -> int:
    """Take the one with the largest penalty, the first of those, out of a queue that is `waiting` + 1 long."""
    queue, penalty = pool.queue, pool.penalty
    most = waiting
    for k in range(waiting):
        if penalty[queue[k]] > penalty[queue[most]]:
            most = k
    i = queue[most]
    queue[most] = queue[waiting]
    return int(i)


@inlined(allocates=False)
def _sort_ends(near: Neighbours, pool: EjectionPool, count: int) -> None:
    """The ends of the neighbours, ascending, with their penalties; they are nearly sorted as they are."""
    who, high, end, worth, penalty = near.who, near.high, near.end, near.worth, pool.penalty
    for k in range(count):
        m = k
        while m > 0 and end[m - 1] > high[k]:
            end[m], worth[m] = end[m - 1], worth[m - 1]
            m -= 1
        end[m], worth[m] = high[k], penalty[who[k]]


@inlined(allocates=False)
def _cheapest_place(near: Neighbours, pool: EjectionPool, count: int, size: int, limit: int) -> int:
    """The offset, `limit` at most, at which `size` bytes meet neighbours of the least penalty in all.

    Tried are 0, the ends of neighbours, and the limit; `total` is what the place at x meets.
    """
    who, low, end, worth, penalty = near.who, near.low, near.end, near.worth, pool.penalty
    best, x, entered, gone, q = 0, 0, 0, 0, 0
    total, cost = 0.0, np.inf
    while True:
        x = min(x, limit)
        while entered < count and low[entered] < x + size:
            total += penalty[who[entered]]
            entered += 1
        while gone < count and end[gone] <= x:
            total -= worth[gone]
            gone += 1
        if total < cost:
            cost, best = total, x
        if x == limit or q == count:
            return best
        x = end[q]
        q += 1


@kernel(allocates=False)
def repair(layout: PartialLayout, near: Neighbours, pool: EjectionPool, waiting: int, moves: int) -> int:
    """Put the first `waiting` buffers of the queue below the target, in at most `moves` moves; how many still wait.

    The one with the largest penalty takes the smallest hole that it fits; where there is none it takes the place whose
    present holders have the smallest penalties, and they join the queue. Its own penalty grows, so that what is hard to
    place comes first and is not put out again soon (after the ejection pools of Nagata and Braysy, 2009).
    """
    box, who, low, high, queue = layout.box, near.who, near.low, near.high, pool.queue
    target = layout.target
    for _ in range(moves):
        if waiting == 0:
            break
        waiting -= 1
        i = _pop_hardest(pool, waiting)
        size = layout.size[i]
        count = _find_neighbours(layout, near, i)
        hole = NO_HOLE
        for k in range(count):
            hole = past(hole, low[k], high[k], size)
        at = past(hole, target, target, size).offset
        if at < 0:
            pool.penalty[i] += 1.0
            _sort_ends(near, pool, count)
            at = _cheapest_place(near, pool, count, size, target - size)
            for k in range(count):
                if low[k] < at + size and high[k] > at:
                    _leave(layout, who[k])
                    queue[waiting] = who[k]
                    waiting += 1
        box[i].offset, box[i].end = at, at + size
        _enter(layout, i)
    return waiting
