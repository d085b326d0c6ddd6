"""Bounds on where blocks lie beside fixed ones, against every placement there is."""

from __future__ import annotations

import random
from itertools import combinations, permutations

from memplan.problem.fixed_places import attainable, largest, least_top, lowest_end


def end_of(fixed: list[tuple[int, int]], size: int) -> int:
    """The end of a block at the lowest offset where it keeps clear of all."""
    at = next(at for at in range(200) if all(at + size <= low or high <= at for low, high in fixed))
    return at + size


def lowest_top(fixed: list[tuple[int, int]], free: list[int]) -> int:
    """The least top over all placements: blocks pushed down, in every order."""
    tops = []
    for order in permutations(free):
        lying = list(fixed)
        for size in order:
            end = end_of(lying, size)
            lying.append((end - size, end))
        tops.append(max((high for _, high in lying), default=0))
    return min(tops)


def blocks(dice: random.Random) -> list[tuple[int, int]]:
    """Up to three intervals of a byte or more, some overlapping."""
    begins = [dice.randrange(20) for _ in range(dice.randint(0, 3))]
    return [(begin, begin + dice.randint(1, 6)) for begin in begins]


def test_the_lowest_end_is_that_of_the_first_offset_that_is_clear() -> None:
    for seed in range(500):
        dice = random.Random(seed)
        fixed, size = blocks(dice), dice.randint(1, 9)
        assert lowest_end(fixed, size) == end_of(fixed, size), (fixed, size)


def test_the_bound_on_the_top_holds_for_every_placement_and_is_met_with_one_hole() -> None:
    met = one_hole = 0
    for seed in range(500):
        dice = random.Random(seed)
        fixed, free = blocks(dice), [dice.randint(1, 8) for _ in range(dice.randint(0, 4))]
        bound, least = least_top(fixed, free), lowest_top(fixed, free)
        assert bound <= least, (fixed, free)
        met += bound == least
        if len(fixed) == 1:
            one_hole += 1
            assert bound == least, (fixed, free)
    assert one_hole > 80 and met > 400


def test_blocks_in_a_unit_have_the_same_bound_as_in_bytes() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        fixed, free = blocks(dice), [dice.randint(1, 8) for _ in range(dice.randint(0, 4))]
        wide = [(8 * low, 8 * high) for low, high in fixed]
        assert least_top(wide, [8 * size for size in free], unit=8) == 8 * least_top(fixed, free)


def test_sums_are_those_of_some_of_the_sizes() -> None:
    for seed in range(200):
        dice = random.Random(seed)
        sizes, most = [dice.randint(0, 9) for _ in range(dice.randint(0, 5))], dice.randint(0, 20)
        sums = {sum(some) for k in range(len(sizes) + 1) for some in combinations(sizes, k)}
        bits = attainable(sizes, most, 1)
        assert bits is not None
        assert {k for k in range(most + 1) if bits >> k & 1} == {z for z in sums if z <= most}
        assert largest(bits, most, 1) == max(z for z in sums if z <= most)
    assert attainable([1], 1 << 40, 1) is None
