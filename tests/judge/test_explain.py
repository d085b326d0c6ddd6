"""Explanations: what left, why, and what more capacity would buy."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.explain import explanation, live_without_spills, relief, spills
from memplan.judge.live import live_bytes
from tests.generate import random_graph
from tests.graphs import graph_of
from tests.spread import wide_plans


def _skip() -> Graph:
    """A chain whose middle leaves no room for the storage that its end needs again."""
    tensors = (
        Tensor("x", 4, "input"),
        Tensor("a", 4),
        Tensor("b", 4),
        Tensor("c", 6),
        Tensor("d", 4),
        Tensor("y", 2, "output"),
    )
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("b",), ("c",)),
        Op("s", "Conv", ("c",), ("d",)),
        Op("t", "Concat", ("a", "d"), ("y",)),
    )
    return graph_of("skip", tensors, ops)


def test_names_the_tightest_step_and_the_bytes_missing() -> None:
    graph = _skip()
    plan = memplan.plan(graph, scratchpad=10, solver="fixed_order")
    (spill,) = spills(graph, plan)
    assert spill.tensor == "a" and (spill.start, spill.stop) == (2, 4)
    assert (spill.tightest, spill.over, spill.cost) == (2, 4, 8)
    assert (spill.producer, spill.before, spill.after) == ("p", "q", "t")
    assert max(live_without_spills(graph, plan)) == 14
    assert relief(graph, plan) == [(14, 1, 8)]


def test_text() -> None:
    graph = _skip()
    text = explanation(graph, memplan.plan(graph, scratchpad=10, solver="fixed_order"))
    assert text.splitlines() == [
        "1 spill, 8 B moved because of them",
        "  a: 4 B, away in steps [2, 4), 8 B moved",
        "    made by p, last touched by q, needed again by t",
        "    tightest at step 2 (r): 10 B there already, 4 B over had it stayed",
        "with more capacity, this order and these residencies kept:",
        "              14 B (+4): 1 spill fewer, 8 B saved",
    ]
    assert explanation(graph, memplan.plan(graph, scratchpad="max")).startswith("no spills")


@pytest.mark.slow
def test_costs_add_up_and_the_last_capacity_needs_no_spill() -> None:
    explained = 0
    for seed in range(300):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(3, 14))
        weights = rng.choice(("ignore", "tensor", "stream"))
        plan = memplan.plan(graph, scratchpad="MR", solver="greedy", weights=weights)
        found = spills(graph, plan)
        assert sum(s.cost for s in found) == plan.metrics.traffic, seed
        assert max(live_bytes(plan), default=0) == plan.metrics.live_peak
        rows = relief(graph, plan)
        if not rows:
            continue
        explained += 1
        assert [r.capacity for r in rows] == sorted(r.capacity for r in rows)
        need = max(live_without_spills(graph, plan))
        assert rows[-1].capacity == max(need, plan.metrics.live_peak)
        names = {op.name: op for op in graph.ops}
        same = replace(graph, ops=tuple(names[name] for name in plan.schedule))
        if graph.aliases == same.aliases:
            wide = memplan.plan(same, scratchpad="max", weights=weights, order="program", solver="greedy")
            assert wide.metrics.live_peak == need, seed
    assert explained > 80


@pytest.mark.slow(reason="walks through many plans")
def test_spills_are_absences_from_the_first_memory() -> None:
    """Each between two residencies there, whatever lies in other memories meanwhile."""
    found = 0
    for graph, plan in wide_plans(150):
        first = plan.target.scratchpad.name
        rows = [r for r in plan.residencies if r.memory == first]
        loads = {(m.tensor, m.issue) for m in plan.moves if m.destination == first}
        for spill in spills(graph, plan):
            mine = [r for r in rows if r.tensor == spill.tensor]
            assert any(r.stop == spill.start for r in mine) and any(r.start == spill.stop for r in mine)
            assert not any(r.start < spill.stop and spill.start < r.stop for r in mine)
            assert (spill.tensor, spill.stop) in loads
            found += 1
        assert len(live_without_spills(graph, plan)) == len(plan.schedule)
        assert explanation(graph, plan)
    assert found > 20
