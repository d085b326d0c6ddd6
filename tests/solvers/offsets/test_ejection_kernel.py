"""The compiled dive, first fit and repair against their plain twins, move by move."""

from __future__ import annotations

import random

import numpy as np
import pytest
from memplan_solvers.offsets.ejection_chains import EjectionChains
from memplan_solvers.offsets.ejection_kernel import dive, fill, repair
from memplan_solvers.offsets.ejection_state import EjectionPool, make_neighbours

from tests.solvers.offsets import plain_ejection
from tests.solvers.offsets.plain_ejection import PlainLayout


def instance(seed: int, buffers: int) -> EjectionChains:
    """Lifetimes of all lengths, so that every level of buckets is read."""
    dice = random.Random(seed)
    starts = [dice.randrange(3 * buffers) for _ in range(buffers)]
    stops = [start + 1 + int(2 ** dice.uniform(0, 8)) for start in starts]
    return EjectionChains(starts, stops, [dice.randint(1, 40) for _ in range(buffers)])


@pytest.mark.slow
def test_dives_are_those_of_the_twin() -> None:
    for seed in range(30):
        chains, dice = instance(seed, 40), random.Random(seed)
        by_start = chains.stages[-1].members
        columns = [column[by_start] for column in (chains.begin, chains.end, chains.size)]
        order = np.array(dice.sample(range(40), 40))
        expected = plain_ejection.dive(order.tolist(), *(column.tolist() for column in columns))
        assert dive(order, *columns, 10**6).tolist() == expected, seed
        assert not dive(order, *columns, 0).size, "out of patience"


@pytest.mark.slow
def test_first_fit_and_repair_are_those_of_the_twin() -> None:
    """Targets between the load and what first fit needs; penalties are whole, so that sums are exact."""
    ejected = 0
    for seed in range(20):
        stage, dice = instance(seed, 800).stages[-1], random.Random(seed)
        assert stage.levels > 1
        n = stage.size.size
        load = np.zeros(stage.horizon, np.int64)
        for begin, stop, size in zip(stage.begin, stage.end, stage.size, strict=True):
            load[begin:stop] += size
        target = int(load.max() * dice.uniform(1.0, 1.05))
        penalty = [float(dice.randint(1, 9)) for _ in range(n)]
        nothing = np.full(n, -1)
        layout, near = stage.layout(nothing, target), make_neighbours(n)
        pool = EjectionPool(np.zeros(n, np.int64), np.array(penalty))
        twin = PlainLayout(
            stage.begin.tolist(),
            stage.end.tolist(),
            stage.size.tolist(),
            target,
            [*penalty],
            nothing.tolist(),
        )
        order = np.array(dice.sample(range(n), n))
        best_fit = dice.random() < 0.5
        waiting = fill(layout, near, pool, order, 0, best_fit)
        twin.fill(order.tolist(), best_fit)
        for _ in range(12):
            assert pool.queue[:waiting].tolist() == twin.queue, seed
            there = sorted(set(range(n)) - set(twin.queue))
            assert layout.box["offset"][there].tolist() == [twin.offset[i] for i in there], seed
            waiting = repair(layout, near, pool, waiting, 5)
            twin.repair(5)
        assert pool.penalty.tolist() == twin.penalty
        ejected += twin.penalty != penalty
    assert ejected > 15, "nothing was put out of its place"
