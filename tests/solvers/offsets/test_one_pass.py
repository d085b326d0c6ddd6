"""One-pass packing: what it counts, and that it overlaps nothing and stops where it is told to."""

from __future__ import annotations

import random

from memplan_solvers.offsets.one_pass import (
    ORDERS,
    load,
    neighbours,
    overlaps,
    pack_around,
    pack_greedy,
    place,
    rows_in_order,
)

from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing

Rows = tuple[list[int], list[int], list[int]]


def rows_of(dice: random.Random) -> Rows:
    starts = [dice.randrange(8) for _ in range(dice.randint(0, 9))]
    return starts, [a + dice.randint(1, 5) for a in starts], [dice.randint(0, 6) for _ in starts]


def buffers_of(rows: Rows, alignment: int, fixed: list[int | None]) -> list[Buffer]:
    return [
        Buffer(str(k), a, b, z, alignment, at)
        for k, (a, b, z, at) in enumerate(zip(*rows, fixed, strict=True))
    ]


def test_loads_neighbours_and_overlaps_are_what_they_are_by_definition() -> None:
    for seed in range(300):
        rows = starts, stops, sizes = rows_of(random.Random(seed))
        lives = [set(range(a, b)) for a, b in zip(starts, stops, strict=True)]
        assert load(*rows) == max(
            (sum(z for z, life in zip(sizes, lives, strict=True) if t in life) for t in range(13)), default=0
        )
        near = neighbours(starts, stops)
        expected = [{j for j, b in enumerate(lives) if j != i and a & b} for i, a in enumerate(lives)]
        assert [set(row) for row in near] == expected and all(len(row) == len(set(row)) for row in near)
        assert overlaps(starts, stops) == sum(len(row) + 1 for row in expected)


def test_an_order_is_by_its_key_and_ties_are_by_number() -> None:
    starts, stops, sizes = [0, 0, 2, 1], [2, 4, 3, 3], [4, 4, 8, 4]
    assert rows_in_order("tflite", starts, stops, sizes) == [2, 0, 1, 3]
    assert rows_in_order("xla", starts, stops, sizes) == [2, 1, 0, 3]
    assert rows_in_order("duration", starts, stops, sizes) == [1, 0, 3, 2]
    assert rows_in_order("time", starts, stops, sizes) == [1, 0, 3, 2]
    assert rows_in_order("time_reversed", starts, stops, sizes) == [1, 2, 3, 0]
    assert rows_in_order("tvm", starts, stops, sizes)[:2] == [
        1,
        3,
    ]  # all others, then two of them and 2's three


def test_first_fit_is_the_lowest_place_and_best_fit_the_tightest() -> None:
    starts, stops, sizes = [0, 0, 0, 0, 1], [2, 1, 2, 1, 2], [3, 5, 2, 4, 4]
    near = neighbours(starts, stops)
    assert place(range(5), near, sizes) == [0, 3, 8, 10, 3]
    assert place(range(5), near, sizes, best_fit=True) == [0, 3, 8, 10, 3]
    below = [0, 0, 0, 1], [2, 1, 2, 2], [4, 4, 2, 2]
    assert place([1, 0, 2, 3], neighbours(*below[:2]), below[2])[3] == 0  # the hole of four bytes
    holes = [0, 0, 0, 0, 1], [1, 2, 1, 2, 2], [6, 2, 3, 2, 3]
    near = neighbours(*holes[:2])
    assert place(range(5), near, holes[2]) == [0, 6, 8, 11, 0]
    assert place(range(5), near, holes[2], best_fit=True) == [0, 6, 8, 11, 8]
    assert place(range(5), near, holes[2], limit=12) is None


def test_packings_are_valid_whatever_is_fixed_and_their_peak_is_told() -> None:
    colliding = packed = 0
    for seed in range(300):
        dice = random.Random(seed)
        rows, alignment = rows_of(dice), dice.choice((1, 2, 4))
        rows = rows[0], rows[1], [z * alignment for z in rows[2]]
        fixed: list[int | None] = [
            dice.randrange(6) * alignment if dice.random() < 0.3 else None for _ in rows[0]
        ]
        offsets, peak = pack_greedy(*rows, alignment)
        free = buffers_of(rows, alignment, [None] * len(fixed))
        assert check_packing(free, offsets, peak) == [] and peak >= load(*rows)
        assert not any(offsets) or peak == max(o + z for o, z in zip(offsets, rows[2], strict=True))
        around, peak = pack_around(*rows, fixed, alignment)
        buffers = buffers_of(rows, alignment, fixed)
        clear = [b.offset if b.offset is not None else 10_000 * (k + 1) for k, b in enumerate(buffers)]
        possible = check_packing(buffers, clear, None) == []  # all others out of the way
        assert (around is not None) == possible, seed
        if around is not None:
            assert check_packing(buffers, around, peak) == []
        packed, colliding = packed + possible, colliding + (not possible)
    assert packed > 150 and colliding > 20


def test_the_first_that_fits_a_capacity_is_enough() -> None:
    dice = random.Random(3)
    rows = [dice.randrange(30) for _ in range(60)], [0] * 60, [dice.randint(1, 9) for _ in range(60)]
    rows = rows[0], [a + dice.randint(1, 9) for a in rows[0]], rows[2]
    _, best = pack_greedy(*rows)
    _, enough = pack_greedy(*rows, capacity=best + 20)
    alone = [pack_greedy(*rows, orders=(name,))[1] for name in ORDERS]
    assert best == min(alone) and best <= enough <= best + 20
    told, _ = pack_greedy(*rows, stop=lambda: True)
    assert check_packing(buffers_of(rows, 1, [None] * 60), told, None) == []
