"""Bounds that cost no search hold for the optimum, fixed places included, and name the very next peak."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from memplan_solvers.offsets import bounds

from memplan.cli import main
from memplan.packing.buffers import Buffer
from memplan.packing.packer import pack_buffers
from memplan.problem.fixed_places import least_top, lowest_end
from memplan.problem.plan import Status
from tests.solvers.offsets import instances


@pytest.mark.slow
def test_bounds_hold_for_the_least_peak() -> None:
    tight = fixed = 0
    for seed in range(2000):
        buffers = instances.tiny(random.Random(seed))
        least = instances.least_peak(buffers)
        if least is None or not least:
            continue
        step = bounds.unit(buffers)
        bound = bounds.next_peak(buffers, bounds.least_peak(buffers) - 1, step)
        assert bound <= least and least % step == 0, seed
        assert bounds.next_peak(buffers, least - 1, step) == least, seed
        if any(b.offset is not None for b in buffers):
            fixed += 1
            tight += bound == least
    assert fixed > 500 and tight > 0.6 * fixed


def test_a_hole_holds_at_most_a_sum_of_sizes() -> None:
    assert lowest_end([(10, 20)], 10) == 10 and lowest_end([(10, 20)], 11) == 31
    assert least_top([(10, 20)], [7, 7]) == 27  # one of them in the hole, 3 bytes of it lost
    assert least_top([(10, 20), (12, 25)], [4, 6]) == 25
    assert least_top([(10, 20)], [11, 3]) == 31
    assert least_top([], [4, 6]) == 10


def test_large_odd_sizes_beside_a_fixed_buffer_are_proved_without_search(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size, at, large = 4_194_301, 4_194_309, 205_520_897
    buffers = [Buffer("kept", 1, 9, size, 1, at), Buffer("late", 5, 9, large), Buffer("late too", 6, 9, 65)]
    found = pack_buffers(buffers)
    assert (found.status, found.peak, found.nodes) == (Status.OPTIMAL, at + size + large, 0)
    path = tmp_path / "fixed.csv"
    rows = [f"{b.name},{b.start},{b.stop},{b.size},{'' if b.offset is None else b.offset}" for b in buffers]
    path.write_text("\n".join(["id,lower,upper,size,offset", *rows]) + "\n")
    assert main(["pack", str(path), "--capacity", str(found.peak - 1)]) == 3
    message = capsys.readouterr().err
    assert f"give {found.peak} bytes" in message
    assert main(["pack", str(path), "--capacity", str(found.peak)]) == 0


def test_the_climb_goes_from_one_possible_peak_to_the_next() -> None:
    """Three fixed buffers leave holes that a pair of free ones could fill by bytes, but not in truth."""
    fixed = [Buffer(f"f{k}", 0, 4, 1000, 1, 1000 + 5000 * k) for k in range(3)]
    free = [Buffer(f"a{k}", k % 2, 3, 1801 + 2 * k) for k in range(6)]
    found = pack_buffers([*fixed, *free], time_limit_s=20)
    assert found.status is Status.OPTIMAL and found.nodes < 5_000


@pytest.mark.slow
def test_a_refuted_capacity_is_never_the_hint() -> None:
    rng, refuted = random.Random(5), 0
    for seed in range(300):
        buffers = instances.tiny(random.Random(seed))
        capacity = rng.randint(0, 20)
        found = pack_buffers(buffers, capacity)
        least = instances.least_peak(buffers)
        if found.status is Status.INFEASIBLE and least is not None:
            assert capacity < found.bound <= least, seed
            refuted += 1
    assert refuted > 50
