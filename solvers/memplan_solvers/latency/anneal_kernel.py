"""Simulated annealing by ruin and recreate on a timed layout, compiled.

A layout is decided value by value as in memory space assignment, but every touch has a wish of its own
(stay, come back, host), every load a ratio, and a round takes few values out and places them again, each
judged by the evaluator alone: nothing is estimated operand by operand.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inlined, kernel
from memplan_solvers.latency.decide import place, take_out
from memplan_solvers.latency.draft import (
    CAPACITY,
    DUE,
    FAST,
    FIXED,
    ISSUE,
    LOADED,
    OFFSET,
    OPS,
    OWNER,
    ROW,
    SIZE,
    START,
    STEP,
    STOP,
    WIDTH,
    Draft,
    put,
    set_store,
)
from memplan_solvers.latency.follow import seconds_in_full, seconds_of, settle
from memplan_solvers.latency.timed import Array, Timed

MOST = 10
"""Most values that one round takes out."""

ALONE, STRIP, AROUND = range(3)
"""What a round takes out: the storage of the touch at which it begins, alone; with who lies in a strip of its size
around that step; with some that are there around that step."""

SAME, LOAD, WISH = range(3)
"""What it changes of that touch: nothing; the ratio of its load; its wish, to STAY, RETURN or HOST (WISH + 0, 1, 2)."""

CHANGES = WISH + 3
KINDS = 3 * CHANGES
"""A kind of round: what it takes out x CHANGES + what it changes."""

STATES = 9
"""A state of a touch: how it is served x 3 + its wish."""


class Search(NamedTuple):
    """Where an annealing stands, and its best layout so far."""

    draft: Draft
    wish: Array  # int8[k], per touch
    ratio: Array  # float64[k], copy capacity that a load for the touch asks for, over its copy time; negative: idle one
    queued: float  # share of new ratios that ask for copy capacity which the queue leaves idle
    best: Array  # int64[k + m, 3], start, stop, offset by slot
    best_stores: Array  # int64[m, 2]
    seconds: Array  # float64[2]: of the layout, of the best
    random: Array  # uint64[1]
    kind: Array  # float32[k, KINDS], weight of each kind of round, where it begins
    tally: Array  # float64[2, STATES, k or 0, KINDS], work of the rounds that began at a touch, and what they gained
    choices: Array  # int64[c], touches at which rounds begin, of storages that may be placed; more often if more often here
    kept: Array  # int64[r, 4], scratch: what was taken out: slot, start, stop, offset


@inlined
def rand(state: Array) -> float:
    """A uniform number in [0, 1); xorshift64*."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0


