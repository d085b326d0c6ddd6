"""The changes of a mutable layout: residencies and stores are added, extended and removed. Compiled."""

from __future__ import annotations

from memplan_solvers.common.arrays import Ints, Records
from memplan_solvers.jit import borrow, inlined, kernel
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.layout import Layout
from memplan_solvers.latency.mutable_layout import MutableLayout, StepLists, empty_layout


def make_mutable(arrays: LatencyArrays, layout: Layout) -> MutableLayout:
    """A mutable copy of a layout; what is fixed is among its residencies or not."""
    mutable = empty_layout(arrays)
    fill(mutable, arrays, layout.residencies, layout.dues, layout.stores)
    return mutable


@kernel
def fill(
    mutable: MutableLayout, arrays: LatencyArrays, residencies: Records, dues: Ints, stores: Records
) -> None:
    """Place what is fixed, these residencies, RESIDENCY[r], with the dues of their loads, int64[r], and
    stores, STORE[m], in an empty layout.
    """
    mutable, arrays = borrow(mutable), borrow(arrays)
    residencies, stores = borrow(residencies), borrow(stores)
    for s in range(len(arrays.size)):
        if arrays.fixed[s] >= 0:
            start, stop = arrays.fixed_span[s, 0], arrays.fixed_span[s, 1]
            add_residency(mutable, _slot_of(arrays, s, start, stop), start, stop, arrays.fixed[s])
    for r in range(len(residencies)):
        row = residencies[r]
        slot = _slot_of(arrays, row.storage, max(row.start, dues[r]), row.stop)
        if arrays.fixed[row.storage] < 0 and slot < len(arrays.touch):
            add_residency(mutable, slot, row.start, row.stop, row.offset)
    for s in range(len(stores)):
        add_store(mutable, s, stores[s].issue, stores[s].due)
    for t in range(arrays.n):
        retime_step(mutable, t)


@inlined
def _slot_of(arrays: LatencyArrays, s: int, ready: int, stop: int) -> int:
    """The slot of a residency that serves touches in [ready, stop); k + s if it serves none."""
    slot, end = arrays.touch_row[s], arrays.touch_row[s + 1]
    while slot < end and arrays.touch[slot] < ready:
        slot += 1
    return int(slot) if slot < end and arrays.touch[slot] < stop else len(arrays.touch) + s


@inlined
def mark_changed(layout: MutableLayout, t: int) -> None:
    """Remember that step t has changed."""
    changed = layout.changed[0]
    changed.since, changed.until = min(changed.since, t), max(changed.until, t)


@inlined
def retime_step(layout: MutableLayout, t: int) -> None:
    """Sum up again what the op of step t takes."""
    slots, access, op = layout.slots, layout.access, layout.ops[t]
    bus, near = op.base, 0.0
    for i in range(layout.touch_row[t], layout.touch_row[t + 1]):
        k = layout.touches[i]
        if slots[k].fast:
            near += access[slots[k].storage].pad
        else:
            bus += access[slots[k].storage].host
    op.bus = bus
    op.busy = max(op.compute, bus + near) + op.overhead
    mark_changed(layout, t)


@inlined
def serve_touches(layout: MutableLayout, r: int, since: int, stop: int, fast: int) -> None:
    """Serve the touches in [since, stop) of slot r's storage from the scratchpad (fast = 1) or from host (0)."""
    slots, storage = layout.slots, layout.storages[layout.slots[r].storage]
    k, last = r, 0 if storage.fixed else storage.last
    while k < last and slots[k].step < since:
        k += 1
    while k < last and slots[k].step < stop:
        slots[k].fast = fast
        retime_step(layout, slots[k].step)
        k += 1


@inlined
def _enter_block(layout: MutableLayout, b: int, r: int) -> None:
    """Enter slot r among those that are live in block b, by offset."""
    slots, block, i = layout.slots, layout.block, layout.live[b]
    layout.live[b] = i + 1
    offset = slots[r].offset
    while i > 0 and slots[block[b, i - 1]].offset > offset:
        block[b, i] = block[b, i - 1]
        i -= 1
    block[b, i] = r


@inlined
def _leave_block(layout: MutableLayout, b: int, r: int) -> None:
    """Take slot r out of those that are live in block b."""
    block, live, i = layout.block, layout.live, 0
    while block[b, i] != r:
        i += 1
    live[b] -= 1
    while i < live[b]:
        block[b, i] = block[b, i + 1]
        i += 1


@inlined
def add_residency(layout: MutableLayout, r: int, start: int, stop: int, offset: int) -> None:
    """Fill slot r, which is empty, with a residency."""
    slot, width = layout.slots[r], layout.width
    slot.start, slot.stop, slot.offset = start, stop, offset
    for b in range(start // width, min((stop - 1) // width + 1, len(layout.live))):
        _enter_block(layout, b, r)
    serve_touches(layout, r, start, stop, 1)
    storage = layout.storages[slot.storage]
    slot.loaded = slot.step < layout.n and start != storage.producer and not storage.given
    if slot.loaded:
        _list(layout.loads, start, r)
        mark_changed(layout, start)
        mark_changed(layout, slot.step)


@inlined
def remove_residency(layout: MutableLayout, r: int) -> None:
    """Empty slot r."""
    slot, width = layout.slots[r], layout.width
    start, stop = slot.start, slot.stop
    for b in range(start // width, min((stop - 1) // width + 1, len(layout.live))):
        _leave_block(layout, b, r)
    serve_touches(layout, r, start, stop, 0)
    if slot.loaded:
        mark_changed(layout, start)
        mark_changed(layout, slot.step)
        _unlist(layout.loads, start, r)
    slot.start = -1


@inlined
def extend_residency(layout: MutableLayout, r: int, stop: int) -> None:
    """Let the residency of slot r last until `stop`."""
    before, width = layout.slots[r].stop, layout.width
    for b in range((before - 1) // width + 1, min((stop - 1) // width + 1, len(layout.live))):
        _enter_block(layout, b, r)
    layout.slots[r].stop = max(before, stop)
    serve_touches(layout, r, before, stop, 1)


@inlined
def add_store(layout: MutableLayout, s: int, issue: int, due: int) -> None:
    """Store s, which has no store; issue -1 leaves it so."""
    if issue >= 0:
        layout.storages[s].issue, layout.storages[s].due = issue, due
        _list(layout.stores, issue + 1, s)
        _list(layout.due_stores, due, s)
        mark_changed(layout, issue + 1)
        mark_changed(layout, due)


@inlined
def remove_store(layout: MutableLayout, s: int) -> None:
    """Leave the store of s out, if there is one."""
    storage = layout.storages[s]
    issue, due = storage.issue, storage.due
    if issue >= 0:
        _unlist(layout.stores, issue + 1, s)
        _unlist(layout.due_stores, due, s)
        storage.issue = storage.due = -1
        mark_changed(layout, issue + 1)
        mark_changed(layout, due)


@inlined
def _list(lists: StepLists, t: int, x: int) -> None:
    """Enter copy x in the list of step t."""
    first, following, rank = lists.first, lists.following, lists.rank
    before, after = -1, first[t]
    while after >= 0 and rank[after] < rank[x]:
        before, after = after, following[after]
    following[x] = after
    if before < 0:
        first[t] = x
    else:
        following[before] = x


@inlined
def _unlist(lists: StepLists, t: int, x: int) -> None:
    """Take copy x out of the list of step t."""
    first, following = lists.first, lists.following
    if first[t] == x:
        first[t] = following[x]
    else:
        before = first[t]
        while following[before] != x:
            before = following[before]
        following[before] = following[x]
