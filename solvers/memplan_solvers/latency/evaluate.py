"""The latency of a layout, compiled: `memplan.simulate`, which is the judge, on flat arrays; linear in ops +
touches + copies.

A copy j, done in FIFO order, is done at F(j) = max(F(j-1), A(its issue)) + its copy time, where A(t) is the copy
capacity before step t; and step t waits until A reaches the largest F due there.

Plans may list the copies issued at one boundary in any order. Layouts are the plans that list stores first,
by storage, and
then loads: so each store is before the loads that read its copy, or fill what it leaves. What is fixed is
there for each touch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Floats, Ints, Records
from memplan_solvers.jit import borrow, inlined, inner, kernel
from memplan_solvers.latency.arrays import LatencyArrays


class OpTimes(NamedTuple):
    """What each op takes under a layout, in seconds."""

    bus: Floats  # [n], of its accesses in host
    busy: Floats  # [n], the whole op


class OrderedCopies(NamedTuple):
    """The copies of a layout in FIFO order: by the boundary at which they are issued, stores before loads."""

    first: Ints  # [2 n + 3], copies first[2 t] … first[2 t + 2] - 1 are issued at boundary t, the loads from first[2 t + 1] on
    seconds: Floats  # [q]
    due: Ints  # [q], the step that waits for it
    is_store: Flags  # [q]
    source: Ints  # [q], the residency that a load begins, the storage of a store


LOADS, STORES = 0, 1
"""The lanes of `Lanes`."""


class Lanes(NamedTuple):
    """Two queues that share the bus, one of LOADS and one of STORES."""

    copies: Ints  # [2, q], copies of each lane in order
    length: Ints  # [2], how many have begun to queue
    head: Ints  # [2], how many of them are done
    left: Floats  # [q], seconds that each copy still takes
    after: Ints  # [q], how many stores must be done before each load starts
    waiting: Ints  # [n + 1], copies due at each step and not done


@inlined
def is_loaded(arrays: LatencyArrays, s: int, start: int) -> bool:
    """Whether a residency of s that begins at `start` begins with a load."""
    return bool(start != arrays.producer[s] and not arrays.given[s])


@inlined
def first_touch(arrays: LatencyArrays, s: int, start: int) -> int:
    """The first step at or after `start` that touches s, n if none does."""
    for k in range(arrays.touch_row[s], arrays.touch_row[s + 1]):
        if arrays.touch[k] >= start:
            return int(arrays.touch[k])
    return arrays.n


@kernel
def first_dues(arrays: LatencyArrays, residencies: Records) -> Ints:
    """The first touch of each residency, RESIDENCY[r], which the load with which it begins may be due at, int64[r]; -1
    where it begins with none."""
    arrays, residencies = borrow(arrays), borrow(residencies)
    due = np.full(len(residencies), -1)
    for r in range(len(residencies)):
        s, start = residencies[r].storage, residencies[r].start
        if is_loaded(arrays, s, start):
            due[r] = first_touch(arrays, s, start)
    return due


@inner
def op_times(arrays: LatencyArrays, residencies: Records, dues: Ints) -> OpTimes:
    """What each op takes with these residencies, RESIDENCY[r], and dues of their loads, int64[r]."""
    touch_row, touch = arrays.touch_row, arrays.touch
    fast = np.zeros(len(touch), np.bool_)
    for r in range(len(residencies)):
        s, ready, stop = residencies[r].storage, max(residencies[r].start, dues[r]), residencies[r].stop
        for k in range(touch_row[s], touch_row[s + 1]):
            if touch[k] >= ready:
                if touch[k] >= stop:
                    break
                fast[k] = True
    bus, near = arrays.base_host.copy(), np.zeros(arrays.n)
    for s in range(len(arrays.size)):
        inside = arrays.fixed[s] >= 0
        for k in range(touch_row[s], touch_row[s + 1]):
            if fast[k] or inside:
                near[touch[k]] += arrays.pad[s]
            else:
                bus[touch[k]] += arrays.host[s]
    busy = np.empty(arrays.n)
    for t in range(arrays.n):
        busy[t] = max(arrays.compute[t], bus[t] + near[t]) + arrays.overhead
    return OpTimes(bus, busy)


@inner
def fifo_copies(arrays: LatencyArrays, residencies: Records, dues: Ints, stores: Records) -> OrderedCopies:
    """The copies of these residencies, RESIDENCY[r], in their order, with the dues of their loads, int64[r],
    and stores, STORE[m].
    """
    n = arrays.n
    first = np.zeros(2 * n + 3, np.int64)  # counts, one place later, become where each begins
    for r in range(len(residencies)):
        if dues[r] >= 0:
            first[2 * residencies[r].start + 2] += 1
    for s in range(len(stores)):
        if stores[s].issue >= 0:
            first[2 * stores[s].issue + 3] += 1
    for place in range(2 * n + 2):
        first[place + 1] += first[place]
    total = first[2 * n + 2]
    copies = OrderedCopies(
        first,
        np.empty(total),
        np.empty(total, np.int64),
        np.zeros(total, np.bool_),
        np.empty(total, np.int64),
    )
    at = first.copy()
    for r in range(len(residencies)):
        s, start = residencies[r].storage, residencies[r].start
        if dues[r] >= 0:
            j = at[2 * start + 1]
            at[2 * start + 1] += 1
            copies.seconds[j], copies.due[j], copies.source[j] = arrays.copy[s], dues[r], r
    for s in range(len(stores)):
        if stores[s].issue >= 0:
            j = at[2 * stores[s].issue + 2]
            at[2 * stores[s].issue + 2] += 1
            copies.seconds[j], copies.due[j], copies.source[j] = arrays.copy[s], stores[s].due, s
            copies.is_store[j] = True
    return copies


@kernel
def latency(arrays: LatencyArrays, residencies: Records, dues: Ints, stores: Records, reach: Floats) -> float:
    """Seconds of the layout; `reach`, float64[n + 1], becomes the copy capacity once each step has waited.

    residencies: RESIDENCY[r]. dues: int64[r], the step that waits for the load with which each begins, issued
    at its start; until then host serves what touches the storage; -1 where it begins with none. stores:
    STORE[m].
    """
    arrays, residencies, stores = borrow(arrays), borrow(residencies), borrow(stores)
    times = op_times(arrays, residencies, dues)
    copies = fifo_copies(arrays, residencies, dues, stores)
    if arrays.queues == 2:
        after = stores_before(arrays, residencies, stores, copies)
        return float(_two_lanes(times, copies, after, reach))
    return float(_one_queue(times, copies, reach))


@inner
def stores_before(
    arrays: LatencyArrays, residencies: Records, stores: Records, copies: OrderedCopies
) -> Ints:
    """How many stores must be done before each copy starts, in a queue of their own, int64[q].

    A load waits for the store of what it reads, and for those of what lay until its issue where it goes.
    """
    place, count = np.zeros(len(stores), np.int64), 0  # of each store in its queue, from 1 on
    for j in range(len(copies.source)):
        if copies.is_store[j]:
            count += 1
            place[copies.source[j]] = count
    ended, following = np.full(arrays.n + 1, -1), np.full(len(residencies), -1)  # stored ones, by their stop
    for r in range(len(residencies)):
        s, stop = residencies[r].storage, residencies[r].stop
        if (
            residencies[r].start == arrays.producer[s]
            and place[s]
            and stores[s].due == stop
            and arrays.size[s]
        ):
            following[r] = ended[stop]
            ended[stop] = r
    after = np.zeros(len(copies.source), np.int64)
    for j in range(len(copies.source)):
        if copies.is_store[j]:
            continue
        row = residencies[copies.source[j]]
        size = arrays.size[row.storage]
        after[j] = place[row.storage]
        r = ended[row.start] if size else -1
        while r >= 0:
            left = residencies[r]
            if left.offset < row.offset + size and row.offset < left.offset + arrays.size[left.storage]:
                after[j] = max(after[j], place[left.storage])
            r = following[r]
    return after


@inner
def _one_queue(times: OpTimes, copies: OrderedCopies, reach: Floats) -> float:
    """Seconds with one queue for loads and stores."""
    n = len(times.busy)
    wanted = np.zeros(n + 1)  # the largest F due at each step
    now, capacity, done, stores_done = 0.0, 0.0, 0.0, 0.0
    for t in range(n + 1):
        for j in range(copies.first[2 * t], copies.first[2 * t + 2]):
            done = max(done, capacity) + copies.seconds[j]
            wanted[copies.due[j]] = max(wanted[copies.due[j]], done)
            if copies.is_store[j]:
                stores_done = done
        if t < n:
            if wanted[t] > capacity:
                now += wanted[t] - capacity
                capacity = wanted[t]
            reach[t] = capacity
            now += times.busy[t]
            capacity += times.busy[t] - times.bus[t]
    reach[n] = capacity
    return now + max(0.0, stores_done - capacity)


@inner
def _two_lanes(times: OpTimes, copies: OrderedCopies, after: Ints, reach: Floats) -> float:
    """Seconds with one queue of loads and one of stores; both heads share the bus equally. after: see `stores_before`."""
    n, total = len(times.busy), len(copies.due)
    lanes = Lanes(
        np.empty((2, total), np.int64),
        np.zeros(2, np.int64),
        np.zeros(2, np.int64),
        copies.seconds.copy(),
        after,
        np.zeros(n + 1, np.int64),
    )
    head, length = lanes.head, lanes.length
    now = capacity = 0.0
    for t in range(n + 1):
        for j in range(copies.first[2 * t], copies.first[2 * t + 2]):
            lane = STORES if copies.is_store[j] else LOADS
            lanes.copies[lane, length[lane]] = j
            length[lane] += 1
            lanes.waiting[copies.due[j]] += 1
        # Wait for what is due, in the end for every store.
        while (lanes.waiting[t] > 0) if t < n else (head[STORES] < length[STORES]):
            step = _copy(lanes, copies, capacity, np.inf)
            capacity += step
            now += step
        reach[t] = capacity
        if t < n:  # copy beside the op
            goal = capacity + times.busy[t] - times.bus[t]
            while capacity < goal and (head[LOADS] < length[LOADS] or head[STORES] < length[STORES]):
                capacity += _copy(lanes, copies, capacity, goal)
            capacity = goal
            now += times.busy[t]
    return now


@inner
def _copy(lanes: Lanes, copies: OrderedCopies, capacity: float, goal: float) -> float:
    """Copy from `capacity` until a head is done, or until `goal` if that comes first; the capacity it took."""
    load = (
        lanes.head[LOADS] < lanes.length[LOADS]
        and lanes.after[lanes.copies[LOADS, lanes.head[LOADS]]] <= lanes.head[STORES]
    )
    store = lanes.head[STORES] < lanes.length[STORES]
    least = np.inf
    if load:
        least = lanes.left[lanes.copies[LOADS, lanes.head[LOADS]]]
    if store:
        least = min(least, lanes.left[lanes.copies[STORES, lanes.head[STORES]]])
    share = 2.0 if load and store else 1.0
    step = least * share
    finishes = capacity + step <= goal
    if not finishes:
        step = goal - capacity
    for lane in (LOADS, STORES):
        if store if lane == STORES else load:
            j = lanes.copies[lane, lanes.head[lane]]
            if finishes and lanes.left[j] == least:
                lanes.head[lane] += 1
                lanes.waiting[copies.due[j]] -= 1
            else:
                lanes.left[j] = max(0.0, lanes.left[j] - step / share)
    return step
