"""First fit for buffers of any kind."""

from __future__ import annotations

import random
from dataclasses import replace

from memplan_solvers.offsets.conflicts import conflicts
from memplan_solvers.offsets.first_fit import first_fit

from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from tests.solvers.offsets.instances import tiny


def test_first_fit_overlaps_nothing_and_knows_when_fixed_ones_collide() -> None:
    collided = 0
    for seed in range(300):
        dice = random.Random(seed)
        buffers = tiny(dice)
        order = dice.sample(range(len(buffers)), len(buffers))
        offsets = first_fit(buffers, conflicts(buffers), order)
        if offsets is None:
            collided += 1
            fixed = [b for b in buffers if b.offset is not None]
            apart = [b.offset or 0 for b in fixed]
            assert check_packing(fixed, apart, None) or not conflicts(fixed).exact
        else:
            assert check_packing(buffers, offsets, None) == [], seed
    assert collided > 5


def test_first_fit_takes_the_lowest_aligned_place() -> None:
    buffers = [
        Buffer("a", 0, 3, 3),
        Buffer("b", 0, 1, 2, 4),
        Buffer("c", 1, 2, 2),
        Buffer("d", 0, 3, 1, offset=3),
    ]
    graph = conflicts(buffers)
    assert first_fit(buffers, graph, range(4)) == [0, 4, 4, 3]
    assert first_fit([*buffers[:3], replace(buffers[3], offset=8)], graph, [2, 1, 0, 3]) == [2, 0, 0, 8]