@kernel
def run(timed: Timed, search: Search, rounds: int, hot: float, cold: float) -> None:
    """Do `rounds` rounds, the temperature falling from `hot` to `cold` seconds geometrically."""
    timed, search = borrow(timed), borrow(search)
    random, draft = search.random, search.draft
    out = np.empty(MOST, np.int64)
    old_stores = np.empty((MOST, 2), np.int64)
    cooling = (cold / hot) ** (1.0 / max(1, rounds))
    heat = hot
    for _ in range(rounds):
        heat *= cooling
        k = search.choices[int(rand(random) * len(search.choices))]
        seed, state = draft.slot[k, OWNER], 3 * served_by(draft, k) + search.wish[k]
        old_wish, old_ratio = search.wish[k], search.ratio[k]
        kind = _kind(search, k)
        count = _choose(draft, random, seed, draft.slot[k, STEP], kind // CHANGES, out)
        kept = 0
        for i in range(count):
            old_stores[i] = draft.storage[out[i], ISSUE : DUE + 1]
            kept = take_out(draft, search.kept, out[i], kept)
        _change(search, k, kind % CHANGES)
        for i in range(count):
            place(draft, search.wish, search.ratio, search.kept, kept, out[i], int(rand(random) * 8.0))
        seconds = seconds_in_full(timed, draft) if timed.queues == 2 else seconds_of(draft, search.seconds[0])
        worse = seconds - search.seconds[0]
        if search.tally.shape[2]:
            search.tally[0, state, k, kind] += 0.5 + 0.5 * count
            search.tally[1, state, k, kind] += max(0.0, -worse)
        if worse <= 0.0 or rand(random) < np.exp(-worse / heat):
            search.seconds[0] = seconds
            settle(draft, True)
            if seconds < search.seconds[1] * (1.0 - 1e-12):
                keep_best(search)
            continue
        search.wish[k], search.ratio[k] = old_wish, old_ratio
        for i in range(count):
            take_out(draft, search.kept, out[i], len(search.kept))
        for i in range(count):
            set_store(draft, out[i], old_stores[i, 0], old_stores[i, 1])
        for r in range(kept):
            slot, start, stop, offset = search.kept[r]
            put(draft, slot, start, stop, offset)
        settle(draft, False)


@inlined
def served_by(draft: Draft, k: int) -> int:
    """How touch k is served: from host (0), in the scratchpad (1), there, and loaded for it (2)."""
    slot = draft.slot
    if not slot[k, FAST]:
        return 0
    return 2 if slot[k, START] >= 0 and slot[k, LOADED] else 1


@kernel
def states(search: Search) -> Array:
    """The state of each touch, int64[k]."""
    search = borrow(search)
    state = np.empty(len(search.wish), np.int64)
    for k in range(len(state)):
        state[k] = 3 * served_by(search.draft, k) + search.wish[k]
    return state


@kernel
def keep_best(search: Search) -> None:
    """Remember the layout as the best."""
    search.best[:] = search.draft.slot[:, START : OFFSET + 1]
    search.best_stores[:] = search.draft.storage[:, ISSUE : DUE + 1]
    search.seconds[1] = search.seconds[0]


@inlined
def _choose(draft: Draft, random: Array, seed: int, t: int, what: int, out: Array) -> int:
    """Fill `out` with the values to take out around step t, in the order in which they come back; how many.

    what: ALONE, STRIP or AROUND.
    """
    slot, storage, block, filled, width = (
        draft.slot,
        draft.storage,
        draft.block,
        draft.filled,
        draft.fact[WIDTH],
    )
    out[0] = seed
    count = 1
    if what == ALONE:
        return 1
    size = slot[storage[seed, ROW], SIZE]
    low = int(rand(random) * max(1, draft.fact[CAPACITY] - size + 1))
    span = int(1.0 + 6.0 * rand(random))
    share = 1.5 * rand(random) / 10.0
    begin = max(0, t - span) // width
    for b in range(begin, min(t + 1 + span, draft.fact[OPS] - 1) // width + 1):
        for i in range(filled[b]):
            r = block[b, i]
            if (
                slot[r, START] > t + 1 + span
                or slot[r, STOP] <= t - span
                or (b > begin and slot[r, START] // width < b)
            ):
                continue
            s = slot[r, OWNER]
            if s == seed or storage[s, FIXED]:
                continue
            if what == STRIP:
                if slot[r, OFFSET] >= low + size or slot[r, OFFSET] + slot[r, SIZE] <= low:
                    continue
            elif rand(random) > share:
                continue
            fresh = True
            for j in range(count):
                fresh = fresh and out[j] != s
            if fresh and count < MOST:
                out[count] = s
                count += 1
    first = 1 if what == STRIP else 0
    for i in range(count - 1, first, -1):
        j = first + int(rand(random) * (i + 1 - first))
        out[i], out[j] = out[j], out[i]
    return count


@inlined
def _kind(search: Search, k: int) -> int:
    """Draw the kind of a round that begins at touch k; none that only grants the wish it has."""
    weight, granted = search.kind[k], WISH + search.wish[k]
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
def _change(search: Search, k: int, change: int) -> None:
    """Change the wish or the ratio of touch k, or neither."""
    if change == LOAD:
        if rand(search.random) < search.queued:
            search.ratio[k] = -0.5 * 8.0 ** rand(search.random)
        else:
            search.ratio[k] = 0.5 * 32.0 ** rand(search.random)
    elif change >= WISH:
        search.wish[k] = change - WISH
