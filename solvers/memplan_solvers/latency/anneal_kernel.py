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
    REACH,
    Draft,
    clear_store,
    extend,
    gap,
    is_free,
    put,
    seconds_of,
    set_store,
    settle,
    take,
)
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
    best: Array  # int64[3, k + m], start, stop, offset by slot
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
        first = timed.touch_row[seed]
        touches = timed.touch_row[seed + 1] - first
        k = first + int(rand(random) * touches)
        old_wish, old_ratio = search.wish[k], search.ratio[k]
        count = _choose(timed, search, seed, timed.touch[k], out)
        kept = 0
        for i in range(count):
            old_stores[i] = draft.stores[out[i]]
            kept = _take_out(timed, search, out[i], kept)
        _perturb(search, k)
        for i in range(count):
            _place(timed, search, out[i], int(rand(random) * 8.0))
        seconds = seconds_of(timed, draft, search.seconds[0])
        worse = seconds - search.seconds[0]
        if worse <= 0.0 or rand(random) < np.exp(-worse / heat):
            search.seconds[0] = seconds
            settle(timed, draft, True)
            if seconds < search.seconds[1] * (1.0 - 1e-12):
                keep_best(search)
            continue
        search.wish[k], search.ratio[k] = old_wish, old_ratio
        for i in range(count):
            _take_out(timed, search, out[i], len(search.kept))
        for i in range(count):
            set_store(draft, out[i], old_stores[i, 0], old_stores[i, 1])
        for r in range(kept):
            slot, start, stop, offset = search.kept[r]
            put(timed, draft, slot, start, stop, offset)
        settle(timed, draft, False)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def keep_best(search: Search) -> None:
    """Remember the layout as the best."""
    search.best[0], search.best[1], search.best[2] = search.draft.start, search.draft.stop, search.draft.offset
    search.best_stores[:] = search.draft.stores
    search.seconds[1] = search.seconds[0]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _choose(timed: Timed, search: Search, seed: int, t: int, out: Array) -> int:
    """Fill `out` with the values to take out, in the order in which they come back; how many.

    The seed alone; or with who lies in a strip of its size around step t; or with some that are there at t.
    """
    random, draft = search.random, search.draft
    out[0] = seed
    count, mode = 1, rand(random)
    if mode < 0.35:
        return 1
    size = timed.size[seed]
    low = int(rand(random) * max(1, timed.capacity - size + 1))
    share = 1.5 * rand(random) / 10.0
    width = -(-timed.n // len(draft.filled))
    begin = max(0, t - 1) // width
    for b in range(begin, min(t + 2, timed.n - 1) // width + 1):
        for i in range(draft.filled[b]):
            r = draft.block[b, i]
            if draft.start[r] > t + 2 or draft.stop[r] <= t - 1 or (b > begin and draft.start[r] // width < b):
                continue
            s = draft.owner[r]
            if s == seed or timed.fixed[s] >= 0:
                continue
            if mode < 0.75:
                if draft.offset[r] >= low + size or draft.offset[r] + timed.size[s] <= low:
                    continue
            elif rand(random) > share:
                continue
            fresh = True
            for j in range(count):
                fresh = fresh and out[j] != s
            if fresh and count < MOST:
                out[count] = s
                count += 1
    first = 1 if mode < 0.75 else 0
    for i in range(count - 1, first, -1):
        j = first + int(rand(random) * (i + 1 - first))
        out[i], out[j] = out[j], out[i]
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _take_out(timed: Timed, search: Search, s: int, kept: int) -> int:
    """Remove what is placed of s, remembering it in `kept` from there on while that has room."""
    draft = search.draft
    for slot in range(timed.touch_row[s], timed.touch_row[s + 1]):
        if draft.start[slot] >= 0:
            if kept < len(search.kept):
                search.kept[kept, 0], search.kept[kept, 1] = slot, draft.start[slot]
                search.kept[kept, 2], search.kept[kept, 3] = draft.stop[slot], draft.offset[slot]
                kept += 1
            take(timed, draft, slot)
    clear_store(draft, s)
    return kept


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _perturb(search: Search, k: int) -> None:
    """Change the wish or the ratio of touch k, or neither."""
    x = rand(search.random)
    if x < 0.25:
        search.ratio[k] = 0.5 * 8.0 ** rand(search.random)
    elif x < 0.6:
        y = rand(search.random)
        search.wish[k] = STAY if y < 0.6 else (RETURN if y < 0.8 else HOST)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _place(timed: Timed, search: Search, s: int, fit: int) -> None:
    """Decide s from its definition through its uses, by the wishes of its touches. `fit`: see `draft.gap`."""
    draft, reach = search.draft, search.draft.track[REACH]
    first, last = timed.touch_row[s], timed.touch_row[s + 1]
    host_from, row, k = -1, -1, first
    if timed.producer[s] >= 0:
        host_from = NEVER
        t = timed.touch[first]
        if search.wish[first] != HOST and (last > first + 1 or search.ratio[first] > 2.0):
            row = _begin(timed, search, s, t, first, fit)
        if row < 0:
            host_from = t
        k = first + 1
    while k < last:
        t = timed.touch[k]
        if row >= 0 and draft.stop[row] > t:  # begun with room until here
            k += 1
            continue
        wish = search.wish[k]
        if row >= 0 and wish == STAY and not timed.streamed[s]:
            if is_free(timed, draft, draft.offset[row], timed.size[s], draft.stop[row], t + 1):
                extend(timed, draft, row, t + 1)
                k += 1
                continue
        if row >= 0 and host_from == NEVER:
            due = _store(timed, search, s, row, t)
            if due < 0:  # no time to store it: it stays, or was never there
                _take_out(timed, search, s, len(search.kept))
                host_from, row, k = timed.touch[first], -1, first + 1
                continue
            host_from = due
        row = -1
        if wish != HOST:
            earliest = max(host_from, timed.touch[k - 1] if k > first else -1) + 1
            start, wanted = t, search.ratio[k] * timed.copy[s]
            while start > earliest and reach[t] - reach[start] < wanted:
                start -= 1
            for _ in range(4):
                if start > t or start < earliest:
                    break
                row = _begin(timed, search, s, start, k, fit)
                if row >= 0:
                    break
                start += max(1, (t - start) // 2)
        k += 1
    if row >= 0 and host_from == NEVER and timed.output[s] and _store(timed, search, s, row, timed.n) < 0:
        _take_out(timed, search, s, len(search.kept))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _begin(timed: Timed, search: Search, s: int, start: int, k: int, fit: int) -> int:
    """A residency of s from `start` through touch k and as many more that wish to stay as there is a gap for; its slot
    or -1."""
    far = k
    while far + 1 < timed.touch_row[s + 1] and search.wish[far + 1] == STAY and not timed.streamed[s]:
        far += 1
    tries = 0
    while far >= k:
        offset = gap(timed, search.draft, timed.size[s], start, timed.touch[far] + 1, fit)
        if offset >= 0:
            put(timed, search.draft, k, start, timed.touch[far] + 1, offset)
            return k
        tries += 1
        far = far - 1 if tries < 3 or far == k else max(k, (far + k) // 2)
    return -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _store(timed: Timed, search: Search, s: int, row: int, limit: int) -> int:
    """Store s, resident in `row` since its production, with the copy capacity it needs by `limit` if its place stays
    free, less if not; the due step, or -1 if it cannot be stored by then at all."""
    draft, reach = search.draft, search.draft.track[REACH]
    issue, stop = draft.start[row], draft.stop[row]
    due = issue + 1
    while due < limit and reach[due] - reach[issue + 1] < timed.copy[s]:
        due += 1
    if due > limit:
        return -1
    offset, size = draft.offset[row], timed.size[s]
    while due > stop and not is_free(timed, draft, offset, size, stop, due):
        due -= 1
    extend(timed, draft, row, due)
    set_store(draft, s, issue, due)
    return int(due)
