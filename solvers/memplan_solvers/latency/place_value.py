"""Placing a value of a mutable layout as its touches ask, as memory space assignment places by its ratios. Compiled."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memplan_solvers.common.arrays import NEVER, Floats, Ints, Records
from memplan_solvers.jit import inlined
from memplan_solvers.latency.free_space import find_hole, is_free
from memplan_solvers.latency.layout_changes import (
    add_residency,
    add_store,
    extend_residency,
    remove_residency,
    remove_store,
)
from memplan_solvers.latency.mutable_layout import MutableLayout

REMOVED = np.dtype(
    [
        ("slot", np.int64),
        ("start", np.int64),  # as in SLOT
        ("stop", np.int64),
        ("offset", np.int64),
    ]
)


class Mode(IntEnum):
    """How a touch asks to be served."""

    STAY = 0  # from the scratchpad, where the value stays for it if there is room
    RETURN = 1  # from the scratchpad, the value being loaded for it
    HOST = 2  # from host


class Service(NamedTuple):
    """What the touches ask for."""

    mode: npt.NDArray[np.int8]  # [k], a `Mode`
    prefetch_ratio: (
        Floats  # [k], copy capacity for a load, over its copy time; negative: such as the queue leaves idle
    )


class Removed(NamedTuple):
    """Residencies that have been taken out of a layout."""

    rows: Records  # REMOVED[k + m], the first used[0] of them valid
    used: Ints  # [1], how many


@inlined
def place_value(layout: MutableLayout, service: Service, removed: Removed, s: int, fit: int) -> None:
    """Place s from its definition through its uses, as its touches ask; `fit`: the `Fit` of its residencies.

    What is in `removed` was there when the layout was last accepted. A load may be issued from where host has
    a copy and the residency before it has ended, also before touches that host serves meanwhile; of a
    streamed weight after the touch before.
    """
    slots, storage, mode = layout.slots, layout.storages[s], service.mode
    first, last = storage.first, storage.last
    host_from, row, k = 0, -1, first  # host_from: the first boundary at which a load may be issued
    if storage.producer >= 0:
        host_from = NEVER
        t = slots[first].step
        if mode[first] != Mode.HOST and (last > first + 1 or abs(service.prefetch_ratio[first]) > 2.0):
            row = _begin(layout, service, t, first, fit)
        if row < 0:
            host_from = t + 1
        k = first + 1
    while k < last:
        t = slots[k].step
        if row >= 0 and slots[row].stop > t:  # begun with room until here
            k += 1
            continue
        if row >= 0 and mode[k] == Mode.STAY and not storage.streamed:
            if is_free(layout, slots[row].offset, slots[row].size, slots[row].stop, t + 1):
                extend_residency(layout, row, t + 1)
                k += 1
                continue
        if row >= 0 and host_from == NEVER:
            due = _store(layout, s, row, t)
            if due < 0:  # no time to store it: it stays, or was never there
                remove_value(layout, s)
                host_from, row, k = slots[first].step + 1, -1, first + 1
                continue
            host_from = due
        if row >= 0:
            host_from = max(host_from, slots[row].stop)
            row = -1
        if mode[k] != Mode.HOST:
            if storage.streamed and k > first:
                host_from = slots[k - 1].step + 1
            row = _fetch(layout, service, removed, k, host_from, fit)
        k += 1
    if row >= 0 and host_from == NEVER and storage.output and _store(layout, s, row, layout.n) < 0:
        remove_value(layout, s)


@inlined
def _fetch(layout: MutableLayout, service: Service, removed: Removed, k: int, earliest: int, fit: int) -> int:
    """Load for touch k from step `earliest` on, later where there is no hole for so long; the slot or -1."""
    t, row = layout.slots[k].step, -1
    wanted = service.prefetch_ratio[k] * layout.access[layout.slots[k].storage].copy
    start = issue_step(layout, removed, k, wanted, earliest)
    for _ in range(4):
        if start > t or start < earliest:
            break
        row = _begin(layout, service, start, k, fit)
        if row >= 0:
            break
        start += max(1, (t - start) // 2)
    return row


@inlined
def issue_step(layout: MutableLayout, removed: Removed, k: int, wanted: float, earliest: int) -> int:
    """The latest step from `earliest` on with `wanted` seconds of copy capacity before touch k; with so many that the
    queue leaves idle, where `wanted` is negative. What the queue did for k before it was removed is idle."""
    accepted, start = layout.accepted, layout.slots[k].step
    reach, reached = accepted.reach, accepted.reach[start]
    if wanted >= 0.0:
        while start > earliest and reached - reach[start] < wanted:
            start -= 1
        return int(start)
    wanted = -wanted
    for r in range(removed.used[0]):
        if removed.rows[r].slot == k and layout.slots[k].loaded:
            wanted -= layout.access[layout.slots[k].storage].copy
    while start > earliest and wanted > 0.0:
        start -= 1
        wanted -= max(0.0, accepted.capacity[start + 1] - max(reach[start], accepted.queue_done[start + 1]))
    return int(start)


@inlined
def _begin(layout: MutableLayout, service: Service, start: int, k: int, fit: int) -> int:
    """A residency from `start` through touch k and as many more that ask to stay as there is a hole for; its slot or
    -1."""
    slots, storage, mode = layout.slots, layout.storages[layout.slots[k].storage], service.mode
    end = storage.last if not storage.streamed else k + 1
    far = k
    while far + 1 < end and mode[far + 1] == Mode.STAY:
        far += 1
    tries, offset = 0, -1
    while far >= k and offset < 0:
        offset = find_hole(layout, slots[k].size, start, slots[far].step + 1, fit)
        if offset >= 0:
            add_residency(layout, k, start, slots[far].step + 1, offset)
        else:
            tries += 1
            far = far - 1 if tries < 3 or far == k else max(k, (far + k) // 2)
    return k if offset >= 0 else -1


@inlined
def _store(layout: MutableLayout, s: int, row: int, limit: int) -> int:
    """Store s, resident in slot `row` since its production, with the copy capacity it needs by `limit` if its place
    stays free, less if not; the due step, or -1 if it cannot be stored by then at all."""
    slot, reach, copy = layout.slots[row], layout.accepted.reach, layout.access[s].copy
    issue, stop = slot.start, slot.stop
    due = issue + 1
    while due < limit and reach[due] - reach[issue + 1] < copy:
        due += 1
    if due > limit:
        return -1
    while due > stop and not is_free(layout, slot.offset, slot.size, stop, due):
        due -= 1
    extend_residency(layout, row, due)
    add_store(layout, s, issue, due)
    return int(due)


@inlined
def remember_value(layout: MutableLayout, removed: Removed, s: int) -> None:
    """Add the residencies of s to `removed`."""
    for r in range(layout.storages[s].first, layout.storages[s].last):
        slot = layout.slots[r]
        if slot.start >= 0:
            row = removed.rows[removed.used[0]]
            row.slot, row.start, row.stop, row.offset = r, slot.start, slot.stop, slot.offset
            removed.used[0] += 1


@inlined
def remove_value(layout: MutableLayout, s: int) -> None:
    """Take all of s out of the layout."""
    for r in range(layout.storages[s].first, layout.storages[s].last):
        if layout.slots[r].start >= 0:
            remove_residency(layout, r)
    remove_store(layout, s)
