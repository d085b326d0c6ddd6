"""The queue of copies against its definition, computed anew after every change."""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from memplan_solvers.jit import kernel
from memplan_solvers.latency.arrays import Floats
from memplan_solvers.latency.copy_queue import CopyQueue, dequeue, dequeue_all, enqueue, fits, make_queue

STEPS = 6


@kernel
def ask(queue: CopyQueue, capacity: Floats, key: int, due: int, seconds: float) -> bool:
    return bool(fits(queue, capacity, key, due, seconds))


@kernel
def change(
    queue: CopyQueue, capacity: Floats, what: int, key: int, due: int, seconds: float, storage: int
) -> int:
    if what == 0:
        return int(enqueue(queue, capacity, key, due, seconds, storage))
    if what == 1:
        dequeue(queue, capacity, key)
    else:
        dequeue_all(queue, capacity, storage)
    return -1


class Copy(NamedTuple):
    key: int
    due: int
    storage: int
    seconds: float


def done_times(copies: list[Copy], capacity: list[float]) -> list[float]:
    """When each copy is done: after the one before, not before the step at which it may begin."""
    times: list[float] = []
    for copy in copies:
        begun = capacity[(copy.key + 1) // 2]  # a load at its step's begin, a store at its step's end
        times.append(max(begun, times[-1] if times else 0.0) + copy.seconds)
    return times


def in_time(copies: list[Copy], capacity: list[float]) -> bool:
    times = done_times(copies, capacity)
    return all(c.due < 0 or done <= capacity[c.due] + 1e-12 for c, done in zip(copies, times, strict=True))


def entered(copies: list[Copy], copy: Copy) -> list[Copy]:
    """The queue with a copy behind all that do not come later."""
    at = sum(other.key <= copy.key for other in copies)
    return [*copies[:at], copy, *copies[at:]]


def test_what_fits_and_when_it_is_done_is_as_the_definition_says() -> None:
    said = {True: 0, False: 0}
    for seed in range(20):
        dice = random.Random(seed)
        capacity = np.concatenate([[0.0], np.cumsum([dice.randint(0, 4) for _ in range(STEPS)])]).astype(
            float
        )
        known = capacity.tolist()
        queue, copies = make_queue(40), list[Copy]()
        for _ in range(25):
            store = dice.random() < 0.4
            issue = dice.randrange(STEPS)
            due = dice.choice((-1, dice.randint(issue + store, STEPS)))
            copy = Copy(2 * issue + store, due, dice.randrange(3), float(dice.randint(1, 3)))
            expected = in_time(entered(copies, copy), known)
            assert ask(queue, capacity, copy.key, copy.due, copy.seconds) == expected, seed
            said[expected] += 1
            what = 0 if expected else dice.choice((1, 2)) if copies else -1
            if what == 0:
                copies = entered(copies, copy)
                at = change(queue, capacity, 0, copy.key, copy.due, copy.seconds, copy.storage)
                assert copies[at] == copy
            elif what == 1:
                at = dice.randrange(len(copies))
                del copies[at]
                change(queue, capacity, 1, at, 0, 0.0, 0)
            elif what == 2:
                copies = [c for c in copies if c.storage != copy.storage]
                change(queue, capacity, 2, 0, 0, 0.0, copy.storage)
            rows = queue.copies[: queue.used[0]]
            assert [Copy(*row) for row in rows[["key", "due", "storage", "seconds"]].tolist()] == copies
            assert rows["done"].tolist() == done_times(copies, known)
    assert min(said.values()) > 150, said
