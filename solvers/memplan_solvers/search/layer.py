"""A layer of states, in numba: its tables, and how states and sets enter them.

All states of a layer have as many ops executed. Axes of all arrays of this package: `op` and `storage` of a
subproblem; `state` and `set` of a layer, a set being one of executed ops; `op_word` and `storage_word` the
64-bit words of sets written as bits. Prices and sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Ints, Records, ShortInts
from memplan_solvers.jit import kernel
from memplan_solvers.search.state import NONE, mix, same, words_of

TOTALS = np.dtype(
    [
        ("states", np.int64),  # states in the layer
        ("sets", np.int64),  # distinct sets of executed ops among them
        ("best", np.int64),  # what the best way to a goal pays, or what a better one has to pay less than
        ("parent", np.int64),  # the state before that goal
        ("op", np.int64),  # the op that leads to it
        ("cut", np.int64),  # the least f of what was left out because of `best`
        ("skipped", np.int64),  # the least f of states whose children are not all here, there being too many
    ]
)


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
    slots: ShortInts  # [state_slot] hash table of states
    set_slots: ShortInts  # [set_slot] hash table of sets
    totals: Annotated[Records, TOTALS, "1"]
    goal_row: Ints  # [word] the row of the best goal


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


def new_layer(ops: int, storages: int, states: int, best: int) -> Layer:
    """An empty layer of a subproblem with so many ops and storages, with room for `states` states.

    Of their sets at most as many are distinct; those of one more state have room too.
    """
    totals = np.zeros(1, TOTALS)
    totals["best"], totals["cut"], totals["skipped"] = best, NONE, NONE
    op_words = words_of(ops)
    width, sets = op_words + 2 * words_of(storages), states + ops + 1
    return Layer(
        row=np.zeros((states, width), np.int64),
        paid=np.zeros(states, np.int64),
        parent=np.zeros(states, np.int32),
        move=np.zeros(states, np.int32),
        set_of=np.zeros(states, np.int64),
        words=np.zeros((sets, op_words), np.int64),
        low=np.zeros(sets, np.int64),
        low_dirty=np.zeros(sets, np.int64),
        live=np.zeros(sets, np.int64),
        live_dirty=np.zeros(sets, np.int64),
        reload=np.zeros(sets, np.int64),
        front=np.zeros(sets, np.int64),
        goal=np.zeros(sets, np.bool_),
        slots=_slots(states),
        set_slots=_slots(sets),
        totals=totals,
        goal_row=np.zeros(width, np.int64),
    )


def state_count(layer: Layer) -> int:
    """How many states a layer has."""
    return int(layer.totals["states"][0])


def _slots(entries: int) -> ShortInts:
    return np.full(1 << max(4, (2 * entries - 1).bit_length()), -1, np.int32)
