"""Simulated annealing by ruin and recreate on a timed layout, compiled.

A layout is decided value by value as in memory space assignment, but every touch has a wish of its own
(stay, come back, host), every load a ratio, and a round takes few values out and places them again, each
judged by the evaluator alone: nothing is estimated operand by operand.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from memplan_solvers.latency.draft import (
    CAPACITY,
    COPY,
    DUE,
    END,
    FIXED,
    ISSUE,
    OFFSET,
    OPS,
    OUTPUT,
    OWNER,
    PRODUCER,
    REACH,
    ROW,
    SIZE,
    START,
    STEP,
    STOP,
    STREAMED,
    WIDTH,
    Draft,
    clear_store,
    extend,
    gap,
    is_free,
    put,
    set_store,
    take,
)
from memplan_solvers.latency.follow import seconds_in_full, seconds_of, settle
from memplan_solvers.latency.timed import Array, Timed

NEVER = 2**40
STAY, RETURN, HOST = 0, 1, 2
"""A touch's wish: stay if there is room; leave before and be loaded for it; be served from host."""

MOST = 10
"""Most values that one round takes out."""


class Search(NamedTuple):
    """Where an annealing stands, and its best layout so far."""

    draft: Draft
    wish: Array  # int8[k], per touch
    ratio: Array  # float64[k], copy capacity that a load for the touch asks for, over its copy time
    best: Array  # int64[k + m, 3], start, stop, offset by slot
    best_stores: Array  # int64[m, 2]
    seconds: Array  # float64[2]: of the layout, of the best
    random: Array  # uint64[1]
    choices: Array  # int64[c], storages that may be placed
    kept: Array  # int64[r, 4], scratch: what was taken out: slot, start, stop, offset


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def rand(state: Array) -> float:
    """A uniform number in [0, 1); xorshift64*."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return float((x * np.uint64(2685821657736338717)) >> np.uint64(11)) / 9007199254740992.0


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def run(timed: Timed, search: Search, rounds: int, hot: float, cold: float) -> None:
    """Do `rounds` rounds, the temperature falling from `hot` to `cold` seconds geometrically."""
    random, draft = search.random, search.draft
    out = np.empty(MOST, np.int64)
    old_stores = np.empty((MOST, 2), np.int64)
    cooling = (cold / hot) ** (1.0 / max(1, rounds))
    heat = hot
    for _ in range(rounds):
        heat *= cooling
        seed = search.choices[int(rand(random) * len(search.choices))]
        first = draft.storage[seed, ROW]
        touches = draft.storage[seed, END] - first
        k = first + int(rand(random) * touches)
        old_wish, old_ratio = search.wish[k], search.ratio[k]
        count = _choose(draft, random, seed, draft.slot[k, STEP], out)
        kept = 0
        for i in range(count):
            old_stores[i] = draft.storage[out[i], ISSUE : DUE + 1]
            kept = _take_out(draft, search.kept, out[i], kept)
        _perturb(search, k)
        for i in range(count):
            _place(draft, search.wish, search.ratio, search.kept, out[i], int(rand(random) * 8.0))
        seconds = seconds_in_full(timed, draft) if timed.queues == 2 else seconds_of(draft, search.seconds[0])
        worse = seconds - search.seconds[0]
        if worse <= 0.0 or rand(random) < np.exp(-worse / heat):
            search.seconds[0] = seconds
            settle(draft, True)
            if seconds < search.seconds[1] * (1.0 - 1e-12):
                keep_best(search)
            continue
        search.wish[k], search.ratio[k] = old_wish, old_ratio
        for i in range(count):
            _take_out(draft, search.kept, out[i], len(search.kept))
        for i in range(count):
            set_store(draft, out[i], old_stores[i, 0], old_stores[i, 1])
        for r in range(kept):
            slot, start, stop, offset = search.kept[r]
            put(draft, slot, start, stop, offset)
        settle(draft, False)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def keep_best(search: Search) -> None:
    """Remember the layout as the best."""
    search.best[:] = search.draft.slot[:, START : OFFSET + 1]
    search.best_stores[:] = search.draft.storage[:, ISSUE : DUE + 1]
    search.seconds[1] = search.seconds[0]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _choose(draft: Draft, random: Array, seed: int, t: int, out: Array) -> int:
    """Fill `out` with the values to take out, in the order in which they come back; how many.

    The seed alone; or with who lies in a strip of its size around step t; or with some that are there around t.
    """
    slot, storage, block, filled, width = draft.slot, draft.storage, draft.block, draft.filled, draft.fact[WIDTH]
    out[0] = seed
    count, mode = 1, rand(random)
    if mode < 0.35:
        return 1
    size = slot[storage[seed, ROW], SIZE]
    low = int(rand(random) * max(1, draft.fact[CAPACITY] - size + 1))
    span = int(1.0 + 6.0 * rand(random))
    share = 1.5 * rand(random) / 10.0
    begin = max(0, t - span) // width
    for b in range(begin, min(t + 1 + span, draft.fact[OPS] - 1) // width + 1):
        for i in range(filled[b]):
            r = block[b, i]
            if slot[r, START] > t + 1 + span or slot[r, STOP] <= t - span or (b > begin and slot[r, START] // width < b):
                continue
            s = slot[r, OWNER]
            if s == seed or storage[s, FIXED]:
                continue
            if mode < 0.92:
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
    first = 1 if mode < 0.92 else 0
    for i in range(count - 1, first, -1):
        j = first + int(rand(random) * (i + 1 - first))
        out[i], out[j] = out[j], out[i]
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _take_out(draft: Draft, kept: Array, s: int, count: int) -> int:
    """Remove what is placed of s, remembering it in `kept` from row `count` on while that has room; the next row."""
    slot, storage = draft.slot, draft.storage
    for r in range(storage[s, ROW], storage[s, END]):
        if slot[r, START] >= 0:
            if count < len(kept):
                kept[count, 0], kept[count, 1] = r, slot[r, START]
                kept[count, 2], kept[count, 3] = slot[r, STOP], slot[r, OFFSET]
                count += 1
            take(draft, r)
    clear_store(draft, s)
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _perturb(search: Search, k: int) -> None:
    """Change the wish or the ratio of touch k, or neither."""
    x = rand(search.random)
    if x < 0.25:
        search.ratio[k] = 0.5 * 32.0 ** rand(search.random)
    elif x < 0.6:
        y = rand(search.random)
        search.wish[k] = STAY if y < 0.6 else (RETURN if y < 0.8 else HOST)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _place(draft: Draft, wish: Array, ratio: Array, kept: Array, s: int, fit: int) -> None:
    """Decide s from its definition through its uses, by the wishes of its touches. `fit`: see `draft.gap`."""
    slot, storage, reach, copy = draft.slot, draft.storage, draft.track[0, REACH], draft.cost[s, COPY]
    first, last, streamed = storage[s, ROW], storage[s, END], storage[s, STREAMED]
    host_from, row, k = -1, -1, first
    if storage[s, PRODUCER] >= 0:
        host_from = NEVER
        t = slot[first, STEP]
        if wish[first] != HOST and (last > first + 1 or ratio[first] > 2.0):
            row = _begin(draft, wish, s, t, first, fit)
        if row < 0:
            host_from = t
        k = first + 1
    while k < last:
        t = slot[k, STEP]
        if row >= 0 and slot[row, STOP] > t:  # begun with room until here
            k += 1
            continue
        if row >= 0 and wish[k] == STAY and not streamed:
            if is_free(draft, slot[row, OFFSET], slot[row, SIZE], slot[row, STOP], t + 1):
                extend(draft, row, t + 1)
                k += 1
                continue
        if row >= 0 and host_from == NEVER:
            due = _store(draft, s, row, t)
            if due < 0:  # no time to store it: it stays, or was never there
                _take_out(draft, kept, s, len(kept))
                host_from, row, k = slot[first, STEP], -1, first + 1
                continue
            host_from = due
        row = -1
        if wish[k] != HOST:
            earliest = max(host_from, slot[k - 1, STEP] if k > first else -1) + 1
            start, wanted = t, ratio[k] * copy
            while start > earliest and reach[t] - reach[start] < wanted:
                start -= 1
            for _ in range(4):
                if start > t or start < earliest:
                    break
                row = _begin(draft, wish, s, start, k, fit)
                if row >= 0:
                    break
                start += max(1, (t - start) // 2)
        k += 1
    if row >= 0 and host_from == NEVER and storage[s, OUTPUT] and _store(draft, s, row, draft.fact[OPS]) < 0:
        _take_out(draft, kept, s, len(kept))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _begin(draft: Draft, wish: Array, s: int, start: int, k: int, fit: int) -> int:
    """A residency of s from `start` through touch k and as many more that wish to stay as there is a gap for; its slot
    or -1."""
    slot, end = draft.slot, draft.storage[s, END] if not draft.storage[s, STREAMED] else k + 1
    far = k
    while far + 1 < end and wish[far + 1] == STAY:
        far += 1
    tries, offset = 0, -1
    while far >= k and offset < 0:
        offset = gap(draft, slot[k, SIZE], start, slot[far, STEP] + 1, fit)
        if offset >= 0:
            put(draft, k, start, slot[far, STEP] + 1, offset)
        else:
            tries += 1
            far = far - 1 if tries < 3 or far == k else max(k, (far + k) // 2)
    return k if offset >= 0 else -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _store(draft: Draft, s: int, row: int, limit: int) -> int:
    """Store s, resident in `row` since its production, with the copy capacity it needs by `limit` if its place stays
    free, less if not; the due step, or -1 if it cannot be stored by then at all."""
    slot, reach, copy = draft.slot, draft.track[0, REACH], draft.cost[s, COPY]
    issue, stop = slot[row, START], slot[row, STOP]
    due = issue + 1
    while due < limit and reach[due] - reach[issue + 1] < copy:
        due += 1
    if due > limit:
        due = -1
    else:
        while due > stop and not is_free(draft, slot[row, OFFSET], slot[row, SIZE], stop, due):
            due -= 1
        extend(draft, row, due)
        set_store(draft, s, issue, due)
    return int(due)
