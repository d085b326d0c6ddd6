"""The table of sets that were met, beside a dictionary."""

from __future__ import annotations

import random

import pytest
from memplan_solvers.jit import kernel
from memplan_solvers.peak.met import Met, enlarged, none_met, note


@kernel
def remember(met: Met, a: int, b: int, low: int, high: int) -> None:
    note(met, a, b, low, high)


def contents(met: Met) -> dict[tuple[int, int], tuple[int, int]]:
    return {
        key: bounds
        for key, bounds in zip(met.keys.tolist(), met.bounds.tolist(), strict=True)
        if key != (0, 0)
    }


@pytest.mark.parametrize("most", [None, 9])
def test_each_set_has_the_tightest_bounds_that_were_told_of_it(most: int | None) -> None:
    for seed in range(50):
        dice, known = random.Random(seed), dict[tuple[int, int], tuple[int, int]]()
        met = none_met(16, bounded=True, most=most)
        for step in range(60):
            if step == 40:
                met = enlarged(met, most)
                assert len(met.keys) == 64 and contents(met) == known
            key = 16 * dice.randrange(4), dice.randrange(1, 6)  # many begin at one row
            low, high = dice.randrange(9), dice.randrange(9, 19)
            if key in known:
                known[key] = max(known[key][0], low), min(known[key][1], high)
            elif len(known) < int(met.sets["most"][0]):  # a full table takes no more, and keeps what it has
                known[key] = low, high
            remember(met, *key, low, high)
            assert contents(met) == known and met.sets["count"][0] == len(known)
        assert len(known) > 8
