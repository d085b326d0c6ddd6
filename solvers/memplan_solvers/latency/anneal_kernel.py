"""Simulated annealing by ruin and recreate on a timed layout, compiled.

A layout is decided value by value as in memory space assignment, but every touch has a wish of its own
(stay, come back, host), every load a ratio, and a round takes few values out and places them again, each
judged by the evaluator alone: nothing is estimated operand by operand.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from memplan_solvers.latency.evaluate import OFFSET, START, STOP, STORAGE, latency
from memplan_solvers.latency.space import Space, add, drop, is_free
from memplan_solvers.latency.timed import Array, Timed

NEVER = 2**40
STAY, RETURN, HOST = 0, 1, 2
"""A touch's wish: stay if there is room; leave before and be loaded for it; be served from host."""

MOST = 10
"""Most values that one round takes out."""


class Search(NamedTuple):
    """Where an annealing stands, and its best layout so far."""

    space: Space
    stores: Array  # int64[m, 2]
    reach: Array  # float64[n + 1], copy capacity of the last evaluated layout
    wish: Array  # int8[k], per touch
    ratio: Array  # float64[k], copy capacity that a load for the touch asks for, over its copy time
    best_rows: Array  # int64[r, 4]
    best_count: Array  # int64[1]
    best_stores: Array  # int64[m, 2]
    seconds: Array  # float64[2]: of the layout, of the best
    random: Array  # uint64[1]
    choices: Array  # int64[c], storages that may be placed
    kept: Array  # int64[r, 4], scratch: rows taken out


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
    random = search.random
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
            old_stores[i] = search.stores[out[i]]
            kept = _take_out(search, out[i], kept)
        _perturb(search, k)
        for i in range(count):
            _place(timed, search, out[i], int(rand(random) * 8.0))
        seconds = latency(timed, search.space.rows, search.space.count[0], search.stores, search.reach)
        worse = seconds - search.seconds[0]
        if worse <= 0.0 or rand(random) < np.exp(-worse / heat):
            search.seconds[0] = seconds
            if seconds < search.seconds[1] * (1.0 - 1e-12):
                keep_best(search)
            continue
        search.wish[k], search.ratio[k] = old_wish, old_ratio
        for i in range(count):
            _take_out(search, out[i], len(search.kept))
        for i in range(count):
            search.stores[out[i]] = old_stores[i]
        for r in range(kept):
            row = search.kept[r]
            add(timed, search.space, row[STORAGE], row[START], row[STOP], row[OFFSET])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def keep_best(search: Search) -> None:
    """Remember the layout as the best."""
    count = search.space.count[0]
    search.best_rows[:count] = search.space.rows[:count]
    search.best_count[0] = count
    search.best_stores[:] = search.stores
    search.seconds[1] = search.seconds[0]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def return_to_best(timed: Timed, search: Search) -> None:
    """Make the best layout the current one."""
    search.space.count[0] = 0
    for r in range(search.best_count[0]):
        row = search.best_rows[r]
        add(timed, search.space, row[STORAGE], row[START], row[STOP], row[OFFSET])
    search.stores[:] = search.best_stores
    search.seconds[0] = search.seconds[1]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _choose(timed: Timed, search: Search, seed: int, t: int, out: Array) -> int:
    """Fill `out` with the values to take out, in the order in which they come back; how many.

    The seed alone; or with who lies in a strip of its size around step t; or with some that are there at t.
    """
    random, rows = search.random, search.space.rows
    out[0] = seed
    count, mode = 1, rand(random)
    if mode < 0.35:
        return 1
    size = timed.size[seed]
    low = int(rand(random) * max(1, timed.capacity - size + 1))
    share = 1.5 * rand(random) / 10.0
    for r in range(search.space.count[0]):
        if rows[r, START] > t + 2 or rows[r, STOP] <= t - 1:
            continue
        s = rows[r, STORAGE]
        if s == seed or timed.fixed[s] >= 0:
            continue
        if mode < 0.75:
            if rows[r, OFFSET] >= low + size or rows[r, OFFSET] + timed.size[s] <= low:
                continue
        elif rand(random) > share:
            continue
        fresh = True
        for i in range(count):
            fresh = fresh and out[i] != s
        if fresh and count < MOST:
            out[count] = s
            count += 1
    first = 1 if mode < 0.75 else 0
    for i in range(count - 1, first, -1):
        j = first + int(rand(random) * (i + 1 - first))
        out[i], out[j] = out[j], out[i]
    return count


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _take_out(search: Search, s: int, kept: int) -> int:
    """Remove what is placed of s, remembering its rows in `kept` from there on while it has room."""
    space = search.space
    for r in range(space.count[0] - 1, -1, -1):
        if space.rows[r, STORAGE] == s:
            if kept < len(search.kept):
                search.kept[kept] = space.rows[r]
                kept += 1
            drop(space, r)
    search.stores[s, 0] = search.stores[s, 1] = -1
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
    """Decide s from its definition through its uses, by the wishes of its touches. `fit`: see `_gap`."""
    space, reach = search.space, search.reach
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
        if row >= 0 and space.rows[row, STOP] > t:  # begun with room until here
            k += 1
            continue
        wish = search.wish[k]
        if row >= 0 and wish == STAY and not timed.streamed[s]:
            if is_free(timed, space, space.rows[row, OFFSET], timed.size[s], space.rows[row, STOP], t + 1):
                space.rows[row, STOP] = t + 1
                k += 1
                continue
        if row >= 0 and host_from == NEVER:
            due = _store(timed, search, s, row, t)
            if due < 0:  # no time to store it: it stays, or was never there
                _take_out(search, s, len(search.kept))
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
        _take_out(search, s, len(search.kept))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _begin(timed: Timed, search: Search, s: int, start: int, k: int, fit: int) -> int:
    """A residency of s from `start` through touch k and as many more that wish to stay as there is a gap for; its row or -1."""
    far = k
    while far + 1 < timed.touch_row[s + 1] and search.wish[far + 1] == STAY and not timed.streamed[s]:
        far += 1
    tries = 0
    while far >= k:
        offset = _gap(timed, search.space, timed.size[s], start, timed.touch[far] + 1, fit)
        if offset >= 0:
            return int(add(timed, search.space, s, start, timed.touch[far] + 1, offset))
        tries += 1
        far = far - 1 if tries < 3 or far == k else max(k, (far + k) // 2)
    return -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _gap(timed: Timed, space: Space, size: int, start: int, stop: int, fit: int) -> int:
    """An offset free during `[start, stop)`, or -1: of the smallest gap, its lower end (fit < 5) or its upper end
    (5); the lowest of all (6); the highest of all (7)."""
    rows, sizes, by_offset = space.rows, timed.size, space.by_offset
    best, slack, top = -1, 2**62, 0
    for k in range(space.count[0] + 1):
        if k < space.count[0]:
            r = by_offset[k]
            if rows[r, START] >= stop or rows[r, STOP] <= start:
                continue
            low, high = int(rows[r, OFFSET]), int(rows[r, OFFSET] + sizes[rows[r, STORAGE]])
        else:
            low = high = timed.capacity
        gap = low - top
        if gap >= size:
            if fit == 7:
                best = int(low - size)
            elif fit == 6:
                return int(top)
            elif gap - size < slack:
                best, slack = int(low - size if fit == 5 else top), int(gap - size)
        top = max(top, int(high))
    return int(best - best % timed.alignment)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _store(timed: Timed, search: Search, s: int, row: int, limit: int) -> int:
    """Store s, resident in `row` since its production, with the copy capacity it needs by `limit` if its place stays
    free, less if not; the due step, or -1 if it cannot be stored by then at all."""
    issue, stop, reach = search.space.rows[row, START], search.space.rows[row, STOP], search.reach
    due = issue + 1
    while due < limit and reach[due] - reach[issue + 1] < timed.copy[s]:
        due += 1
    if due > limit:
        return -1
    offset, size = search.space.rows[row, OFFSET], timed.size[s]
    while due > stop and not is_free(timed, search.space, offset, size, stop, due):
        due -= 1
    search.space.rows[row, STOP] = max(stop, due)
    search.stores[s, 0], search.stores[s, 1] = issue, due
    return int(due)
