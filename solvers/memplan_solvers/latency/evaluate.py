"""The latency of a layout, compiled: MODEL §3 on flat arrays, linear in ops + touches + moves.

The queue is played in the coordinate of copy capacity: A(t) is how long the bus could have copied by
the start of step t. A move j done in FIFO order is done at F(j) = max(F(j-1), A(its opening)) +
copy time, and step t waits until A reaches the largest F due there.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import kernel
from memplan_solvers.latency.timed import Array, Timed

STORAGE, START, STOP, OFFSET = range(4)
"""Columns of a residency row."""


@kernel
def op_times(timed: Timed, rows: Array, count: int, host: Array, busy: Array) -> None:
    """Fill `host` (bus seconds of op t) and `busy` (its whole time), float64[n], for these residencies."""
    # Fields are taken out of the tuple once: in a loop each access would count references.
    first, touch, fixed, copy, pad = timed.touch_row, timed.touch, timed.fixed, timed.copy, timed.pad
    compute, base, overhead = timed.compute, timed.base_host, timed.overhead
    fast = np.zeros(len(touch), np.bool_)
    for r in range(count):
        s, start, stop = rows[r, STORAGE], rows[r, START], rows[r, STOP]
        for k in range(first[s], first[s + 1]):
            if touch[k] >= start:
                if touch[k] >= stop:
                    break
                fast[k] = True
    for t in range(timed.n):
        host[t] = base[t]
        busy[t] = 0.0
    for s in range(len(copy)):
        inside = fixed[s] >= 0
        for k in range(first[s], first[s + 1]):
            if fast[k] or inside:
                busy[touch[k]] += pad[s]
            else:
                host[touch[k]] += copy[s]
    for t in range(timed.n):
        busy[t] = max(compute[t], busy[t] + host[t]) + overhead


@kernel
def is_loaded(timed: Timed, s: int, start: int) -> bool:
    """Whether a residency of s that begins at `start` begins with a load."""
    return bool(start != timed.producer[s] and not timed.given[s])


@kernel
def first_touch(timed: Timed, s: int, start: int) -> int:
    """The first step at or after `start` that touches s, n if none does."""
    for k in range(timed.touch_row[s], timed.touch_row[s + 1]):
        if timed.touch[k] >= start:
            return int(timed.touch[k])
    return timed.n


@kernel
def latency(timed: Timed, rows: Array, count: int, stores: Array, reach: Array) -> float:
    """Seconds of the layout; `reach`, float64[n + 1], becomes A(t) at the start of op t, waiting included.

    rows: int64[r, 4], the first `count` valid; a row that does not begin at its producer begins with a
    load issued at its start and due at its first touch. stores: int64[m, 2], (issue, due) or -1.
    """
    n, m = timed.n, len(timed.size)
    producer, given, copy = timed.producer, timed.given, timed.copy
    touch_row, touch = timed.touch_row, timed.touch
    host, busy = np.empty(n), np.empty(n)
    op_times(timed, rows, count, host, busy)
    # Moves by opening step, stores before loads: the FIFO order. Bucket 2 * opening + is_load.
    first = np.zeros(2 * n + 3, np.int64)
    for r in range(count):
        s = rows[r, STORAGE]
        if rows[r, START] != producer[s] and not given[s]:
            first[2 * rows[r, START] + 2] += 1
    for s in range(m):
        if stores[s, 0] >= 0:
            first[2 * (stores[s, 0] + 1) + 1] += 1
    for b in range(2 * n + 2):
        first[b + 1] += first[b]
    total = first[2 * n + 2]
    work, due, is_store = np.empty(total), np.empty(total, np.int64), np.zeros(total, np.bool_)
    at = first.copy()
    for r in range(count):
        s, start = rows[r, STORAGE], rows[r, START]
        if start != producer[s] and not given[s]:
            j = at[2 * start + 1]
            at[2 * start + 1] += 1
            k = touch_row[s]
            while touch[k] < start:
                k += 1
            work[j], due[j] = copy[s], touch[k]
    for s in range(m):
        if stores[s, 0] >= 0:
            j = at[2 * (stores[s, 0] + 1)]
            at[2 * (stores[s, 0] + 1)] += 1
            work[j], due[j], is_store[j] = copy[s], stores[s, 1], True
    if timed.queues == 2:
        return float(_two_lanes(timed, host, busy, first, work, due, is_store, reach))
    wanted = np.zeros(n + 1)  # the largest F due at each step
    now, a, f, tail = 0.0, 0.0, 0.0, 0.0
    for t in range(n + 1):
        for j in range(first[2 * t], first[2 * t + 2]):
            f = max(f, a) + work[j]
            wanted[due[j]] = max(wanted[due[j]], f)
            if is_store[j]:
                tail = f
        if t < n:
            if wanted[t] > a:
                now += wanted[t] - a
                a = wanted[t]
            reach[t] = a
            now += busy[t]
            a += busy[t] - host[t]
    reach[n] = a
    return now + max(0.0, tail - a)


@kernel
def _two_lanes(
    timed: Timed,
    host: Array,
    busy: Array,
    first: Array,
    work: Array,
    due: Array,
    is_store: Array,
    reach: Array,
) -> float:
    """The same with one FIFO of loads and one of stores; both heads share the bus equally."""
    n, total = timed.n, len(work)
    lane = np.empty((2, total), np.int64)
    length = np.zeros(2, np.int64)  # open moves of each lane
    head = np.zeros(2, np.int64)
    left = work.copy()
    waiting = np.zeros(n + 1, np.int64)  # moves due at each step and not done
    now = a = tail = 0.0
    for t in range(n + 1):
        for j in range(first[2 * t], first[2 * t + 2]):
            kind = 1 if is_store[j] else 0
            lane[kind, length[kind]] = j
            length[kind] += 1
            waiting[due[j]] += 1
        # First wait for what is due (or for every store in the end), then copy beside the op.
        for phase in range(2):
            goal = a
            if phase == 1:
                if t == n:
                    break
                reach[t] = a
                goal = a + busy[t] - host[t]
            while True:
                if phase == 1 and a >= goal:
                    break
                if phase == 0 and (waiting[t] == 0 if t < n else head[1] == length[1]):
                    break
                one, two = head[0] < length[0], head[1] < length[1]
                if not one and not two:
                    break
                share = 2.0 if one and two else 1.0
                least = np.inf
                for k in range(2):
                    if head[k] < length[k]:
                        least = min(least, left[lane[k, head[k]]])
                step = least * share
                finishes = phase == 0 or a + step <= goal
                if not finishes:
                    step = goal - a
                a += step
                if phase == 0:
                    now += step
                for k in range(2):
                    if head[k] < length[k]:
                        j = lane[k, head[k]]
                        if finishes and left[j] == least:
                            head[k] += 1
                            waiting[due[j]] -= 1
                            if is_store[j] and t == n:
                                tail = now
                        else:
                            left[j] = max(0.0, left[j] - step / share)
            if phase == 1:
                a = goal
                now += busy[t]
    reach[n] = a
    return max(now, tail)
