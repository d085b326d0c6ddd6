"""One op taken back from kept storages and what was paid behind them, in numba: the steps of a frontier."""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import borrow, inlined, inner, kernel
from memplan_solvers.search.backwards_state import (
    Above,
    Bounds,
    FoundLabels,
    GrowingLabels,
    HalfTerms,
    Label,
    SetRange,
    Sets,
    Taken,
    WorkSpace,
)
from memplan_solvers.search.remaining_cost import LEFT_OUT, Labels, cheaper, find_front, scaled
from memplan_solvers.search.state import SubproblemArrays, begun, first_bit, members, mix, same
from memplan_solvers.search.subsets import Leavers, begin, give_back, is_exhausted, take

COMPARED = 1_000
"""Cheapest labels of a set with which the others are compared."""


@kernel(allocates=False)
def find_live(flat: SubproblemArrays, words: Ints, live: Ints) -> None:
    """Write what is live after each set of executed ops to `live`, as bits."""
    for k in range(words.shape[0]):
        for s in range(flat.size.shape[0]):
            needed = flat.closing[s]
            for w in range(words.shape[1]):
                needed = needed or flat.toucher_bits[s, w] & ~words[k, w] != 0
            if needed and begun(flat, s, words[k]):
                live[k, s >> 6] |= np.int64(1) << (s & 63)


@inner(allocates=False)
def sum_of(bits: Ints, values: Ints) -> int:
    """The sum of the values of these storages."""
    total = 0
    for w in range(bits.shape[0]):
        total = cheaper(bits[w], w << 6, values, total, LEFT_OUT)
    return total


@inner(allocates=False)
def has(bits: Ints, s: int) -> bool:
    """Whether s is among the bits."""
    return bool((bits[s >> 6] >> (s & 63)) & 1 != 0)


@inner(allocates=False)
def next_set(flat: SubproblemArrays, words: Ints, i: int, sets: Sets, above: Ints) -> int:
    """The number of the set with op i as well; -1 where op i was executed or waits for another. `above` is
    for its words.
    """
    if has(words, i):
        return -1
    for e in range(flat.preds.at[i], flat.preds.at[i + 1]):
        if not has(words, flat.preds.values[e]):
            return -1
    for w in range(words.shape[0]):
        above[w] = words[w]
    above[i >> 6] |= np.int64(1) << (i & 63)
    return int(find_front(sets.words, sets.slots, above))


@inner(allocates=False)
def beside(flat: SubproblemArrays, i: int, inside: Ints) -> int:
    """Bytes that op i needs beside what is kept."""
    need: int = flat.extra[i]
    for e in range(flat.touched.at[i], flat.touched.at[i + 1]):
        s = flat.touched.values[e]
        if not has(inside, s):
            need += flat.size[s]
    return need


@kernel
def raise_peaks(flat: SubproblemArrays, sets: Sets, peaks: Ints, following: Sets, next_peaks: Ints) -> None:
    """The least peak on the way to each set, one op on."""
    flat, sets, peaks = borrow(flat), borrow(sets), borrow(peaks)
    following, next_peaks = borrow(following), borrow(next_peaks)
    above = np.zeros(sets.words.shape[1], np.int64)
    for k in range(sets.words.shape[0]):
        held = sum_of(sets.live[k], flat.size)
        for i in range(flat.extra.shape[0]):
            u = next_set(flat, sets.words[k], i, following, above)
            if u >= 0:
                during = held + beside(flat, i, sets.live[k])
                next_peaks[u] = min(next_peaks[u], max(peaks[k], during))


@inner(allocates=False)
def add(work: WorkSpace, count: int, row: Ints, cost: int, held: int) -> int:
    """Keep a label, or the cheaper of two alike; how many there are, -1 where there is no room."""
    mask = work.slots.shape[0] - 1
    serial = work.serial[0].next
    slot = mix(row) & mask
    while work.slots[slot] >= serial:
        k = work.slots[slot] - serial
        if same(work.inside[k], row):
            work.cost[k] = min(work.cost[k], cost)
            return count
        slot = (slot + 1) & mask
    if count == work.cost.shape[0]:
        return -1
    work.slots[slot] = serial + count
    for w in range(row.shape[0]):
        work.inside[count, w] = row[w]
    work.cost[count] = cost
    work.held[count] = held
    return count + 1


@inner(allocates=False)
def is_beaten(
    flat: SubproblemArrays, work: WorkSpace, b: int, made: GrowingLabels, begin: int, end: int
) -> bool:
    """Whether one of the labels [begin, end) pays no more than label b once it has dropped what it keeps beyond it."""
    for a in range(begin, end):
        slack = work.cost[b] - made.cost[a]
        for w in range(made.inside.shape[1]):
            bits = made.inside[a, w] & ~work.inside[b, w]
            while bits != 0 and slack >= 0:
                slack -= flat.reload[(w << 6) + first_bit(bits)]
                bits &= bits - 1
        if slack >= 0:
            return True
    return False


