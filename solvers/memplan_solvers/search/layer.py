"""A layer of states, in numba: its tables, how states and sets enter them, and what is still to be paid from each.

All states of a layer have as many ops executed. Axes of all arrays of this package: `op` and `storage` of a subproblem; `state`
and `set` of a layer, a set being one of executed ops; `op_word` and `storage_word` the 64-bit words of sets written as bits;
`label` what a frontier has of a set. Prices and sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Ints, Records, ShortInts
from memplan_solvers.jit import inner, kernel
from memplan_solvers.peak.descent import Descent
from memplan_solvers.peak.executed import execute, price, undo
from memplan_solvers.search.least_peak import raise_least_peak
from memplan_solvers.search.state import SubproblemArrays, first_bit, mix, same

NO_FRONTIER = -2
"""The number of a set where no frontier is known."""

LEFT_OUT = 1 << 61
"""What a set pays at least that was left out of a frontier."""

TOTALS = np.dtype(
    [
        ("states", np.int64),  # states in the layer
        ("sets", np.int64),  # distinct sets of executed ops among them
        ("best", np.int64),  # what the best way to a goal pays, or what a better one has to pay less than
        ("parent", np.int64),  # the state before that goal
        ("op", np.int64),  # the op that leads to it
        ("cut", np.int64),  # the least f of what was left out because of `best`
    ]
)


class Rules(NamedTuple):
    """Which rules apply, see `layered_search.RULES`."""

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
    rules: Rules


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
    slots: ShortInts  # a hash table of their numbers, -1 where free
    loads: Labels
    stores: Labels


class Layer(NamedTuple):
    """The states of one layer, and their sets. Hash tables have a power of two of slots, -1 where free."""

    row: Ints  # [state, word] executed ops, then present storages, then those of them that host has, as bits
    paid: Ints  # [state] what the way to it paid
    parent: ShortInts  # [state] the state before it, -1 for the first one
    move: ShortInts  # [state] the op that led to it, -1 for the first one
    set_of: Ints  # [state] the number of its set
    words: Ints  # [set, op_word]
    low: Ints  # [set] a lower bound on the live peak to come
    low_dirty: Ints  # [set] likewise, counting what needs a store alone
    live: Ints  # [set] live bytes
    live_dirty: Ints  # [set] those that need a store
    reload: Ints  # [set] the reload of all that is live
    front: Ints  # [set] its number in the frontier
    goal: Flags  # [set] whether some order needs no spill from here on
    slots: ShortInts  # hash table of states
    set_slots: ShortInts  # hash table of sets
    totals: Annotated[Records, TOTALS, "1"]
    goal_row: Ints  # [word] the row of the best goal


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


@kernel(allocates=False)
def find_set(layer: Layer, done: Ints) -> tuple[np.int64, np.int64]:
    """The number of a set of executed ops, -1 where it is new, and its slot."""
    mask = layer.set_slots.shape[0] - 1
    slot = mix(done) & mask
    while layer.set_slots[slot] >= 0:
        if same(layer.words[layer.set_slots[slot]], done):
            return np.int64(layer.set_slots[slot]), slot
        slot = (slot + 1) & mask
    return np.int64(-1), slot


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
    """Number a set, with bounds on what is to come; the searches stand at the set before it, or at it where no op leads to it."""
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
def add_state(layer: Layer, row: Ints, cost: int, parent: int, op: int, number: int) -> bool:
    """Keep a state, or the cheaper way to it; False where the layer is full."""
    totals = layer.totals[0]
    mask = layer.slots.shape[0] - 1
    slot = mix(row) & mask
    while layer.slots[slot] >= 0:
        k = layer.slots[slot]
        if same(layer.row[k], row):
            if cost < layer.paid[k]:
                layer.paid[k] = cost
                layer.parent[k] = parent
                layer.move[k] = op
            return True
        slot = (slot + 1) & mask
    k = totals.states
    if k == layer.row.shape[0]:
        return False
    layer.slots[slot] = k
    for w in range(row.shape[0]):
        layer.row[k, w] = row[w]
    layer.paid[k] = cost
    layer.parent[k] = parent
    layer.move[k] = op
    layer.set_of[k] = number
    totals.states += 1
    return True


@kernel(allocates=False)
def restore(new: Layer, old: Layer, order: Ints) -> None:
    """Fill an empty layer, which has the sets of another one, with the states `order` of that one."""
    for x in range(order.shape[0]):
        k = order[x]
        add_state(new, old.row[k], old.paid[k], old.parent[k], old.move[k], old.set_of[k])
    place_sets(new.words[: new.totals[0].sets], new.set_slots)


@kernel(allocates=False)
def place_sets(words: Ints, slots: ShortInts) -> None:
    """Enter sets of executed ops into an empty hash table."""
    mask = slots.shape[0] - 1
    for number in range(words.shape[0]):
        slot = mix(words[number]) & mask
        while slots[slot] >= 0:
            slot = (slot + 1) & mask
        slots[slot] = number
