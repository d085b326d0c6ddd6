"""COSMA's baselines: as weak as they are meant to be, and real plans all the same."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.baseline import BASELINES, evict_until_placed, reduction
from memplan_solvers.peak.live import live_model, live_peak
from memplan_solvers.replace.evict import evict_on_demand
from memplan_solvers.residency import Walk, traffic

import memplan
from memplan.base.errors import OptionError
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate import random_graph
from tests.graphs import graph_of


@pytest.mark.slow
@pytest.mark.parametrize("spec", BASELINES)
def test_always_a_plan_never_better_than_the_optimum(spec: str) -> None:
    rng, above = random.Random(spec), 0
    for _ in range(60):
        graph = random_graph(rng, rng.randint(3, 7))
        problem = Problem(graph, Target(), Options())
        problem = replace(problem, target=problem.target.with_scratchpad(max(problem.min_capacity, 4)))
        plan = evaluate(graph, parse_spec(spec).solve(problem, Limits(10.0)))
        best = evaluate(graph, parse_spec("ilp").solve(problem, Limits(10.0)))
        assert (
            plan.value is not None and best.value is not None and plan.value >= best.value and plan.bound == 0
        )
        above += plan.value > best.value
        order = [[op.name for op in graph.ops].index(name) for name in plan.schedule]
        if "schedule=program" in spec:
            assert order == list(range(problem.n))
        else:
            model = live_model(problem)
            assert live_peak(model, order) <= live_peak(model, range(problem.n))
    assert above > 2


def test_the_step_program_chooses_the_cheapest_set_where_belady_goes_by_distance() -> None:
    """At the second op 4 bytes must leave: `far` is needed last but has to be stored, `x` is in host already."""
    tensors = (
        Tensor("x", 4, "input"),
        Tensor("v", 2, "input"),
        Tensor("far", 4),
        Tensor("b", 6, "output"),
        Tensor("y", 1, "output"),
        Tensor("z", 1, "output"),
    )
    ops = (
        Op("p", "Conv", ("x",), ("far",)),
        Op("q", "Conv", ("v",), ("b",)),
        Op("r", "Conv", ("x",), ("y",)),
        Op("s", "Conv", ("far",), ("z",)),
    )
    graph = graph_of("choice", tensors, ops)
    specs = [f"baseline{{replace={word}}}" for word in ("belady", "greedy_ilp")]
    assert [memplan.plan(graph, scratchpad=12, solver=spec).value for spec in specs] == [8, 4]


def test_repair_evicts_no_more_than_it_must_and_packs() -> None:
    rng, repaired_some = random.Random(4), 0
    for _ in range(200):
        graph = random_graph(rng, rng.randint(6, 14), (2, 3, 5, 7))
        problem = Problem(graph, Target(), Options())
        problem = replace(problem, target=problem.target.with_scratchpad(max(problem.min_capacity, 4) + 3))
        walk = Walk(problem, tuple(range(problem.n)))
        stretches = evict_on_demand(walk, problem.capacity or 0, None)
        assert stretches is not None
        placed = evict_until_placed(walk, stretches, lambda: False)
        assert placed is not None
        blocks, offsets = placed
        assert max((o + b.size for b, o in zip(blocks, offsets, strict=True)), default=0) <= (
            problem.capacity or 0
        )
        after: list[list[tuple[int, int]]] = [[] for _ in problem.storages]
        for block in blocks:
            for s, stretch in block.members:
                after[s].append(stretch)
        assert traffic(problem, after) >= traffic(problem, stretches)
        repaired_some += traffic(problem, after) > traffic(problem, stretches)
    assert repaired_some


def test_unknown_words_name_the_nearest() -> None:
    with pytest.raises(OptionError, match="peak"):
        parse_spec("baseline{schedule=peaks}")
    with pytest.raises(OptionError, match="greedy_ilp"):
        parse_spec("baseline{replace=greedy_ip}")


def test_the_reduction_leaves_out_baselines_at_zero() -> None:
    assert reduction([(1, 10), (4, 10), (0, 0), (3, 0)]) == (0.75, 2, 2)
    assert reduction([(0, 0)]) == (None, 0, 1)