@inner
def keep_unbeaten(flat: SubproblemArrays, work: WorkSpace, count: int, made: GrowingLabels, k: int) -> bool:
    """Append the labels of set k that no other beats; whether there was room."""
    begin = made.totals[0].labels
    if begin + count > made.cost.shape[0]:
        return False
    by_bytes = np.argsort(work.held[:count], kind="mergesort")
    order = by_bytes[np.argsort(work.cost[:count][by_bytes], kind="mergesort")]
    end = begin
    for x in range(count):
        b = order[x]
        if not is_beaten(flat, work, b, made, begin, min(end, begin + COMPARED)):
            for w in range(made.inside.shape[1]):
                made.inside[end, w] = work.inside[b, w]
            made.cost[end] = work.cost[b]
            end += 1
    made.first[k] = begin
    made.last[k] = end
    made.totals[0].labels = end
    return True


@inlined(allocates=False)
def drop_before(
    flat: SubproblemArrays,
    terms: HalfTerms,
    bounds: Bounds,
    live: Ints,
    label: Label,
    taken: Taken,
    work: WorkSpace,
    found: FoundLabels,
) -> FoundLabels:
    """Add the labels of a set that come from one behind its op to what is `found` of it."""
    k, count, lowest = found.set, found.labels, found.lowest
    inside, cost = label.inside, label.cost
    i, row, leavers = taken.op, taken.row, taken.leavers
    live_bytes, below = sum_of(live, flat.size), bounds.limits[k]
    lack = sum_of(inside, flat.size) + beside(flat, i, inside) - terms.capacity
    walk = begin(flat, i, taken.present[: members(inside, taken.present) if lack > 0 else 0], leavers)
    for w in range(row.shape[0]):
        row[w] = (inside[w] | taken.gain[w]) & live[w]
    while True:
        if walk.freed >= lack:
            held = sum_of(row, flat.size)
            f = cost + scaled(bounds.peaks[k] - terms.capacity - (live_bytes - held), terms.rate)
            if f < below:
                lowest = min(lowest, f)
                count = add(work, count, row, cost, held)
                if count < 0:
                    return FoundLabels(k, count, lowest)
        if is_exhausted(walk, lack, True) or cost >= below:
            if walk.depth == 0:
                return FoundLabels(k, count, lowest)
            walk = give_back(flat.size, leavers, walk)
            s = leavers.storage[leavers.chosen[walk.depth]]
            if has(live, s):
                row[s >> 6] |= np.int64(1) << (s & 63)
            cost -= flat.reload[s]
        else:
            s = leavers.storage[walk.at]
            walk = take(flat.size, leavers, walk)
            cost += flat.reload[s]
            row[s >> 6] &= ~(np.int64(1) << (s & 63))


@kernel
def take_back(
    flat: SubproblemArrays,
    sets: Sets,
    bounds: Bounds,
    above: Above,
    terms: HalfTerms,
    chunk: SetRange,
    made: GrowingLabels,
    work: WorkSpace,
) -> int:
    """Make the labels of the sets of a chunk from those of the sets one op larger; the set where it stopped, for
    want of space before `chunk.stop`.

    Labels that pay a set's limit or more are left out; `bounds.least` learns what a way through a set pays at least.
    """
    flat, sets, bounds, above = borrow(flat), borrow(sets), borrow(bounds), borrow(above)
    made, work = borrow(made), borrow(work)
    m, V = flat.size.shape[0], sets.live.shape[1]
    words = np.zeros(sets.words.shape[1], np.int64)
    gain, row, present = np.zeros(V, np.int64), np.zeros(V, np.int64), np.zeros(m, np.int64)
    leavers = Leavers(np.zeros(m, np.int64), np.zeros(m, np.int64), np.zeros(m + 1, np.int64))
    for k in range(chunk.start, chunk.stop):
        live = sets.live[k]
        found = FoundLabels(k, 0, bounds.limits[k])
        for i in range(flat.extra.shape[0] if bounds.least[k] < bounds.limits[k] else 0):
            u = next_set(flat, sets.words[k], i, above.sets, words)
            if u < 0:
                continue
            gain[:] = 0
            for e in range(flat.touched.at[i], flat.touched.at[i + 1]):
                s = flat.touched.values[e]
                stays = terms.returns or flat.size[s] == 0 or not has(above.sets.live[u], s)
                if has(live, s) and stays:
                    gain[s >> 6] |= np.int64(1) << (s & 63)
            taken = Taken(i, gain, row, present, leavers)
            for p in range(above.labels.first[u], above.labels.last[u]):
                label = Label(above.labels.inside[p], above.labels.cost[p])
                found = drop_before(flat, terms, bounds, live, label, taken, work, found)
                if found.labels < 0:
                    return k
        if not keep_unbeaten(flat, work, found.labels, made, k):
            return k
        work.serial[0].next += found.labels
        bounds.least[k] = max(bounds.least[k], found.lowest)
    return chunk.stop


@kernel
def take_off_stored(flat: SubproblemArrays, sets: Sets, labels: Labels) -> None:
    """Take off what labels of stores alone paid for storages that are live: a state may have stored them before."""
    flat, sets, labels = borrow(flat), borrow(sets), borrow(labels)
    gone = np.zeros(sets.live.shape[1], np.int64)
    for k in range(sets.words.shape[0]):
        for p in range(labels.first[k], labels.last[k]):
            for w in range(gone.shape[0]):
                gone[w] = sets.live[k, w] & ~labels.inside[p, w]
            labels.cost[p] -= sum_of(gone, flat.store)
