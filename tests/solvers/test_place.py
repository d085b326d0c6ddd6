"""Addresses for given stretches, against every packing there is."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from memplan_solvers.place import harder, live_bytes, one_pass, place, repaired
from memplan_solvers.residency import Block, Walk, blocks_of

from memplan.packing.buffers import Buffer
from memplan.packing.check import check_packing
from memplan.solving.limits import Limits
from tests.agree import random_problem
from tests.programs import problem
from tests.solvers.offsets.instances import least_peak, perfect


@pytest.mark.slow(reason="plans many graphs")
def test_placed_or_proved_impossible_and_nothing_else() -> None:
    seen: Counter[tuple[str, bool]] = Counter()
    for seed in range(120):
        wide = random_problem(seed, "peak", ops=4)
        alignment = wide.target.scratchpad.alignment
        wide = replace(wide, target=wide.target.with_scratchpad(None, alignment))
        walk = Walk(wide, tuple(range(wide.n)))
        blocks = blocks_of(walk, walk.whole)
        if len(blocks) > 7:
            continue
        buffers = [Buffer(str(k), b.start, b.stop, b.size, alignment, b.offset) for k, b in enumerate(blocks)]
        least = least_peak(buffers)
        live = live_bytes(blocks)
        assert live == max(
            (sum(b.size for b in blocks if b.start <= t < b.stop) for t in range(wide.n)), default=0
        )
        for capacity in (live - 1, live, least or live, None):
            if capacity is not None and capacity < 1:
                continue
            found = place(walk, walk.whole, capacity, Limits(20.0))
            fits = least is not None and (capacity is None or least <= capacity)
            assert found.impossible != fits and (found.offsets is not None) == fits, (seed, capacity)
            if found.offsets is not None:
                assert check_packing(buffers, found.offsets, capacity) == []
                assert found.peak == max(
                    (o + b.size for o, b in zip(found.offsets, blocks, strict=True)), default=0
                )
            seen[found.method if fits else "none", fits] += 1
    assert seen["one pass", True] > 150 and seen["none", False] > 50, seen


def test_the_exact_packer_is_asked_where_no_order_gets_there() -> None:
    walk = Walk(problem("x>y"), (0,))
    asked = 0
    for seed in range(20):
        rectangle = perfect(random.Random(seed), 12, steps=12, height=24)  # it fits exactly
        blocks = [Block(b.start, b.stop, b.size) for b in rectangle]
        _, peak = one_pass(walk.problem, blocks, 24)
        if peak > 24:
            asked += 1
            found = harder(walk, blocks, 24, Limits(20.0))
            assert found.offsets is not None and check_packing(rectangle, found.offsets, 24) == []
            assert found.peak == 24 and found.how.startswith("packed by")
    assert asked > 5


def test_a_spent_budget_proves_nothing() -> None:
    found = problem("x>a a>b a,b>y", {"a": 4, "b": 4})
    walk = Walk(found, (0, 1, 2))
    assert place(walk, walk.whole, 8, Limits(0.0)).impossible  # by bytes alone
    assert not place(walk, walk.whole, 9, Limits(0.0)).impossible


def test_what_was_paid_beyond_bytes_is_told() -> None:
    assert repaired(1000, 3500, "had no addresses").endswith("repaired for 2,500 B more")
