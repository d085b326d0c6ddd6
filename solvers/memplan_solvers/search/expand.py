"""From one layer of states to the next, in numba: moves, evictions, and what dominates what."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Ints
from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.layer import (
    Layer,
    ParetoFrontier,
    Peaks,
    Reached,
    Terms,
    Weight,
    add_set,
    add_state,
    bound,
    find_set,
    weigh,
)
from memplan_solvers.search.state import (
    SubproblemArrays,
    begun,
    demand,
    first_bit,
    is_free,
    left,
    members,
    rank_victims,
)
from memplan_solvers.search.subsets import Leavers, Walk, begin, give_back, is_exhausted, skip, take


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
    """How a new state comes about: its parent, the op, the number of its set."""

    parent: int
    op: int
    number: int


@inner(allocates=False)
def run_op(flat: SubproblemArrays, parent: Ints, i: int, row: Ints, terms: Terms) -> None:
    """Write the state after op i, nothing evicted, to `row`, all but its executed ops."""
    R = terms.op_words
    C = R + terms.storage_words
    for w in range(R, row.shape[0]):
        row[w] = parent[w]
    done = parent[:R]
    for k in range(flat.touched.at[i], flat.touched.at[i + 1]):
        s = flat.touched.values[k]
        bit = np.int64(1) << (s & 63)
        if not flat.closing[s] and left(flat, s, done) == 1:
            row[R + (s >> 6)] &= ~bit
            row[C + (s >> 6)] &= ~bit
        elif row[R + (s >> 6)] & bit == 0:
            row[R + (s >> 6)] |= bit
            if flat.store[s] and begun(flat, s, done):
                row[C + (s >> 6)] |= bit


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
    inside, clean = _split(row, terms)
    if is_too_dear(flat, new, frontier, child.number, inside, clean, (cost, weight), terms):
        return True
    return bool(add_state(new, row, cost, child.parent, child.op, child.number))


@inlined(allocates=False)
def _split(row: Ints, terms: Terms) -> tuple[Ints, Ints]:
    """The present storages of a row, and the clean ones."""
    W, V = terms.op_words, terms.storage_words
    return row[W : W + V], row[W + V :]


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
def is_superfluous(before: Flags, leavers: Leavers, walk: Walk) -> bool:
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
    walk: Walk,
    child: Child,
    lack: int,
    weight: Weight,
    terms: Terms,
) -> bool:
    """Keep the states after an op for which `lack` bytes have to leave, a state for each set that may; False where the layer
    is full.

    `scratch.base` is the state with nothing evicted, which weighs `weight`.
    """
    new, rules, W, V = layers.new, terms.rules, terms.op_words, terms.storage_words
    row, leavers, size = scratch.row, scratch.leavers, flat.size
    _, clean = _split(layers.old.row[child.parent], terms)
    cost = layers.old.paid[child.parent]
    for w in range(row.shape[0]):
        row[w] = scratch.base[w]
    held, unsafe, reload = weight
    while True:
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


@inlined(allocates=False)
def find_free(
    flat: SubproblemArrays, ready: Ints, here: Ints, inside: Ints, clean: Ints, held: int, terms: Terms
) -> int:
    """The first ready op that fits and runs at once without loss; -1 where there is none."""
    if terms.rules.free:
        for k in range(ready.shape[0]):
            i = ready[k]
            fits = demand(flat, i, here, inside, held) <= terms.capacity
            if fits and is_free(flat, i, here, inside, clean):
                return int(i)
    return -1


@inlined(allocates=False)
def settle_searches(peaks: Peaks, done: Ints, ready: Ints, terms: Terms) -> int:
    """Let the searches stand at a set and write its ready ops to `ready`; how many."""
    settle(peaks.live.model, peaks.live.executed, done)
    if not terms.rules.alike:
        settle(peaks.dirty.model, peaks.dirty.executed, done)
    count: int = peaks.live.executed.totals[0].ready
    for k in range(count):
        ready[k] = peaks.live.executed.ready[k]  # `settle` lists them by number
    return count


@inlined(allocates=False)
def reach_set(
    flat: SubproblemArrays, peaks: Peaks, layers: Layers, number: int, i: int, base: Ints, terms: Terms
) -> int:
    """The number in the new layer of set `number` of the old one with op i; its words are written to `base`."""
    old, new = layers.old, layers.new
    for w in range(terms.op_words):
        base[w] = old.words[number, w]
    base[i >> 6] |= np.int64(1) << (i & 63)
    done = base[: terms.op_words]
    found, slot = find_set(new, done)
    if found < 0:
        reached = Reached(i, old.low[number], old.low_dirty[number])
        found = add_set(flat, peaks, new, layers.new_frontier, done, slot, reached, terms)
    return int(found)


@kernel(allocates=False)
def expand(
    flat: SubproblemArrays,
    peaks: Peaks,
    layers: Layers,
    start: int,
    stop: int,
    terms: Terms,
    scratch: Scratch,
) -> int:
    """Add the children of the states [start, stop) of the old layer, sorted by set, to the new one; where it was full."""
    old, new, base = layers.old, layers.new, scratch.base
    standing = -1
    count_ready = 0
    for p in range(start, stop):
        if new.totals[0].sets + scratch.ready.shape[0] > new.words.shape[0]:
            return p
        number = old.set_of[p]
        here = old.row[p, : terms.op_words]
        inside, clean = _split(old.row[p], terms)
        weight = weigh(flat, inside, clean)
        paid = old.paid[p]
        if is_pruned(flat, layers, p, inside, clean, weight, terms):
            continue
        if number != standing:
            count_ready = settle_searches(peaks, here, scratch.ready, terms)
            standing = number
        ready = scratch.ready[:count_ready]
        present = scratch.present[: members(inside, scratch.present)]
        only = find_free(flat, ready, here, inside, clean, weight.held, terms)
        ranked = False
        for k in range(count_ready):
            i = ready[k]
            if only >= 0 and i != only:
                continue
            child = Child(p, i, reach_set(flat, peaks, layers, number, i, base, terms))
            run_op(flat, old.row[p], i, base, terms)
            base_inside, base_clean = _split(base, terms)
            after = weigh(flat, base_inside, base_clean)
            lack = demand(flat, i, here, inside, weight.held) - terms.capacity
            if lack <= 0:
                if not emit(flat, new, layers.new_frontier, base, child, paid, after, terms):
                    return p
                continue
            # Evictions cost at least what they take off the bound.
            if terms.rate == 1 and not new.goal[child.number]:
                if is_too_dear(
                    flat,
                    new,
                    layers.new_frontier,
                    child.number,
                    base_inside,
                    base_clean,
                    (paid, after),
                    terms,
                ):
                    continue
            walk = begin(flat, i, present, scratch.leavers)
            if walk.rest < lack:
                continue
            if terms.rules.farther and not ranked:
                rank_victims(flat, here, clean, present, scratch.before, scratch.covered)
                ranked = True
            if not evict(flat, layers, scratch, walk, child, lack, after, terms):
                return p
    return stop


@inlined(allocates=False)
def is_pruned(
    flat: SubproblemArrays,
    layers: Layers,
    p: int,
    inside: Ints,
    clean: Ints,
    weight: Weight,
    terms: Terms,
) -> bool:
    """Whether state p of the old layer leads to nothing better than is known by now."""
    old, totals = layers.old, layers.new.totals[0]
    f = old.paid[p] + bound(flat, old, layers.old_frontier, old.set_of[p], inside, clean, weight, terms)
    if f >= totals.best:
        totals.cut = min(totals.cut, f)
        return True
    return False


@inner(allocates=False)
def turns_into(flat: SubproblemArrays, layer: Layer, a: int, b: int, terms: Terms) -> bool:
    """Whether state a turns into state b of the same set by evictions and stores, having paid no more with these."""
    inside, clean = _split(layer.row[a], terms)
    other_inside, other_clean = _split(layer.row[b], terms)
    slack = layer.paid[b] - layer.paid[a]
    for w in range(terms.storage_words):
        bits = inside[w] & ~other_inside[w]
        while bits != 0 and slack >= 0:
            s = (w << 6) + first_bit(bits)
            slack -= flat.reload[s]
            if (clean[w] >> (s & 63)) & 1 == 0:
                slack -= flat.store[s]
            bits &= bits - 1
        bits = inside[w] & other_inside[w] & ~clean[w] & other_clean[w]
        while bits != 0 and slack >= 0:
            slack -= flat.store[(w << 6) + first_bit(bits)]
            bits &= bits - 1
        if slack < 0:
            return False
    return bool(slack >= 0)


@kernel(allocates=False)
def dominate(
    flat: SubproblemArrays, layer: Layer, order: Ints, keep: Flags, kept: Ints, terms: Terms
) -> None:
    """Clear `keep` of states that another of the same set turns into at no more cost.

    `order` lists states by set, then by what was paid. Each is compared with the cheapest that remain, as many as there is
    room for in `kept`.
    """
    count = 0
    standing = -1
    for x in range(order.shape[0]):
        b = order[x]
        if layer.set_of[b] != standing:
            standing = layer.set_of[b]
            count = 0
        worse = False
        for y in range(count):
            if turns_into(flat, layer, kept[y], b, terms):
                worse = True
                break
        keep[b] = not worse
        if not worse and count < kept.shape[0]:
            kept[count] = b
            count += 1


@kernel(allocates=False)
def bound_states(
    flat: SubproblemArrays, layer: Layer, frontier: ParetoFrontier, order: Ints, f: Ints, terms: Terms
) -> None:
    """Write what a way through each of the states `order` pays at least to `f`, an entry each."""
    for x in range(order.shape[0]):
        k = order[x]
        inside, clean = _split(layer.row[k], terms)
        weight = weigh(flat, inside, clean)
        f[x] = layer.paid[k] + bound(flat, layer, frontier, layer.set_of[k], inside, clean, weight, terms)
