"""The hole that is found, against every offset tried; and the compiled walk against the plain one."""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np
from memplan_solvers.common.arrays import Ints
from memplan_solvers.common.hole_kernel import NO_HOLE, past
from memplan_solvers.common.holes import NOWHERE, Extent, lowest_hole, smallest_hole
from memplan_solvers.jit import kernel


@kernel
def compiled(low: Ints, high: Ints, size: int, capacity: int) -> int:
    hole = NO_HOLE
    for k in range(len(low)):
        hole = past(hole, low[k], high[k], size)
    return past(hole, capacity, capacity, size).offset


def instances(count: int) -> Iterator[tuple[list[Extent], int, int, int]]:
    """What is taken (extents may overlap), a size, an alignment and a capacity."""
    for seed in range(count):
        dice = random.Random(seed)
        alignment = dice.choice((1, 1, 4))
        taken = [
            (offset, offset + dice.randint(0, 9), k)
            for k, offset in enumerate(dice.randrange(0, 40, alignment) for _ in range(dice.randint(0, 6)))
        ]
        top = max((end for _, end, _ in taken), default=0)
        yield sorted(taken), dice.randint(1, 9), alignment, top + dice.randint(0, 12)


def holes(taken: list[Extent], alignment: int, capacity: int) -> Iterator[tuple[int, int]]:
    """Offset and length of every hole, found byte by byte, the lowest first."""
    used = {byte for low, high, _ in taken for byte in range(low, high)}
    # An empty extent divides a hole: who lies on both sides of it lies beside it.
    cuts = {low for low, high, _ in taken if low == high}
    begin = 0
    for byte in range(capacity + 1):
        if byte == capacity or byte in used or byte in cuts:
            aligned = -(-begin // alignment) * alignment
            if byte > aligned:
                yield aligned, byte - aligned
            begin = byte + (byte in used)


def test_the_smallest_hole_is_the_lowest_of_the_smallest_that_are_large_enough() -> None:
    seen = {True: 0, False: 0}
    for taken, size, alignment, capacity in instances(3000):
        fitting = [(length, at) for at, length in holes(taken, alignment, capacity) if length >= size]
        expected = min(fitting)[1] if fitting else NOWHERE
        assert smallest_hole(taken, size, capacity, alignment) == expected, (taken, size, alignment)
        if alignment == 1:
            rows = np.array(taken, np.int64).reshape(-1, 3)
            assert compiled(rows[:, 0].copy(), rows[:, 1].copy(), size, capacity) == expected
        seen[expected == NOWHERE] += 1
    assert min(seen.values()) > 100, seen


def test_the_lowest_hole_may_lie_above_everything() -> None:
    for taken, size, alignment, _ in instances(1000):
        expected = next(at for at, length in holes(taken, alignment, 100) if length >= size)
        assert lowest_hole(taken, size, alignment) == expected, (taken, size, alignment)


def test_a_hole_without_an_end_is_taken_where_no_other_is_large_enough() -> None:
    taken = [(0, 4, 0), (6, 9, 1)]
    assert [smallest_hole(taken, size, alignment=2) for size in (2, 3)] == [4, 10]
