"""One-pass orders, compiled: what they are by definition, and that no order of other packers is ahead of ours."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from memplan_solvers import compiled
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.offsets.ejection_chains import EjectionChains, rank_by
from memplan_solvers.offsets.one_pass import load, neighbours, place
from memplan_solvers.offsets.quick_orders import QUICK_ORDERS, place_once

from memplan.base.units import MAX_BYTES
from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from memplan.packing.packer import pack_buffers
from memplan.problem.plan import Status
from memplan.solving.limits import Limits, Progress
from tests.solvers.offsets.instances import heavy_tailed, perfect, training_trace

Rows = tuple[list[int], list[int], list[int]]


def rows_of(buffers: Sequence[Buffer]) -> Rows:
    return [b.start for b in buffers], [b.stop for b in buffers], [b.size for b in buffers]


def packed_to(enough: int, buffers: Sequence[Buffer]) -> int:
    """The peak that the packer finds; it may stop at what is `enough`. The time is for machines that do much else."""
    told: list[float] = [MAX_BYTES]

    def listen(news: Progress) -> None:
        told.append(MAX_BYTES if news.value is None else news.value)

    found = pack_buffers(
        buffers, time_limit_s=100, workers=1, progress=listen, cancel=lambda: min(told) <= enough
    )
    assert found.peak is not None
    return found.peak


def orders_of_others(rows: Rows) -> Iterator[Ints]:
    """Ranks in the orders of omnimalloc's greedy allocators, and in the one that Vela's hill climb begins with.

    All place by first fit, and break ties by number.
    """
    start, stop, size = (np.array(column) for column in rows)
    shared = (start[:, None] < stop) & (start < stop[:, None])
    conflicts = shared.sum(1)
    steps = np.arange(stop.max())[:, None]
    loads = ((start <= steps) & (steps < stop)) @ size
    crowding = np.array([loads[a:b].max() for a, b in zip(start, stop, strict=True)])
    keys: list[tuple[Ints | Floats, ...]] = [
        (np.zeros(start.size),),
        (-size,),
        (start - stop,),
        ((start - stop) * size,),
        (-conflicts, -size),
        (-conflicts * size, -size),
        (start, -size),
        (-crowding, start - stop, start, -size),
    ]
    return (rank_by(*key) for key in keys)


def test_each_order_is_what_plain_python_places() -> None:
    for seed in range(3):
        rows = rows_of(training_trace(seed, 3, 1) if seed else heavy_tailed(seed, 300))
        chains, near = EjectionChains(*rows), neighbours(*rows[:2])
        whole = chains.stages[-1]
        for name, order in QUICK_ORDERS.items():
            rank = rank_by(*order.keys(chains))
            found = whole.first_fit(rank, MAX_BYTES, order.best_fit, Limits(1e6))
            expected = place(np.argsort(rank).tolist(), near, rows[2], best_fit=order.best_fit)
            assert found is not None and expected is not None
            assert found.tolist() == np.array(expected)[whole.members].tolist(), (seed, name)
            assert whole.first_fit(rank, whole.peak(found), order.best_fit, Limits(1e6)) is not None
            assert whole.first_fit(rank, whole.peak(found) - 1, order.best_fit, Limits(1e6)) is None


@pytest.mark.slow(reason="packs large traces")
def test_no_order_of_others_is_ahead() -> None:
    """On traces of training steps no order is the best of all; the packer is never behind the best of the others'."""
    assert compiled.load("pack", Limits()) and compiled.load("repair", Limits())
    ahead = 0
    instances = [training_trace(seed, layers, 2) for seed, layers in ((4, 40), (8, 60), (12, 50))]
    instances += [heavy_tailed(6, 2000), perfect(random.Random(1), 200, 200, 2**20)]
    for k, buffers in enumerate(instances):
        rows = rows_of(buffers)
        chains, least = EjectionChains(*rows), load(*rows)
        offsets = place_once(chains, least, sum(rows[2]) + 1, Limits(1e6))
        assert offsets is not None and not check_packing(buffers, offsets, None)
        peak = max(offset + size for offset, size in zip(offsets, rows[2], strict=True))
        whole = chains.stages[-1]
        theirs = [whole.first_fit(rank, MAX_BYTES, False, Limits(1e6)) for rank in orders_of_others(rows)]
        best = min(whole.peak(offsets) for offsets in theirs if offsets is not None)
        assert least <= peak <= best, k
        assert packed_to(best, buffers) <= best, k
        ahead += peak < best
    assert ahead > 1


def test_a_trace_that_one_order_packs_perfectly_needs_no_search() -> None:
    """Of the orders of others only Vela's reaches the load, and the bound is met without a node."""
    found = pack_buffers(training_trace(8, 100, 1), time_limit_s=100, workers=1)
    assert (found.status, found.method, found.nodes) == (Status.OPTIMAL, "one pass", 0)


def test_repair_begins_with_the_best_and_no_order_is_tried_when_the_time_is_up() -> None:
    rows = rows_of(training_trace(4, 60, 1))
    chains, most = EjectionChains(*rows), sum(rows[2]) + 1
    assert place_once(chains, 0, most, Limits(0.0)) is None
    assert place_once(chains, most, most, Limits(1e6)) is None, "the goal is met"
    offsets = place_once(chains, 0, most, Limits(1e6))
    assert offsets is not None
    assert chains.placed is not None and chains.placed.tolist() == offsets
    improved = chains.improve(offsets, 0, 1, Limits(0.0), lambda peak: None)
    assert improved == offsets, "no time to do better"


def test_no_hill_climb_of_vela_is_ahead() -> None:
    climb = pytest.importorskip(
        "ethosu.vela.hillclimb_allocation", reason="the extra [bench] is not installed"
    )

    class LiveRange:
        def __init__(self, b: Buffer) -> None:
            self.start_time, self.end_time, self.size = b.start, b.stop - 1, b.size

        def get_alignment(self) -> int:
            return 1

    assert compiled.load("pack", Limits()) and compiled.load("repair", Limits())
    for seed in range(3):
        buffers = perfect(random.Random(seed), 100, 100, 32) if seed else training_trace(seed, 8, 1)
        theirs = climb.HillClimbAllocator([LiveRange(b) for b in buffers], 500, 2**60).allocate()
        peak = max(at + b.size for at, b in zip(theirs, buffers, strict=True))
        assert packed_to(peak, buffers) <= peak, seed
