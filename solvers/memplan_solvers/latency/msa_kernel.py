"""XLA's memory space assignment on a fixed order without control flow, compiled.

After `xla/service/memory_space_assignment`: values in order of boundedness, each from its definition
through its uses; what was decided for a value is not revisited. Times are all-host times: `elapsed[t]`
is the time of the ops before t with everything in host, which is also the copy capacity before t.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import borrow, kernel
from memplan_solvers.latency.evaluate import OFFSET, START, STOP, STORAGE
from memplan_solvers.latency.queue import Queue, clear, enqueue, fits
from memplan_solvers.latency.space import Space, add, best_gap, drop, is_free
from memplan_solvers.latency.timed import Array, Timed

NEVER = 2**40
"""A step that does not come: the host copy of what is in the scratchpad alone."""

FITS, CROWDED, FAILED = 0, 1, 2
"""Outcomes of a value: placed as wished; some use went to host for lack of space; a required place is missing."""


@kernel
def assign(
    timed: Timed,
    order: Array,
    elapsed: Array,
    ratios: Array,
    repacks: int,
    space: Space,
    stores: Array,
    queue: Queue,
) -> int:
    """Place the values in `order` (int64[v]); the number of repacks used.

    ratios: float64[3]: min, preferred, max. space and stores start with what is fixed and are filled.
    """
    timed, space, stores, queue = borrow(timed), borrow(space), borrow(stores), borrow(queue)
    order, elapsed, ratios = borrow(order), borrow(elapsed), borrow(ratios)
    used = 0
    for i in range(len(order)):
        s = order[i]
        if not timed.movable[s]:
            continue
        while True:
            outcome = place_value(timed, s, elapsed, ratios, space, stores, queue, True)
            if outcome == FITS or used >= repacks:
                break
            # Something lacked space: repack everything placed so far, and try the value once more.
            forget(timed, s, space, stores, queue, elapsed)
            used += 1
            if not repack(timed, space):
                used = repacks
        if outcome == FAILED:
            forget(timed, s, space, stores, queue, elapsed)
            place_value(timed, s, elapsed, ratios, space, stores, queue, False)
    return used


@kernel
def place_value(
    timed: Timed,
    s: int,
    elapsed: Array,
    ratios: Array,
    space: Space,
    stores: Array,
    queue: Queue,
    define: bool,
) -> int:
    """Decide s from its definition through its uses; `define`: its definition may be in the scratchpad."""
    first, last = timed.touch_row[s], timed.touch_row[s + 1]
    produced = timed.producer[s] >= 0
    whole = ratios[2] * timed.whole_copy
    host_from = 0 if not produced else NEVER  # the first step at which a load may be issued
    row, outcome = -1, FITS
    if produced and (not define or first + 1 == last):
        host_from = timed.producer[s] + 1
    for k in range(first + 1 if produced else first, last):
        t = timed.touch[k]
        before = timed.touch[k - 1] if k > first else -1
        near = before >= 0 and elapsed[t] - elapsed[before + 1] < whole and not timed.streamed[s]
        if near and row >= 0:
            r = space.rows[row]
            if is_free(timed, space, r[OFFSET], timed.size[s], r[STOP], t + 1):
                space.rows[row, STOP] = t + 1
                continue
            outcome = CROWDED
        elif near and host_from == NEVER:  # produced, and not yet placed
            offset = _lasting_gap(timed, space, s, before, k)
            if offset >= 0:
                row = add(timed, space, s, before, t + 1, offset)
                continue
            outcome = CROWDED
        if row >= 0 and host_from == NEVER:
            due = evict(timed, s, row, t, elapsed, ratios, space, stores, queue)
            if due < 0:
                return FAILED
            host_from = due + 1
        elif host_from == NEVER:
            host_from = timed.producer[s] + 1
        row = -1
        earliest = max(host_from, before + 1)
        found = prefetch(timed, s, k, earliest, elapsed, ratios, space, queue)
        if found >= 0:
            row = found
        elif found == -2:
            outcome = CROWDED
    if row >= 0 and host_from == NEVER and timed.output[s]:
        if evict(timed, s, row, timed.n, elapsed, ratios, space, stores, queue) < 0:
            return FAILED
    return outcome


@kernel
def _lasting_gap(timed: Timed, space: Space, s: int, start: int, k: int) -> int:
    """A gap from `start` through touch k that stays free until the farthest later touch possible, or -1."""
    for far in range(timed.touch_row[s + 1] - 1, k - 1, -1):
        if far > k and timed.streamed[s]:
            continue
        offset = best_gap(timed, space, timed.size[s], start, timed.touch[far] + 1)
        if offset >= 0:
            return int(offset)
    return -1


@kernel
def evict(
    timed: Timed,
    s: int,
    row: int,
    limit: int,
    elapsed: Array,
    ratios: Array,
    space: Space,
    stores: Array,
    queue: Queue,
) -> int:
    """Store s, resident in `row` since its production, by step `limit` at most; the due step or -1.

    The copy begins with the residency. Its preferred end is the first step whose elapsed time is
    preferred_ratio × the copy time, shrunk until the place stays free and the queue has the capacity.
    """
    issue, stop = space.rows[row, START], space.rows[row, STOP]
    wish = issue + 1
    while wish < limit and elapsed[wish] - elapsed[issue + 1] < ratios[1] * timed.copy[s]:
        wish += 1
    offset, size = space.rows[row, OFFSET], timed.size[s]
    for due in range(wish, issue, -1):
        if due > stop and not is_free(timed, space, offset, size, stop, due):
            continue
        if fits(queue, elapsed, 2 * issue + 1, due, timed.copy[s]):
            enqueue(queue, elapsed, 2 * issue + 1, due, timed.copy[s], s)
            space.rows[row, STOP] = max(stop, due)
            stores[s, 0], stores[s, 1] = issue, due
            return due
    return -1


@kernel
def prefetch(
    timed: Timed, s: int, k: int, earliest: int, elapsed: Array, ratios: Array, space: Space, queue: Queue
) -> int:
    """Load s for its touch k from step `earliest` on; the row, -1 without bandwidth or time, -2 without space."""
    use, copy = timed.touch[k], timed.copy[s]
    longest = ratios[2] * timed.whole_copy
    while earliest <= use and elapsed[use] - elapsed[earliest] > longest:
        earliest += 1
    latest = use
    while latest >= earliest and elapsed[use] - elapsed[latest] < ratios[0] * copy:
        latest -= 1
    if latest < earliest:
        return -1
    wish = latest
    while wish > earliest and abs(elapsed[use] - elapsed[wish - 1] - ratios[1] * copy) <= abs(
        elapsed[use] - elapsed[wish] - ratios[1] * copy
    ):
        wish -= 1
    crowded = False
    for d in range(2 * (latest - earliest) + 2):  # wish, wish + 1, wish - 1, …
        start = wish + (d + 1) // 2 if d % 2 else wish - d // 2
        if start < earliest or start > latest or not fits(queue, elapsed, 2 * start, use, copy):
            continue
        offset = _lasting_gap(timed, space, s, start, k)
        if offset < 0:
            crowded = True
            continue
        enqueue(queue, elapsed, 2 * start, use, copy, s)
        return int(add(timed, space, s, start, use + 1, offset))
    return -2 if crowded else -1


@kernel
def forget(timed: Timed, s: int, space: Space, stores: Array, queue: Queue, elapsed: Array) -> None:
    """Take all of s out of the layout."""
    for r in range(space.count[0] - 1, -1, -1):
        if space.rows[r, STORAGE] == s:
            drop(space, r)
    stores[s, 0] = stores[s, 1] = -1
    clear(queue, elapsed, s)


@kernel
def repack(timed: Timed, space: Space) -> bool:
    """Place every free residency anew, longest first, then largest, each best fit; False if one does not fit."""
    count = space.count[0]
    before = space.rows[:count].copy()
    key = np.empty(count)
    top = float(timed.size.max()) + 1.0
    for r in range(count):
        s = before[r, STORAGE]
        key[r] = -(before[r, STOP] - before[r, START]) - timed.size[s] / top
        if timed.fixed[s] >= 0:
            key[r] = -np.inf
    space.count[0] = 0
    for r in np.argsort(key, kind="mergesort"):
        s, start, stop, offset = before[r]
        if timed.fixed[s] < 0:
            offset = best_gap(timed, space, timed.size[s], start, stop)
        if offset < 0:
            space.count[0] = 0
            for q in range(count):
                add(timed, space, before[q, STORAGE], before[q, START], before[q, STOP], before[q, OFFSET])
            return False
        add(timed, space, s, start, stop, offset)
    return True
