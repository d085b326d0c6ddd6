"""Simulated annealing by ruin and recreate on a timed layout, compiled.

A layout is decided value by value as in memory space assignment, but every touch asks for a mode of its own
(stay, return, host), every load for a ratio, and a round takes few values out and places them again, each
judged by the evaluator alone: nothing is estimated operand by operand.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memplan_solvers.common.arrays import Floats, Floats32, Ints, Records
from memplan_solvers.common.random_numbers import rand
from memplan_solvers.jit import borrow, inlined, kernel
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.free_space import Fit
from memplan_solvers.latency.incremental import accept_changes, forget_changes, new_latency
from memplan_solvers.latency.layout_changes import add_residency, add_store
from memplan_solvers.latency.mutable_layout import MutableLayout
from memplan_solvers.latency.place_value import (
    Removed,
    Service,
    place_value,
    remember_value,
    remove_value,
)

MOST = 10
"""Most values that one round takes out."""


class Scope(IntEnum):
    """What a round takes out: the storage of the touch at which it begins …"""

    ALONE = 0
    STRIP = 1  # … with who lies in a strip of its size around that step
    AROUND = 2  # … with some that are there around that step


class Change(IntEnum):
    """What a round changes of the touch at which it begins."""

    NOTHING = 0
    RATIO = 1  # of its load
    TO_STAY = 2  # its mode
    TO_RETURN = 3
    TO_HOST = 4


CHANGES = len(Change)
KINDS = len(Scope) * CHANGES
"""Kinds of rounds: scope × CHANGES + change."""


class Served(IntEnum):
    """How a touch is served."""

    BY_HOST = 0
    IN_SCRATCHPAD = 1  # where it lies already
    LOADED = 2  # in the scratchpad, for it


MODES = 3
STATES = len(Served) * MODES
"""States of a touch: how it is `Served` × MODES + the mode that it asks for."""

LATENCIES = np.dtype(
    [
        ("now", np.float64),  # s, of the layout
        ("best", np.float64),  # s, of the best layout met
    ]
)


class AnnealingState(NamedTuple):
    """Where an annealing stands, and its best layout so far."""

    layout: MutableLayout
    service: Service
    idle_share: float  # share of new ratios that ask for copy capacity which the queue leaves idle
    seconds: Records  # LATENCIES[1]
    best: Records  # PLACE[k + m], by slot
    best_stores: Records  # STORE[m]
    random: npt.NDArray[np.uint64]  # [1], state of the random numbers
    weight: Floats32  # [k, KINDS], how often a round is of a kind, by the touch at which it begins
    starts: Ints  # [c], touches at which rounds begin; as often here as they do
    work: Floats  # [STATES, k or 0, KINDS], of the rounds that began at a touch in this state
    gain: Floats  # [STATES, k or 0, KINDS], s, what they gained
    removed: Removed  # scratch: what a round has taken out
    values: Ints  # [MOST], scratch: storages that it takes out
    old_stores: Records  # STORE[MOST], scratch: what their stores were


@kernel
def run_rounds(arrays: LatencyArrays, search: AnnealingState, rounds: int, hot: float, cold: float) -> None:
    """Do `rounds` rounds, the temperature falling from `hot` to `cold` seconds geometrically."""
    arrays, search = borrow(arrays), borrow(search)
    layout, service, seconds = search.layout, search.service, search.seconds[0]
    cooling = (cold / hot) ** (1.0 / max(1, rounds))
    heat = hot
    for _ in range(rounds):
        heat *= cooling
        k = search.starts[int(rand(search.random) * len(search.starts))]
        state = _state(search, k)
        old_mode, old_ratio = service.mode[k], service.prefetch_ratio[k]
        kind = _draw_kind(search, k)
        count = _draw_values(search, k, kind // CHANGES)
        _rebuild(search, k, kind % CHANGES, count)
        latency = new_latency(arrays, layout, seconds.now)
        worse = latency - seconds.now
        if search.work.shape[1]:
            search.work[state, k, kind] += 0.5 + 0.5 * count
            search.gain[state, k, kind] += max(0.0, -worse)
        if worse <= 0.0 or rand(search.random) < np.exp(-worse / heat):
            seconds.now = latency
            accept_changes(layout)
            if latency < seconds.best * (1.0 - 1e-12):
                keep_best(search)
        else:
            service.mode[k], service.prefetch_ratio[k] = old_mode, old_ratio
            _restore(search, count)


@inlined
def _rebuild(search: AnnealingState, k: int, change: int, count: int) -> None:
    """Take the first `count` of `values` out, change touch k, and place them again."""
    layout, removed = search.layout, search.removed
    removed.used[0] = 0
    for i in range(count):
        s, old = search.values[i], search.old_stores[i]
        old.issue, old.due = layout.storages[s].issue, layout.storages[s].due
        remember_value(layout, removed, s)
        remove_value(layout, s)
    _change(search, k, change)
    for i in range(count):
        place_value(layout, search.service, removed, search.values[i], _draw_fit(search.random))


@inlined
def _restore(search: AnnealingState, count: int) -> None:
    """Undo what `_rebuild` did to the layout."""
    layout, removed = search.layout, search.removed
    for i in range(count):
        remove_value(layout, search.values[i])
    for i in range(count):
        add_store(layout, search.values[i], search.old_stores[i].issue, search.old_stores[i].due)
    for r in range(removed.used[0]):
        row = removed.rows[r]
        add_residency(layout, row.slot, row.start, row.stop, row.offset)
    forget_changes(layout)


@inlined
def _served(layout: MutableLayout, k: int) -> Served:
    """How touch k is served."""
    slot = layout.slots[k]
    if not slot.fast:
        return Served.BY_HOST
    return Served.LOADED if slot.start >= 0 and slot.loaded else Served.IN_SCRATCHPAD


@inlined
def _state(search: AnnealingState, k: int) -> int:
    """The state of touch k."""
    return int(MODES * _served(search.layout, k) + search.service.mode[k])


@kernel
def states(search: AnnealingState) -> Ints:
    """The state of each touch, int64[k]."""
    search = borrow(search)
    state = np.empty(len(search.service.mode), np.int64)
    for k in range(len(state)):
        state[k] = _state(search, k)
    return state


@kernel
def keep_best(search: AnnealingState) -> None:
    """Remember the layout as the best."""
    search = borrow(search)
    slots, storages = search.layout.slots, search.layout.storages
    for r in range(len(slots)):
        place = search.best[r]
        place.start, place.stop, place.offset = slots[r].start, slots[r].stop, slots[r].offset
    for s in range(len(storages)):
        search.best_stores[s].issue, search.best_stores[s].due = storages[s].issue, storages[s].due
    search.seconds[0].best = search.seconds[0].now


@inlined
def _draw_values(search: AnnealingState, k: int, scope: int) -> int:
    """Fill `values` with the storages to take out around touch k, in the order in which they come back; how many."""
    layout, random, values = search.layout, search.random, search.values
    slots, t, seed = layout.slots, layout.slots[k].step, layout.slots[k].storage
    values[0] = seed
    if scope == Scope.ALONE:
        return 1
    size = slots[k].size
    low = int(rand(random) * max(1, layout.capacity - size + 1))
    span = int(1.0 + 6.0 * rand(random))
    share = 1.5 * rand(random) / 10.0
    count, begin = 1, max(0, t - span) // layout.width
    for b in range(begin, min(t + 1 + span, layout.n - 1) // layout.width + 1):
        for i in range(layout.live[b]):
            slot = slots[layout.block[b, i]]
            if slot.start > t + 1 + span or slot.stop <= t - span:
                continue
            if b > begin and slot.start // layout.width < b:  # met before
                continue
            s = slot.storage
            if s == seed or layout.storages[s].fixed:
                continue
            if scope == Scope.STRIP:
                if slot.offset >= low + size or slot.offset + slot.size <= low:
                    continue
            elif rand(random) > share:
                continue
            fresh = True
            for j in range(count):
                fresh = fresh and values[j] != s
            if fresh and count < MOST:
                values[count] = s
                count += 1
    _shuffle(random, values, 1 if scope == Scope.STRIP else 0, count)
    return count


@inlined
def _shuffle(random: npt.NDArray[np.uint64], values: Ints, first: int, count: int) -> None:
    """Put values first … count - 1 in random order."""
    for i in range(count - 1, first, -1):
        j = first + int(rand(random) * (i + 1 - first))
        values[i], values[j] = values[j], values[i]


@inlined
def _draw_fit(random: npt.NDArray[np.uint64]) -> Fit:
    """The best fit in five of eight cases."""
    drawn = rand(random) * 8.0
    if drawn < 5.0:
        return Fit.BEST
    if drawn < 6.0:
        return Fit.BEST_FROM_ABOVE
    return Fit.LOWEST if drawn < 7.0 else Fit.HIGHEST_FROM_ABOVE


@inlined
def _draw_kind(search: AnnealingState, k: int) -> int:
    """The kind of a round that begins at touch k; none that only grants the mode for which it asks."""
    weight, granted = search.weight[k], Change.TO_STAY + search.service.mode[k]
    total = np.float32(0.0)
    for kind in range(KINDS):
        if kind % CHANGES != granted:
            total += weight[kind]
    left, chosen = rand(search.random) * total, 0
    for kind in range(KINDS):
        if kind % CHANGES != granted and left >= 0.0:
            left, chosen = left - weight[kind], kind
    return chosen


@inlined
def _change(search: AnnealingState, k: int, change: int) -> None:
    """Change what touch k asks for, or nothing."""
    if change == Change.RATIO:
        if rand(search.random) < search.idle_share:
            search.service.prefetch_ratio[k] = -0.5 * 8.0 ** rand(search.random)
        else:
            search.service.prefetch_ratio[k] = 0.5 * 32.0 ** rand(search.random)
    elif change >= Change.TO_STAY:
        search.service.mode[k] = change - Change.TO_STAY
