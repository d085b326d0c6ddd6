"""The latency of a mutable layout with one queue: only the steps between a change and the next idle queue are played.

`evaluate.latency` on `mutable_layout.residencies_of` gives the same seconds. Compiled.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import Floats, Records
from memplan_solvers.jit import borrow, inlined, kernel
from memplan_solvers.latency.arrays import RESIDENCY, STORE, LatencyArrays
from memplan_solvers.latency.evaluate import latency
from memplan_solvers.latency.mutable_layout import MutableLayout


@kernel
def first_latency(arrays: LatencyArrays, layout: MutableLayout) -> float:
    """The latency in seconds of a layout that none was accepted before; it is accepted."""
    arrays, layout = borrow(arrays), borrow(layout)
    latency = new_latency(arrays, layout, 0.0)
    accept_changes(layout)
    return float(latency)


@inlined
def new_latency(arrays: LatencyArrays, layout: MutableLayout, accepted_latency: float) -> float:
    """The latency in seconds as the layout is now; `accepted_latency` was that of the layout last accepted."""
    if arrays.queues == 2:
        return float(full_latency(arrays, layout))
    return float(changed_latency(layout, accepted_latency))


@inlined
def changed_latency(layout: MutableLayout, accepted_latency: float) -> float:
    """The same with one queue: only steps are played that may differ from the layout last accepted."""
    n, accepted, tried = layout.n, layout.accepted, layout.tried
    since, last = layout.changed[0].since, layout.changed[0].until
    if since > last:
        return accepted_latency
    clock, capacity = accepted.clock[since], accepted.capacity[since]
    done, stores_done = accepted.queue_done[since], accepted.stores_done[since]
    t = since
    while t <= n and not (t > last and done <= capacity and accepted.queue_done[t] <= accepted.capacity[t]):
        tried.clock[t], tried.capacity[t] = clock, capacity
        tried.queue_done[t], tried.stores_done[t] = done, stores_done
        done, stores_done = _queue_copies(layout, t, capacity, done, stores_done)
        reach = capacity
        if t < n and done > capacity:
            reach = _wait(layout, t, since, capacity)
        tried.reach[t] = reach
        if t < n:
            clock += reach - capacity
            clock += layout.ops[t].busy
            capacity = reach + (layout.ops[t].busy - layout.ops[t].bus)
        t += 1
    layout.changed[0].until = t
    if t > n:
        return float(clock + max(0.0, stores_done - capacity))
    tried.clock[t], tried.capacity[t] = clock, capacity  # from here on all is as it was
    return float(accepted_latency + (clock - accepted.clock[t]))


@inlined
def _queue_copies(
    layout: MutableLayout, t: int, capacity: float, done: float, stores_done: float
) -> tuple[float, float]:
    """Queue what may begin at step t; when the last copy is done, and when the last store."""
    slots, access, tried = layout.slots, layout.access, layout.tried
    s = layout.stores.first[t]
    while s >= 0:
        done = max(done, capacity) + access[s].copy
        tried.store_done[s] = stores_done = done
        s = layout.stores.following[s]
    r = layout.loads.first[t]
    while r >= 0:
        done = max(done, capacity) + access[slots[r].storage].copy
        tried.load_done[r] = done
        r = layout.loads.following[r]
    return done, stores_done


@inlined
def _wait(layout: MutableLayout, t: int, since: int, capacity: float) -> float:
    """The copy capacity when all that is due at step t is done; what began before step `since` is as accepted."""
    slots, accepted, tried, reach = layout.slots, layout.accepted, layout.tried, capacity
    for i in range(layout.touch_row[t], layout.touch_row[t + 1]):
        r = layout.touches[i]
        if slots[r].start >= 0 and slots[r].loaded:
            reach = max(reach, tried.load_done[r] if slots[r].start >= since else accepted.load_done[r])
    s = layout.due_stores.first[t]
    while s >= 0:
        began = layout.storages[s].issue + 1
        reach = max(reach, tried.store_done[s] if began >= since else accepted.store_done[s])
        s = layout.due_stores.following[s]
    return reach


@inlined
def forget_changes(layout: MutableLayout) -> None:
    """Go on from the layout last accepted, to which the changes have been undone."""
    layout.changed[0].since, layout.changed[0].until = layout.n + 1, -1


@inlined
def accept_changes(layout: MutableLayout) -> None:
    """After `changed_latency`: go on from the layout as it is."""
    n, accepted, tried = layout.n, layout.accepted, layout.tried
    since, end = layout.changed[0].since, layout.changed[0].until
    forget_changes(layout)
    if since > end:
        return
    later, more = 0.0, 0.0  # seconds and copy capacity from step `end` on
    if end <= n:
        later, more = tried.clock[end] - accepted.clock[end], tried.capacity[end] - accepted.capacity[end]
    _accept(accepted.clock, tried.clock, since, end, later)
    _accept(accepted.capacity, tried.capacity, since, end, more)
    _accept(accepted.queue_done, tried.queue_done, since, end, more)
    _accept(accepted.stores_done, tried.stores_done, since, end, more)
    _accept(accepted.reach, tried.reach, since, end, more)
    for t in range(since, n + 1 if more != 0.0 else min(end, n + 1)):
        s, r, fresh = layout.stores.first[t], layout.loads.first[t], t < end
        while s >= 0:
            accepted.store_done[s] = tried.store_done[s] if fresh else accepted.store_done[s] + more
            s = layout.stores.following[s]
        while r >= 0:
            accepted.load_done[r] = tried.load_done[r] if fresh else accepted.load_done[r] + more
            r = layout.loads.following[r]


@inlined
def _accept(accepted: Floats, tried: Floats, since: int, end: int, more: float) -> None:
    """What was tried for steps [since, end), `more` than before from there on."""
    for t in range(since, min(end, len(accepted))):
        accepted[t] = tried[t]
    if more != 0.0:
        for t in range(end, len(accepted)):
            accepted[t] += more


@inlined
def full_latency(arrays: LatencyArrays, layout: MutableLayout) -> float:
    """The latency by `evaluate.latency`, for any number of queues; there is nothing to accept afterwards."""
    slots, storages = layout.slots, layout.storages
    residencies, dues, count = np.empty(len(slots), RESIDENCY), np.full(len(slots), -1), 0
    for r in range(len(slots)):
        if slots[r].start >= 0 and not slots[r].loaded:
            count = _copy_slot(layout, r, residencies, count)
    for t in range(layout.n + 1):
        r = layout.loads.first[t]
        while r >= 0:
            dues[count] = slots[r].step
            count = _copy_slot(layout, r, residencies, count)
            r = layout.loads.following[r]
    stores = np.empty(len(storages), STORE)
    for s in range(len(stores)):
        stores[s].issue, stores[s].due = storages[s].issue, storages[s].due
    forget_changes(layout)
    return float(latency(arrays, residencies[:count], dues[:count], stores, layout.accepted.reach))


@inlined
def _copy_slot(layout: MutableLayout, r: int, residencies: Records, count: int) -> int:
    """Write the residency of slot r to row `count`; the next row."""
    slot, row = layout.slots[r], residencies[count]
    row.storage, row.start, row.stop, row.offset = slot.storage, slot.start, slot.stop, slot.offset
    return count + 1
