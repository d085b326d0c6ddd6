"""The FIFO queue of copies against a known copy capacity, compiled.

Moves are kept in FIFO order: by key = 2 × issue + (1 for a store), ties in order of entry. With A(t) the
copy capacity before step t, move j is done at F(j) = max(F(j-1), A(opening)) + its copy time, and is in
time when F(j) <= A(due).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan_solvers.jit import kernel

Array = Any
"""A numpy array; its dtype and shape are in the comment beside it."""

EPS = 1e-13
"""Seconds by which rounding may make a copy late."""

KEY, DUE, OWNER = range(3)
"""Columns of `jobs`: the FIFO key, the step that waits for it (-1 while none does), the storage."""
WORK, FINISH = range(2)
"""Columns of `times`, in seconds: the copy time, F."""


class Queue(NamedTuple):
    """Moves in FIFO order."""

    jobs: Array  # int64[q, 3]
    times: Array  # float64[q, 2]
    count: Array  # int64[1]


def make_queue(room: int) -> Queue:
    """An empty queue for at most `room` moves."""
    return Queue(np.zeros((room, 3), np.int64), np.zeros((room, 2)), np.zeros(1, np.int64))


@kernel
def fits(queue: Queue, capacity: Array, key: int, due: int, work: float) -> bool:
    """Whether this move and all others would be in time. capacity: float64[n + 1], A."""
    jobs, times, count = queue.jobs, queue.times, queue.count[0]
    at = count
    while at > 0 and jobs[at - 1, KEY] > key:
        at -= 1
    done = max(times[at - 1, FINISH] if at > 0 else 0.0, capacity[(key + 1) >> 1]) + work
    if due >= 0 and done > capacity[due] + EPS:
        return False
    for j in range(at, count):
        late = max(done, capacity[(jobs[j, KEY] + 1) >> 1]) + times[j, WORK]
        if late <= times[j, FINISH]:
            return True
        if jobs[j, DUE] >= 0 and late > capacity[jobs[j, DUE]] + EPS:
            return False
        done = late
    return True


@kernel
def enqueue(queue: Queue, capacity: Array, key: int, due: int, work: float, owner: int) -> int:
    """Enter a move; its place."""
    jobs, times = queue.jobs, queue.times
    at = queue.count[0]
    while at > 0 and jobs[at - 1, KEY] > key:
        jobs[at] = jobs[at - 1]
        times[at] = times[at - 1]
        at -= 1
    jobs[at, KEY], jobs[at, DUE], jobs[at, OWNER], times[at, WORK] = key, due, owner, work
    queue.count[0] += 1
    refresh(queue, capacity, at)
    return int(at)


@kernel
def dequeue(queue: Queue, capacity: Array, at: int) -> None:
    """Take the move at `at` out."""
    queue.count[0] -= 1
    for j in range(at, queue.count[0]):
        queue.jobs[j] = queue.jobs[j + 1]
        queue.times[j] = queue.times[j + 1]
    refresh(queue, capacity, at)


@kernel
def clear(queue: Queue, capacity: Array, owner: int) -> None:
    """Take out every move of one storage."""
    for at in range(queue.count[0] - 1, -1, -1):
        if queue.jobs[at, OWNER] == owner:
            dequeue(queue, capacity, at)


@kernel
def refresh(queue: Queue, capacity: Array, at: int) -> None:
    """Recompute F from place `at` on."""
    jobs, times = queue.jobs, queue.times
    done = times[at - 1, FINISH] if at > 0 else 0.0
    for j in range(at, queue.count[0]):
        done = max(done, capacity[(jobs[j, KEY] + 1) >> 1]) + times[j, WORK]
        times[j, FINISH] = done
