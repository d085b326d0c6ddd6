"""The free list against the holes looked for anew each time."""

from __future__ import annotations

import random

from memplan_solvers.common.holes import smallest_hole
from memplan_solvers.offsets.sweep import FreeList, sweep


def test_what_is_taken_is_the_smallest_hole_or_grows_the_top() -> None:
    grown = 0
    for seed in range(200):
        dice, free, taken = random.Random(seed), FreeList(), list[tuple[int, int, int]]()
        for _ in range(30):
            if taken and dice.random() < 0.45:
                low, high, _ = taken.pop(dice.randrange(len(taken)))
                free.give(low, high - low)
                continue
            size, top = dice.randint(1, 9), free.top
            expected = smallest_hole(sorted(taken), size, end=top)
            if expected < 0:  # above all that lies
                expected = max((high for _, high, _ in taken), default=0)
                grown += 1
            offset = free.take(size)
            assert offset == expected, seed
            assert free.top == max(top, offset + size)
            taken.append((offset, offset + size, 0))
    assert grown > 500


def test_buffers_go_in_order_of_start_the_larger_first() -> None:
    starts, stops, sizes = [0, 0, 1, 2, 2], [2, 1, 3, 4, 3], [2, 5, 4, 2, 0]
    # 1 at 0 and 0 above it; 2 where 1 was; 3 where 0 was and the byte that 2 left, the hole joined of both.
    assert sweep(starts, stops, sizes) == [5, 0, 0, 4, 0]
