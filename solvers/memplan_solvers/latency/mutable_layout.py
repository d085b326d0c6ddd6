"""A layout under change: residencies and stores come and go, and what is free and what each op takes follow.

A residency lives in a *slot*: the number of the first touch that it serves, of which no other residency of the
storage can be the first. Who is live when is kept by blocks of steps. `incremental` follows its latency.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memplan_solvers.common.arrays import Floats, Ints, Records
from memplan_solvers.latency.arrays import RESIDENCY, LatencyArrays

BLOCKS, NARROW = 64, 8
"""Blocks of steps at most; their least width."""

SLOT = np.dtype(
    [
        ("storage", np.int64),
        ("step", np.int64),  # of its touch, n where it has none
        ("size", np.int64),  # bytes
        ("start", np.int64),  # first step of its residency, -1 where there is none
        ("stop", np.int64),  # and the step after its last
        ("offset", np.int64),  # bytes
        ("loaded", np.int64),  # 1 where the residency begins with a load
        ("fast", np.int64),  # 1 where the touch is served from the scratchpad
    ]
)

STORAGE = np.dtype(
    [
        ("first", np.int64),  # its slots are first … last - 1
        ("last", np.int64),
        ("producer", np.int64),  # these five as in `LatencyArrays`; fixed: 0 or 1
        ("given", np.int64),
        ("fixed", np.int64),
        ("streamed", np.int64),
        ("output", np.int64),
        ("issue", np.int64),  # of its store, -1 where there is none
        ("due", np.int64),
    ]
)

ACCESS = np.dtype(
    [
        ("copy", np.float64),  # s, of a copy
        ("host", np.float64),  # s, of an access in host
        ("pad", np.float64),  # s, in the scratchpad
    ]
)

OP = np.dtype(
    [
        ("base", np.float64),  # s, host time of what is no storage
        ("compute", np.float64),  # s
        ("overhead", np.float64),  # s
        ("bus", np.float64),  # s, host time as the layout is
        ("busy", np.float64),  # s, the whole op as the layout is
    ]
)

CHANGED = np.dtype(
    [
        ("since", np.int64),  # first step changed since the layout was last accepted, n + 1 where none is
        ("until", np.int64),  # and the last, -1 where none is
    ]
)

SPAN = np.dtype(
    [
        ("low", np.int64),  # bytes, where it begins
        ("high", np.int64),  # and ends
    ]
)

PLACE = np.dtype(
    [
        ("start", np.int64),  # as in SLOT
        ("stop", np.int64),
        ("offset", np.int64),
    ]
)


class StepLists(NamedTuple):
    """A list of copies for each step, each in order of rank; a copy is in one list at most."""

    first: Ints  # [n + 2], the first copy of each step, or -1
    following: Ints  # [copies], the next of the same step, or -1
    rank: Ints  # [copies]


class QueueProgress(NamedTuple):
    """How the queue is played. All but the clock is in copy capacity."""

    clock: Floats  # [n + 1], s, when the step before has ended
    capacity: Floats  # [n + 1], copy capacity then
    queue_done: Floats  # [n + 1], when the last copy queued before the step is done
    stores_done: Floats  # [n + 1], when the last store queued before the step is done
    reach: Floats  # [n + 1], copy capacity once the step has waited
    load_done: Floats  # [k + m], when the load of each slot is done
    store_done: Floats  # [m], when the store of each storage is done


class MutableLayout(NamedTuple):
    """Slot k + s is that of a fixed storage s which nothing touches; b blocks of steps."""

    n: int  # steps
    capacity: int  # bytes
    alignment: int  # bytes
    width: int  # steps of a block
    slots: Records  # SLOT[k + m]
    storages: Records  # STORAGE[m]
    access: Records  # ACCESS[m]
    ops: Records  # OP[n]
    touch_row: Ints  # [n + 2], rows touch_row[t] … touch_row[t + 1] - 1 of `touches` are those of step t
    touches: Ints  # [k], slots
    block: npt.NDArray[np.uint32]  # [b, k + m], slots that are live in each block, by ascending offset
    live: Ints  # [b], how many of them
    loads: StepLists  # of slots, by the step at which they may begin, in order of their touches
    stores: StepLists  # of storages, by the step at which they may begin
    due_stores: StepLists  # of storages, by the step that waits for them
    accepted: QueueProgress  # of the layout last accepted
    tried: QueueProgress  # of the layout as it is, from its first changed step on
    changed: Records  # CHANGED[1]
    spans: Records  # SPAN[k + m], scratch
    fresh: npt.NDArray[np.uint32]  # [k + m], scratch


def empty_layout(arrays: LatencyArrays) -> MutableLayout:
    """A layout in which nothing is placed or stored, all of its steps changed."""
    k, m, n = len(arrays.touch), len(arrays.size), arrays.n
    blocks = max(1, min(BLOCKS, -(-n // NARROW)))
    slots, storages, ops = _slots(arrays), _storages(arrays), np.zeros(n, OP)
    by_step = np.argsort(arrays.touch, kind="stable")
    rank = np.arange(k + m)
    rank[by_step] = np.arange(k)
    ops["base"], ops["compute"], ops["overhead"] = arrays.base_host, arrays.compute, arrays.overhead
    access = np.zeros(m, ACCESS)
    access["copy"], access["host"], access["pad"] = arrays.copy, arrays.host, arrays.pad
    return MutableLayout(
        n=n,
        capacity=arrays.capacity,
        alignment=arrays.alignment,
        width=-(-n // blocks),
        slots=slots,
        storages=storages,
        access=access,
        ops=ops,
        touch_row=np.searchsorted(arrays.touch[by_step], np.arange(n + 2)),
        touches=by_step,
        block=np.zeros((blocks, k + m), np.uint32),
        live=np.zeros(blocks, np.int64),
        loads=_lists(n, rank),
        stores=_lists(n, np.arange(m)),
        due_stores=_lists(n, np.arange(m)),
        accepted=_progress(n, k, m),
        tried=_progress(n, k, m),
        changed=np.array([(0, n)], CHANGED),
        spans=np.zeros(k + m, SPAN),
        fresh=np.zeros(k + m, np.uint32),
    )


def residencies_of(places: Records, mutable: MutableLayout) -> tuple[Records, Ints]:
    """The residencies, RESIDENCY[r], of slots' places, PLACE[k + m], in the order in which their loads are
    played, and when those are due, int64[r]; -1 where there is none.
    """
    slots = np.flatnonzero(places["start"] >= 0)
    slots = slots[np.lexsort((slots, mutable.slots["step"][slots], places["start"][slots]))]
    residencies = np.zeros(len(slots), RESIDENCY)
    residencies["storage"] = mutable.slots["storage"][slots]
    for field in PLACE.names or ():
        residencies[field] = places[field][slots]
    storages, step = mutable.storages[residencies["storage"]], mutable.slots["step"][slots]
    loaded = (step < mutable.n) & (residencies["start"] != storages["producer"]) & (storages["given"] == 0)
    return residencies, np.where(loaded, step, -1)


def _slots(arrays: LatencyArrays) -> Records:
    """Empty slots, SLOT[k + m]."""
    k, m = len(arrays.touch), len(arrays.size)
    slots = np.zeros(k + m, SLOT)
    slots["storage"] = np.concatenate((np.repeat(np.arange(m), np.diff(arrays.touch_row)), np.arange(m)))
    slots["step"] = np.append(arrays.touch, np.full(m, arrays.n))
    slots["size"] = arrays.size[slots["storage"]]
    slots["fast"] = arrays.fixed[slots["storage"]] >= 0
    slots["start"] = -1
    return slots


def _storages(arrays: LatencyArrays) -> Records:
    """The storages, without stores, STORAGE[m]."""
    storages = np.zeros(len(arrays.size), STORAGE)
    storages["first"], storages["last"] = arrays.touch_row[:-1], arrays.touch_row[1:]
    storages["producer"], storages["given"] = arrays.producer, arrays.given
    storages["fixed"], storages["streamed"] = arrays.fixed >= 0, arrays.streamed
    storages["output"] = arrays.output
    storages["issue"] = storages["due"] = -1
    return storages


def _lists(n: int, rank: Ints) -> StepLists:
    return StepLists(np.full(n + 2, -1), np.full(len(rank), -1), rank)


def _progress(n: int, k: int, m: int) -> QueueProgress:
    return QueueProgress(
        clock=np.zeros(n + 1),
        capacity=np.zeros(n + 1),
        queue_done=np.zeros(n + 1),
        stores_done=np.zeros(n + 1),
        reach=np.zeros(n + 1),
        load_done=np.zeros(k + m),
        store_done=np.zeros(m),
    )
