"""The packing checker against every byte of every step."""

from __future__ import annotations

import random
from itertools import combinations

from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from tests.solvers.offsets.instances import clash, tiny


def naive(buffers: list[Buffer], offsets: list[int], capacity: int) -> set[str]:
    """The rules that are broken."""
    pairs = list(zip(buffers, offsets, strict=True))
    misplaced = any(x < 0 or x % b.alignment or x + b.size > capacity for b, x in pairs)
    overlapping = any(clash(a, x, b, y) for (a, x), (b, y) in combinations(pairs, 2))
    moved = any(b.offset not in (None, x) for b, x in pairs)
    broken = {"space": misplaced or overlapping, "fixed": moved}
    return {rule for rule, is_broken in broken.items() if is_broken}


def test_a_packing_is_valid_where_no_byte_is_used_twice() -> None:
    seen: dict[frozenset[str], int] = {}
    for seed in range(3000):
        dice = random.Random(seed)
        buffers = tiny(dice)
        offsets = [
            dice.randrange(0, 25)
            if dice.random() < 0.05
            else b.offset
            if b.offset is not None and dice.random() < 0.9
            else dice.randrange(0, 30, b.alignment)
            for b in buffers
        ]
        capacity = dice.choice((30, 1000))
        broken = {v.rule for v in check_packing(buffers, offsets, capacity)}
        assert broken == naive(buffers, offsets, capacity), (seed, buffers, offsets)
        seen[frozenset(broken)] = seen.get(frozenset(broken), 0) + 1
    assert len(seen) == 4 and min(seen.values()) > 30, seen


def test_there_is_an_offset_for_each_buffer() -> None:
    (violation,) = check_packing([Buffer("a", 0, 1, 1)], [], None)
    assert violation.rule == "count"
