"""From one layer of states to the next, in numba: which ops run, and what they need."""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import inlined, inner, kernel
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.children import Child, Layers, Scratch, emit, evict, is_too_dear
from memplan_solvers.search.layer import find_set
from memplan_solvers.search.remaining_cost import (
    Peaks,
    Reached,
    Terms,
    add_set,
    bound,
    split_row,
    weigh,
)
from memplan_solvers.search.state import SubproblemArrays, begun, demand, is_free, left, members, rank_victims
from memplan_solvers.search.subsets import begin


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
        inside, clean = split_row(old.row[p], terms)
        weight = weigh(flat, inside, clean)
        paid = old.paid[p]
        f = paid + bound(flat, old, layers.old_frontier, number, inside, clean, weight, terms)
        if f >= new.totals[0].best:
            new.totals[0].cut = min(new.totals[0].cut, f)
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
            child = Child(p, i, reach_set(flat, peaks, layers, number, i, base, terms), f)
            run_op(flat, old.row[p], i, base, terms)
            base_inside, base_clean = split_row(base, terms)
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
