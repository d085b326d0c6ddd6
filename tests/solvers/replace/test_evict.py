"""Eviction on demand: what fits at every step, and who leaves."""

from __future__ import annotations

import random
from dataclasses import replace

from memplan_solvers.candidates import farthest_next_use
from memplan_solvers.place import live_bytes
from memplan_solvers.replace import POLICIES
from memplan_solvers.replace.allocate import allocate_on_demand
from memplan_solvers.replace.evict import around_each_op, evict_on_demand, only_pinned
from memplan_solvers.residency import Walk, blocks_of, stretches_of, traffic

from tests.agree import random_problem
from tests.programs import problem


def test_the_farthest_next_use_leaves() -> None:
    # Before op3 (a third storage) one of a and b has to leave: b is read next.
    found = problem("x>a x>b x0>c c,b>d d,a>y", {"a": 4, "b": 4, "c": 4, "x0": 1})
    walk = Walk(found, tuple(range(found.n)))
    stretches = evict_on_demand(walk, 9, None)
    assert stretches is not None
    at = found.number
    assert stretches[at["a"]] == [(0, 2), (4, 5)] and stretches[at["b"]] == [(1, 4)]
    assert traffic(found, stretches) == 8
    assert evict_on_demand(walk, 13, None) == walk.whole
    assert evict_on_demand(walk, 8, None) is None  # op3 needs nine
    assert evict_on_demand(walk, 9, None, stop=lambda: True) is None


def test_a_clean_copy_is_cheaper_than_one_that_must_be_stored() -> None:
    # x is read again last, so by distance it stays and a leaves; by cost x leaves, which host has.
    found = problem("x>a x0>c c,a>d d,x>y", {"a": 4, "x": 4, "c": 4, "x0": 1})
    walk = Walk(found, tuple(range(found.n)))
    cheap = evict_on_demand(walk, 9, POLICIES["cheap"])
    assert cheap is not None and len(cheap[found.number["x"]]) == 2 and traffic(found, cheap) == 4


def test_every_policy_keeps_within_the_capacity_wherever_the_ops_do() -> None:
    spilled = 0
    for seed in range(200):
        found = random_problem(seed, "traffic")
        walk = Walk(found, tuple(range(found.n)))
        capacity = random.Random(seed).randint(0, 4) + max(found.need, default=0)
        floor = around_each_op(walk)
        for name, rank in POLICIES.items():
            stretches = evict_on_demand(walk, capacity, rank)
            if stretches is None:
                assert found.inplace_pairs or live_bytes(blocks_of(walk, floor)) > capacity, (seed, name)
                continue
            blocks = blocks_of(walk, stretches)
            assert live_bytes(blocks) <= capacity, (seed, name)
            for s, parts in enumerate(stretches):
                covered = {t for a, b in parts for t in range(a, b)}
                assert covered.issuperset(walk.steps[s]) and len(covered) == sum(b - a for a, b in parts)
            spilled += traffic(found, stretches) > traffic(found, walk.whole)
    assert spilled > 50


def test_what_costs_more_than_is_allowed_is_given_up_and_nothing_else() -> None:
    given_up = 0
    for seed in range(200):
        found = random_problem(seed, "traffic")
        walk = Walk(found, tuple(range(found.n)))
        capacity = random.Random(seed).randint(0, 4) + max(found.need, default=0)
        for rank in POLICIES.values():
            if (evicted := evict_on_demand(walk, capacity, rank)) is not None:
                cost = traffic(found, evicted)
                assert evict_on_demand(walk, capacity, rank, most=cost) == evicted, seed
                assert evict_on_demand(walk, capacity, rank, most=cost - 1) is None, seed
            by_distance = rank or farthest_next_use
            if (allocated := allocate_on_demand(walk, capacity, by_distance)) is not None:
                cost = traffic(found, stretches_of(found, allocated[0]))
                assert allocate_on_demand(walk, capacity, by_distance, most=cost) == allocated, seed
                assert allocate_on_demand(walk, capacity, by_distance, most=cost - 1) is None, seed
                given_up += cost > 0
    assert given_up > 100


def test_what_is_pinned_stays_around_each_op_too() -> None:
    found = problem("x>a a>b a,b>y", pins={"a": "keep"})
    walk = Walk(found, (0, 1, 2))
    a, b, x, y = (found.number[name] for name in "abxy")
    floor = around_each_op(walk)
    assert (floor[a], floor[b], floor[x], floor[y]) == ([(0, 3)], [(1, 2), (2, 3)], [(0, 1)], [(2, 3)])
    anywhere = replace(found, target=replace(found.target, operands={"default": ("scratchpad", "host")}))
    assert only_pinned(Walk(anywhere, (0, 1, 2)))[a] == [(0, 3)] and not only_pinned(walk)[b]
