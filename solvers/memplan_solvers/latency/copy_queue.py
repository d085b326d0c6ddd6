"""The FIFO queue of copies against a known copy capacity, compiled.

With A(t) the copy capacity before step t, copy j is done at F(j) = max(F(j-1), A(opening)) + its copy time, and is in
time when F(j) <= A(due).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats, Ints, Records, record
from memplan_solvers.jit import inner

EPS = 1e-13
"""Seconds by which rounding may make a copy late."""

COPY = record(
    [
        ("key", np.int64),  # its place in the order: 2 x issue, + 1 for a store; ties in order of entry
        ("due", np.int64),  # the step that waits for it, -1 while none does
        ("storage", np.int64),
        ("seconds", np.float64),  # the copy time
        ("done", np.float64),  # F, in copy capacity
    ]
)


class CopyQueue(NamedTuple):
    """Copies in FIFO order."""

    copies: Records  # COPY[q], the first used[0] of them valid
    used: Ints  # [1], how many


def make_queue(most: int) -> CopyQueue:
    """An empty queue for at most so many copies."""
    return CopyQueue(np.zeros(most, COPY), np.zeros(1, np.int64))


@inner
def done_before(queue: CopyQueue, at: int) -> float:
    """When the copy before place `at` is done, 0 where there is none."""
    return queue.copies[at - 1].done if at > 0 else 0.0


@inner
def fits(queue: CopyQueue, capacity: Floats, key: int, due: int, seconds: float) -> bool:
    """Whether this copy and all others would be in time. capacity: float64[n + 1], A."""
    copies, count = queue.copies, queue.used[0]
    at = count
    while at > 0 and copies[at - 1].key > key:
        at -= 1
    done = max(done_before(queue, at), capacity[(key + 1) >> 1]) + seconds
    if due >= 0 and done > capacity[due] + EPS:
        return False
    for j in range(at, count):
        late = max(done, capacity[(copies[j].key + 1) >> 1]) + copies[j].seconds
        if late <= copies[j].done:
            return True
        if copies[j].due >= 0 and late > capacity[copies[j].due] + EPS:
            return False
        done = late
    return True


@inner
def enqueue(queue: CopyQueue, capacity: Floats, key: int, due: int, seconds: float, storage: int) -> int:
    """Enter a copy; its place."""
    copies, at = queue.copies, queue.used[0]
    while at > 0 and copies[at - 1].key > key:
        copies[at] = copies[at - 1]
        at -= 1
    copy = copies[at]
    copy.key, copy.due, copy.storage, copy.seconds = key, due, storage, seconds
    queue.used[0] += 1
    _update_done(queue, capacity, at)
    return int(at)


@inner
def dequeue(queue: CopyQueue, capacity: Floats, at: int) -> None:
    """Take the copy at `at` out."""
    queue.used[0] -= 1
    for j in range(at, queue.used[0]):
        queue.copies[j] = queue.copies[j + 1]
    _update_done(queue, capacity, at)


@inner
def dequeue_all(queue: CopyQueue, capacity: Floats, storage: int) -> None:
    """Take out every copy of one storage."""
    for at in range(queue.used[0] - 1, -1, -1):
        if queue.copies[at].storage == storage:
            dequeue(queue, capacity, at)


@inner
def _update_done(queue: CopyQueue, capacity: Floats, at: int) -> None:
    """Compute F anew from place `at` on."""
    copies, done = queue.copies, done_before(queue, at)
    for j in range(at, queue.used[0]):
        done = max(done, capacity[(copies[j].key + 1) >> 1]) + copies[j].seconds
        copies[j].done = done
