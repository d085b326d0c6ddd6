"""The packer against a brute force, and what it promises on larger instances."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from memplan_solvers import compiled
from memplan_solvers.offsets.conflicts import conflicts
from memplan_solvers.offsets.ejection_chains import EjectionChains
from memplan_solvers.offsets.exact import BRANCHING_ORDERS, BranchAndBound, Race
from memplan_solvers.offsets.exact_state import SliceOutcome
from memplan_solvers.offsets.one_pass import load

import memplan
from memplan.base.errors import MemplanError
from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from memplan.packing.packer import pack_buffers
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from tests.solvers.offsets import agree
from tests.solvers.offsets.instances import clash, heavy_tailed, least_peak, perfect, tiny

NO_LIMIT = memplan.Limits(1e6)  # its clock starts here, when the tests are collected


@pytest.mark.slow
def test_agrees_with_brute_force():
    """The least peak and a random capacity; `python -m tests.solvers.offsets.agree --count 5000` is the long run."""
    seen = agree.check(range(1200))
    assert min(seen.values()) > 300, seen


@pytest.mark.slow
@pytest.mark.parametrize("order", BRANCHING_ORDERS)
def test_every_branching_order_is_exact(order):
    """Without the packer around it: each order alone says feasible and infeasible rightly."""
    fitted = refuted = 0
    for seed in range(300):
        rng = random.Random(10_000 + seed)
        buffers = [b for b in tiny(rng) if b.segments]
        if not buffers:
            continue
        graph = conflicts(buffers)
        capacity = rng.randint(max(b.size for b in buffers), 20)
        search = BranchAndBound(buffers, graph, order, capacity)
        end = search.advance(10**6)
        least = least_peak(buffers)
        possible = least is not None and least <= capacity
        fits, none = end is SliceOutcome.SOLVED, end is SliceOutcome.EXHAUSTED
        assert (fits if possible else none) or (none and not graph.exact), (seed, capacity)
        if fits:
            assert not check_packing(buffers, search.offsets, capacity)
        fitted, refuted = fitted + fits, refuted + none
    assert fitted > 50 and refuted > 50


def test_perfect_packings_are_found_and_proved():
    for seed in range(12):
        rng = random.Random(seed)
        buffers = perfect(rng, rng.randint(20, 60), 60, 32)
        found = pack_buffers(buffers, workers=1)
        assert (found.status, found.peak) == (Status.OPTIMAL, 32), seed
        impossible = pack_buffers(buffers, 31, workers=1)
        assert impossible.status is Status.INFEASIBLE


def test_nodes_are_few():
    """Counted, so that a weaker inference shows on any machine: 14,000 in all when this was written."""
    nodes = 0
    for seed in range(20):
        buffers = perfect(random.Random(seed % 10), *((60, 80, 1024) if seed < 10 else (80, 160, 1024)))
        race = Race(buffers, conflicts(buffers), 1024)
        assert race.run(replace(NO_LIMIT, workers=1), 10_000)[0] is Status.FEASIBLE, seed
        nodes += race.nodes
    assert nodes < 20_000


def test_slices_do_not_change_the_search():
    buffers = perfect(random.Random(3), 60, 60, 32)
    graph = conflicts(buffers)
    whole, sliced = (BranchAndBound(buffers, graph, "+cwa", 32) for _ in range(2))
    assert whole.advance(10**6) is SliceOutcome.SOLVED
    while sliced.advance(7) is SliceOutcome.PAUSED:
        pass
    assert (sliced.nodes, sliced.offsets) == (whole.nodes, whole.offsets)


def test_splitting_keeps_far_apart_trouble_apart():
    """Two halves that hardly touch: the nodes of the whole are about those of the halves, not their product."""
    left = perfect(random.Random(1), 40, 40, 24)
    right = [
        replace(b, name=f"r{b.name}", start=b.start + 40, stop=b.stop + 40)
        for b in perfect(random.Random(2), 40, 40, 24)
    ]
    bridge = [Buffer("bridge", 39, 41, 1)]

    def nodes(buffers):
        race = Race(buffers, conflicts(buffers), 24)
        assert race.run(NO_LIMIT, 10**7)[0] is not Status.UNKNOWN
        return race.nodes

    narrow = [replace(b, size=b.size - 1) if b.stop == 40 and b.size > 1 else b for b in left]
    narrow_right = [replace(b, size=b.size - 1) if b.start == 40 and b.size > 1 else b for b in right]
    assert nodes(narrow + narrow_right + bridge) < 4 * (nodes(narrow) + nodes(narrow_right))


def test_same_answer_again():
    buffers = perfect(random.Random(5), 80, 60, 24)
    assert pack_buffers(buffers, workers=2).offsets == pack_buffers(buffers, workers=2).offsets


def test_bound_counts_alignment():
    """Three buffers of one byte each take a full alignment, but for the one on top."""
    buffers = [Buffer(str(k), 0, 1, 1, alignment=8) for k in range(3)]
    found = pack_buffers(buffers)
    assert (found.bound, found.peak, found.nodes) == (17, 17, 0)


def test_colliding_fixed_offsets_are_infeasible():
    buffers = [Buffer("a", 0, 2, 4, offset=0), Buffer("b", 1, 3, 4, offset=2)]
    assert pack_buffers(buffers, 100).status is Status.INFEASIBLE
    assert pack_buffers(buffers).status is Status.INFEASIBLE


@pytest.mark.slow(reason="packs a large trace")
def test_large_trace_is_packed_close_to_its_load_in_time():
    buffers = heavy_tailed(1, 6_000)
    assert compiled.load("repair", Limits())
    begin = time.process_time()
    found = pack_buffers(buffers, time_limit_s=5, workers=1)
    assert time.process_time() - begin < 6.5  # others may use the machine
    assert found.peak <= 1.03 * found.bound
    assert not check_packing(buffers, found.offsets, None)


@pytest.mark.slow(reason="packs large instances")
def test_repair_meets_a_limit_that_one_pass_does_not():
    buffers = heavy_tailed(2, 3_000)
    starts, stops, sizes = ([*x] for x in zip(*((b.start, b.stop, b.size) for b in buffers), strict=True))
    chains = EjectionChains(starts, stops, sizes)
    first = chains.dive(0)
    peak = max(o + z for o, z in zip(first, sizes, strict=True))
    least = load(starts, stops, sizes)
    limit = (peak + least) // 2
    better = chains.fit(limit, NO_LIMIT)  # its moves are counted, not its seconds
    assert better is not None and not check_packing(buffers, better, limit)


@pytest.mark.slow(reason="packs thousands of buffers")
def test_small_buffers_find_holes_beside_the_others():
    """From a dive, by moves counted: half of the distance to the bound at least."""
    buffers = heavy_tailed(4, 4_000)
    starts, stops, sizes = ([*x] for x in zip(*((b.start, b.stop, b.size) for b in buffers), strict=True))
    chains, least = EjectionChains(starts, stops, sizes), load(starts, stops, sizes)
    first, told = chains.dive(0), []
    peak = max(o + z for o, z in zip(first, sizes, strict=True))

    def enough():
        return bool(told) and min(told) - least < (peak - least) / 2

    better = chains.improve(first, least, 1, memplan.Limits(1e6, cancel=enough), told.append)
    assert not check_packing(buffers, better, None)
    assert max(o + z for o, z in zip(better, sizes, strict=True)) == min(told) < peak


def test_check_finds_every_kind_of_fault():
    """Mutated packings: moved onto another, off the alignment, off the fixed offset, above the capacity."""
    faulty = sound = 0
    for seed in range(200):
        rng = random.Random(seed)
        buffers = tiny(rng)
        found = pack_buffers(buffers, workers=1)
        if not found.offsets:
            continue
        offsets = list(found.offsets)
        k = rng.randrange(len(buffers))
        offsets[k] = rng.randint(0, found.peak + 3)
        capacity = rng.choice((None, found.peak))
        b = buffers[k]
        wrong = (
            offsets[k] % b.alignment != 0
            or b.offset not in (None, offsets[k])
            or (capacity is not None and offsets[k] + b.size > capacity)
            or any(clash(b, offsets[k], c, offsets[j]) for j, c in enumerate(buffers) if j != k)
        )
        assert bool(check_packing(buffers, offsets, capacity)) == wrong, (seed, k)
        faulty, sound = faulty + wrong, sound + (not wrong)
    assert faulty > 50 and sound > 20
    assert check_packing(buffers, offsets[:-1], None)


def test_arrays_do_as_well_as_buffers():
    found = memplan.pack(
        np.array([0, 1, 0]), np.array([2, 3, 3]), np.array([4, 4, 2]), alignment=2, offsets=[None, None, 8]
    )
    assert found.offsets[2] == 8 and found.peak == 10
    with pytest.raises(MemplanError, match="differ in length"):
        memplan.pack([0], [1, 2], [3])
    with pytest.raises(MemplanError, match="2\\^62"):
        memplan.pack([0, 0], [1, 1], [2**61, 2**61])


def test_nothing_is_compiled_where_one_pass_meets_the_bound():
    code = (
        "import sys, memplan; memplan.pack([0, 1, 2], [2, 3, 4], [5, 6, 7]); "
        "sys.exit('numba' in sys.modules or 'ortools' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow(reason="waits for a time limit")
def test_time_limit_is_kept():
    buffers = [
        replace(b, size=b.size * 1024 + i) for i, b in enumerate(perfect(random.Random(9), 300, 200, 1024))
    ]
    assert compiled.load("pack", Limits()) and compiled.load("repair", Limits())
    begin = time.process_time()
    found = pack_buffers(buffers, time_limit_s=2, workers=1)
    assert time.process_time() - begin < 3.2 and found.bound <= found.peak
