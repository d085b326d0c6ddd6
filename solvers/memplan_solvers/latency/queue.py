"""The FIFO queue of copies against a known copy capacity, compiled.

Moves are kept in FIFO order: by key = 2 × issue + (1 for a store), ties in order of entry. With A(t) the
copy capacity before step t, move j is done at F(j) = max(F(j-1), A(opening)) + its copy time, and is in
time when F(j) <= A(due).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from memplan_solvers.latency.timed import Array

EPS = 1e-13
"""Seconds by which rounding may make a copy late."""


class Queue(NamedTuple):
    """Moves in FIFO order."""

    key: Array  # int64[q]
    due: Array  # int64[q], -1 while no step waits for it
    owner: Array  # int64[q], the storage
    work: Array  # float64[q], copy seconds
    finish: Array  # float64[q], F
    count: Array  # int64[1]


def make_queue(room: int) -> Queue:
    """An empty queue for at most `room` moves."""
    key, due, owner = np.zeros((3, room), np.int64)
    work, finish = np.zeros((2, room))
    return Queue(key, due, owner, work, finish, np.zeros(1, np.int64))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def place_of(queue: Queue, key: int) -> int:
    """Where a move of this key enters."""
    at = queue.count[0]
    while at > 0 and queue.key[at - 1] > key:
        at -= 1
    return int(at)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def fits(queue: Queue, capacity: Array, key: int, due: int, work: float) -> bool:
    """Whether this move and all others would be in time. capacity: float64[n + 1], A."""
    at = place_of(queue, key)
    done = max(queue.finish[at - 1] if at > 0 else 0.0, capacity[(key + 1) >> 1]) + work
    if due >= 0 and done > capacity[due] + EPS:
        return False
    for j in range(at, queue.count[0]):
        late = max(done, capacity[(queue.key[j] + 1) >> 1]) + queue.work[j]
        if late <= queue.finish[j]:
            return True
        if queue.due[j] >= 0 and late > capacity[queue.due[j]] + EPS:
            return False
        done = late
    return True


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def enqueue(queue: Queue, capacity: Array, key: int, due: int, work: float, owner: int) -> int:
    """Enter a move; its place."""
    at = place_of(queue, key)
    for j in range(queue.count[0], at, -1):
        queue.key[j], queue.due[j], queue.owner[j] = queue.key[j - 1], queue.due[j - 1], queue.owner[j - 1]
        queue.work[j] = queue.work[j - 1]
    queue.key[at], queue.due[at], queue.owner[at], queue.work[at] = key, due, owner, work
    queue.count[0] += 1
    refresh(queue, capacity, at)
    return at


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def dequeue(queue: Queue, capacity: Array, at: int) -> None:
    """Take the move at `at` out."""
    queue.count[0] -= 1
    for j in range(at, queue.count[0]):
        queue.key[j], queue.due[j], queue.owner[j] = queue.key[j + 1], queue.due[j + 1], queue.owner[j + 1]
        queue.work[j] = queue.work[j + 1]
    refresh(queue, capacity, at)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def clear(queue: Queue, capacity: Array, owner: int) -> None:
    """Take out every move of one storage."""
    for at in range(queue.count[0] - 1, -1, -1):
        if queue.owner[at] == owner:
            dequeue(queue, capacity, at)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def refresh(queue: Queue, capacity: Array, at: int) -> None:
    """Recompute F from place `at` on."""
    done = queue.finish[at - 1] if at > 0 else 0.0
    for j in range(at, queue.count[0]):
        done = max(done, capacity[(queue.key[j] + 1) >> 1]) + queue.work[j]
        queue.finish[j] = done
