"""How the states after an op enter the next layer, in numba: one for each set of storages that may leave for it."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Ints
from memplan_solvers.jit import inlined, inner
from memplan_solvers.search.layer import Layer, add_state
from memplan_solvers.search.remaining_cost import ParetoFrontier, Terms, Weight, bound, split_row
from memplan_solvers.search.state import SubproblemArrays
from memplan_solvers.search.subsets import Leavers, SubsetWalk, give_back, is_exhausted, skip, take

MOST_STEPS = 10_000
"""Steps of the walk over what may leave for one op of one state; what it has not come to by then is skipped."""


class Layers(NamedTuple):
    """A layer, the one after it, and the frontier of each."""

    old: Layer
    new: Layer
    old_frontier: ParetoFrontier
    new_frontier: ParetoFrontier


class Scratch(NamedTuple):
    """What an expansion works in; it means nothing afterwards."""

    ready: Annotated[Ints, "op"]  # ops that may run next, ascending
    present: Annotated[Ints, "storage"]  # storages that are present
    leavers: Leavers
    before: Annotated[
        Flags, "storage, storage"
    ]  # [a, b]: whether present[a] leaves before present[b] without loss
    covered: Annotated[Ints, "op_word"]
    base: Annotated[Ints, "word"]  # the state after the op, nothing evicted
    row: Annotated[Ints, "word"]  # the state that is made of it


class Child(NamedTuple):
    """How a new state comes about: its parent, the op, the number of its set; and what all ways from the parent pay at least."""

    parent: int
    op: int
    number: int
    least: int


@inner(allocates=False)
def emit(
    flat: SubproblemArrays,
    new: Layer,
    frontier: ParetoFrontier,
    row: Ints,
    child: Child,
    cost: int,
    weight: Weight,
    terms: Terms,
) -> bool:
    """Keep the state `row` unless it is a goal or too dear; False where the layer is full."""
    totals = new.totals[0]
    if new.goal[child.number]:
        if cost < totals.best:
            totals.best = cost
            totals.parent = child.parent
            totals.op = child.op
            for w in range(row.shape[0]):
                new.goal_row[w] = row[w]
        else:
            totals.cut = min(totals.cut, cost)
        return True
    inside, clean = split_row(row, terms)
    if is_too_dear(flat, new, frontier, child.number, inside, clean, (cost, weight), terms):
        return True
    return bool(add_state(new, row, cost, child.parent, child.op, child.number))


@inlined(allocates=False)
def is_too_dear(
    flat: SubproblemArrays,
    layer: Layer,
    frontier: ParetoFrontier,
    number: int,
    inside: Ints,
    clean: Ints,
    known: tuple[int, Weight],
    terms: Terms,
) -> bool:
    """Whether a state that has paid known[0] is not worth keeping; what it pays at least is noted then."""
    cost, weight = known
    totals = layer.totals[0]
    f = cost + bound(flat, layer, frontier, number, inside, clean, weight, terms)
    if f >= totals.best:
        totals.cut = min(totals.cut, f)
        return True
    return False


@inner(allocates=False)
def is_superfluous(before: Flags, leavers: Leavers, walk: SubsetWalk) -> bool:
    """Whether one of the chosen had better stay and another leave in its place."""
    for x in range(walk.depth):
        at = 0
        for a in range(walk.candidates):
            # `chosen` ascends: walk along it.
            while at < walk.depth and leavers.chosen[at] < a:
                at += 1
            is_chosen = at < walk.depth and leavers.chosen[at] == a
            if not is_chosen and before[leavers.place[a], leavers.place[leavers.chosen[x]]]:
                return True
    return False


@inlined(allocates=False)
def evict(
    flat: SubproblemArrays,
    layers: Layers,
    scratch: Scratch,
    walk: SubsetWalk,
    child: Child,
    lack: int,
    weight: Weight,
    terms: Terms,
) -> bool:
    """Keep the states after an op for which `lack` bytes have to leave, a state for each set that may; False
    where the layer is full.

    `scratch.base` is the state with nothing evicted, which weighs `weight`. Of mixed sizes the sets are too many: after
    MOST_STEPS the rest is skipped. All ways from the parent pay `child.least`, so those do.
    """
    new, rules, W, V = layers.new, terms.rules, terms.op_words, terms.storage_words
    row, leavers, size = scratch.row, scratch.leavers, flat.size
    _, clean = split_row(layers.old.row[child.parent], terms)
    cost = layers.old.paid[child.parent]
    for w in range(row.shape[0]):
        row[w] = scratch.base[w]
    held, unsafe, reload = weight
    for _ in range(MOST_STEPS):
        if walk.freed >= lack and not (rules.farther and is_superfluous(scratch.before, leavers, walk)):
            now = Weight(held, unsafe, reload)
            if not emit(flat, new, layers.new_frontier, row, child, cost, now, terms):
                return False
        if is_exhausted(walk, lack, rules.minimal):
            if walk.depth == 0:
                return True
            walk = give_back(size, leavers, walk)
            s = leavers.storage[leavers.chosen[walk.depth]]
            bit = np.int64(1) << (s & 63)
            row[W + (s >> 6)] |= bit
            held += size[s]
            reload += flat.reload[s]
            cost -= flat.reload[s]
            if clean[s >> 6] & bit:
                row[W + V + (s >> 6)] |= bit
            else:
                cost -= flat.store[s]
                if flat.store[s]:
                    unsafe += size[s]
            continue
        s = leavers.storage[walk.at]
        bit = np.int64(1) << (s & 63)
        is_clean = clean[s >> 6] & bit != 0
        dear = cost + flat.reload[s]
        if not is_clean:
            dear += flat.store[s]
        if dear < new.totals[0].best:
            walk = take(size, leavers, walk)
            held -= size[s]
            reload -= flat.reload[s]
            cost = dear
            row[W + (s >> 6)] &= ~bit
            row[W + V + (s >> 6)] &= ~bit
            if not is_clean and flat.store[s]:
                unsafe -= size[s]
        else:
            walk = skip(size, leavers, walk)
            new.totals[0].cut = min(new.totals[0].cut, dear)
    new.totals[0].skipped = min(new.totals[0].skipped, child.least)
    return True
