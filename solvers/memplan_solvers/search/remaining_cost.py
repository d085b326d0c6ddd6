"""What is still to be paid from a state at least, in numba: by the peaks to come, and by the frontiers where
they are known.

Axes as in `layer.py`; `front_set` is a set of a frontier, `label` what the frontier has of one. Prices and
sizes are bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Ints, ShortInts
from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.peak.descent_state import Descent
from memplan_solvers.peak.executed import execute, price, undo
from memplan_solvers.search.layer import Layer
from memplan_solvers.search.least_peak import raise_least_peak
from memplan_solvers.search.state import SubproblemArrays, first_bit, mix, same

NO_FRONTIER = -2
"""The number of a set where no frontier is known."""

LEFT_OUT = 1 << 61
"""What a set pays at least that was left out of a frontier."""


class SearchRules(NamedTuple):
    """Which rules apply, see `engine.RULES`."""

    minimal: bool
    farther: bool
    free: bool
    stores: bool
    loads: bool
    goal: bool
    alike: bool  # all that is live needs a store, so the peak of what does is the live one


class Terms(NamedTuple):
    """What a search goes by."""

    capacity: int
    rate: float  # the least price of a byte of scratchpad that leaves
    effort: int  # evaluations of an op that one look at the peak to come may take
    op_words: int
    storage_words: int
    rules: SearchRules


class Peaks(NamedTuple):
    """The two searches for the least peak from a set on: of live bytes, and of those bytes that need a store to leave."""

    live: Descent
    dirty: Descent


class Labels(NamedTuple):
    """Pairs (storages kept, price) of sets of executed ops. Without entries where nothing is known."""

    first: Ints  # [front_set] a set's own are those from `first` to before `last`, by ascending price
    last: Ints  # [front_set]
    inside: Ints  # [label, storage_word]
    cost: Ints  # [label]


class ParetoFrontier(NamedTuple):
    """What loads alone and stores alone cost from each set of executed ops on, in one layer: see `frontier`.

    No sets where nothing is known.
    """

    words: Ints  # [front_set, op_word] the sets
    slots: ShortInts  # [slot] a hash table of their numbers, -1 where free
    loads: Labels
    stores: Labels


class Weight(NamedTuple):
    """Of what is present in a state: its bytes, those that would need a store, and the price of loading all of it."""

    held: int
    unsafe: int
    reload: int


class Reached(NamedTuple):
    """How a set is reached: the op, -1 for none, and the lower bounds on the peaks to come from the set before it."""

    op: int
    low: int
    low_dirty: int


@inner(allocates=False)
def find_front(words: Ints, slots: ShortInts, done: Ints) -> int:
    """The number of a set among those of a frontier; NO_FRONTIER where there are none, -1 where it was left out."""
    if words.shape[0] == 0:
        return NO_FRONTIER
    mask = slots.shape[0] - 1
    slot = mix(done) & mask
    while slots[slot] >= 0:
        if same(words[slots[slot]], done):
            return int(slots[slot])
        slot = (slot + 1) & mask
    return -1


@kernel(allocates=False)
def add_set(
    flat: SubproblemArrays,
    peaks: Peaks,
    layer: Layer,
    frontier: ParetoFrontier,
    done: Ints,
    slot: int,
    reached: Reached,
    terms: Terms,
) -> int:
    """Number a set, with bounds on what is to come; the searches stand at the set before it, or at it where
    no op leads to it.
    """
    totals = layer.totals[0]
    number: int = totals.sets
    totals.sets += 1
    layer.set_slots[slot] = number
    for w in range(done.shape[0]):
        layer.words[number, w] = done[w]
    layer.front[number] = find_front(frontier.words, frontier.slots, done)
    _bound_live_peak(flat, peaks.live, layer, number, reached, terms)
    if terms.rules.alike:
        layer.live_dirty[number] = layer.live[number]
        layer.low_dirty[number] = layer.low[number]
    else:
        _bound_dirty_peak(peaks.dirty, layer, number, reached, terms)
    return number


@inner(allocates=False)
def _bound_live_peak(
    flat: SubproblemArrays, live: Descent, layer: Layer, number: int, reached: Reached, terms: Terms
) -> None:
    """What is live at a set, a lower bound on the live peak from there on, and whether that needs no spill."""
    executed, rules, low = live.executed, terms.rules, reached.low
    start = executed.totals[0].count
    if reached.op >= 0:
        during, change = price(live.model, executed, reached.op)
        low = low if during < low else 0  # where the op has the peak that was to come, less may be left
        execute(live.model, executed, reached.op, change)
    layer.live[number] = executed.totals[0].live
    reload = 0
    for s in range(flat.size.shape[0]):
        begun = live.model.opening[s] or executed.touched[s] > 0
        if begun and (live.model.closing[s] or executed.touched[s] < live.model.touches[s]):
            reload += flat.reload[s]
    layer.reload[number] = reload
    goal = False
    if rules.goal or rules.loads or rules.alike:
        low, goal = raise_least_peak(live, low, terms.capacity, terms.effort)
    undo(live.model, executed, start)
    layer.low[number] = low
    layer.goal[number] = goal and rules.goal


@inner(allocates=False)
def _bound_dirty_peak(dirty: Descent, layer: Layer, number: int, reached: Reached, terms: Terms) -> None:
    """What needs a store at a set, and a lower bound on the peak of that from there on."""
    executed, low = dirty.executed, reached.low_dirty
    start = executed.totals[0].count
    if reached.op >= 0:
        during, change = price(dirty.model, executed, reached.op)
        low = low if during < low else 0
        execute(dirty.model, executed, reached.op, change)
    layer.live_dirty[number] = executed.totals[0].live
    if terms.rules.stores and not layer.goal[number]:
        low, _ = raise_least_peak(dirty, low, terms.capacity, terms.effort)
    undo(dirty.model, executed, start)
    layer.low_dirty[number] = low


@inner(allocates=False)
def weigh(flat: SubproblemArrays, inside: Ints, clean: Ints) -> Weight:
    """What is present, weighed."""
    held = 0
    unsafe = 0
    reload = 0
    for w in range(inside.shape[0]):
        bits = inside[w]
        while bits != 0:
            s = (w << 6) + first_bit(bits)
            held += flat.size[s]
            reload += flat.reload[s]
            if flat.store[s] and (clean[w] >> (s & 63)) & 1 == 0:
                unsafe += flat.size[s]
            bits &= bits - 1
    return Weight(held, unsafe, reload)


@inner(allocates=False)
def bound(
    flat: SubproblemArrays,
    layer: Layer,
    frontier: ParetoFrontier,
    number: int,
    inside: Ints,
    clean: Ints,
    weight: Weight,
    terms: Terms,
) -> int:
    """A lower bound on what is still to be paid from a state of set `number`: loads and stores, each for itself."""
    total = 0
    k = layer.front[number]
    if terms.rules.loads:
        lack = layer.low[number] - terms.capacity - (layer.live[number] - weight.held)
        total = scaled(lack, terms.rate)
        if k != NO_FRONTIER and frontier.loads.first.shape[0]:
            loads = to_pay(frontier.loads, k, inside, clean, flat.reload, True)
            total = max(total, loads - (layer.reload[number] - weight.reload))
    if terms.rules.stores:
        lack = layer.low_dirty[number] - terms.capacity - (layer.live_dirty[number] - weight.unsafe)
        stores = scaled(lack, terms.rate)
        if k != NO_FRONTIER and frontier.stores.first.shape[0]:
            stores = max(stores, to_pay(frontier.stores, k, inside, clean, flat.store, False))
        total += stores
    return total


@kernel(allocates=False)
def scaled(lack: int, rate: float) -> int:
    """The least cost of moving `lack` bytes of scratchpad."""
    if lack <= 0:
        return 0
    return int(np.ceil(lack * rate - 1e-6)) if rate < 1 else lack


@inner(allocates=False)
def to_pay(labels: Labels, k: int, inside: Ints, clean: Ints, price: Ints, loading: bool) -> int:
    """The least bytes that one half pays from set k on, with `inside` present and `clean` of it in host.

    Of a label, what it keeps beyond `inside` is loaded; of `inside` what host has not and it does not keep is stored.
    """
    best = LEFT_OUT
    if k < 0:
        return best
    for p in range(labels.first[k], labels.last[k]):
        cost = labels.cost[p]
        if cost >= best:
            break
        for w in range(inside.shape[0]):
            kept = labels.inside[p, w]
            bits = kept & ~inside[w] if loading else inside[w] & ~clean[w] & ~kept
            cost = cheaper(bits, w << 6, price, cost, best)
        best = min(best, cost)
    return best


@inner(allocates=False)
def cheaper(bits: int, s: int, price: Ints, cost: int, best: int) -> int:
    """`cost` and the price of the storages from s on that `bits` names, or something that is not below `best`."""
    while bits != 0 and cost < best:
        cost += price[s + first_bit(bits)]
        bits &= bits - 1
    return cost


@kernel(allocates=False)
def bound_states(
    flat: SubproblemArrays, layer: Layer, frontier: ParetoFrontier, order: Ints, f: Ints, terms: Terms
) -> None:
    """Write what a way through each of the states `order` pays at least to `f`, an entry each."""
    for x in range(order.shape[0]):
        k = order[x]
        inside, clean = split_row(layer.row[k], terms)
        weight = weigh(flat, inside, clean)
        f[x] = layer.paid[k] + bound(flat, layer, frontier, layer.set_of[k], inside, clean, weight, terms)


@inlined(allocates=False)
def split_row(row: Ints, terms: Terms) -> tuple[Ints, Ints]:
    """The present storages of a row, and the clean ones."""
    W, V = terms.op_words, terms.storage_words
    return row[W : W + V], row[W + V :]
