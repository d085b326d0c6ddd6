"""Boxes of a plan: every residency, parts inside their outputs, who made each, and ways that moves explain."""

from __future__ import annotations

from itertools import pairwise

import pytest

from memplan.ir.graph import Graph
from memplan.judge.check.check import check
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Plan, Residency
from memplan.views.boxes import scene_of
from tests.spread import blocks, spread_plan, wide_plans


@pytest.mark.parametrize("timed", [False, True])
def test_spread_plans_are_valid_and_have_something_of_everything(timed: bool) -> None:
    graph = blocks(4)
    plan = spread_plan(graph, timed)
    assert check(graph, plan) == []
    assert plan.moves and plan.inplace and plan.joined and len(plan.schedule) > len(graph.ops)
    assert {r.memory for r in plan.residencies} == {"sram", "axi"}
    assert {graph.tensor[r.tensor].kind for r in plan.residencies} >= {"activation", "workspace"}


def every_plan() -> list[tuple[Graph, Plan]]:
    graph = blocks(4)
    return [*wide_plans(60), (graph, spread_plan(graph)), (graph, spread_plan(graph, timed=True))]


def test_boxes_are_the_residencies_then_the_parts_of_joined_outputs() -> None:
    parts = 0
    for graph, plan in every_plan():
        boxes = scene_of(graph, plan).boxes
        n = len(plan.residencies)
        assert [Residency(*box[:6]) for box in boxes[:n]] == list(plan.residencies)
        assert not any(box.whole for box in boxes[:n])
        view = PlanView(graph, plan)
        assert {box.tensor for box in boxes[n:]} == {
            x for x, (whole, _) in view.parts.items() if any(r.tensor == whole for r in plan.residencies)
        }
        for part in boxes[n:]:
            (whole,) = [
                r
                for r in plan.residencies
                if (r.tensor, r.memory) == (part.whole, part.memory) and r.start <= part.start < r.stop
            ]
            assert part.offset == whole.offset + view.parts[part.tensor].first
            assert whole.start <= part.start < part.stop <= whole.stop
            assert whole.offset <= part.offset and part.offset + part.size <= whole.offset + whole.size
            parts += 1
    assert parts > 20


def test_a_box_is_made_by_an_execution_or_by_a_move_or_is_at_home() -> None:
    again = 0
    for graph, plan in every_plan():
        for box in scene_of(graph, plan).boxes[: len(plan.residencies)]:
            assert not (box.execution and box.arrival >= 0)
            if box.arrival >= 0:
                move = plan.moves[box.arrival]
                assert (move.tensor, move.destination, move.issue) == (box.tensor, box.memory, box.start)
            elif box.execution:
                joined = {x for op in graph.ops if op.name in plan.joined for x in op.outputs}
                maker = plan.schedule[box.start]
                assert box.tensor in joined or graph.ops[graph.producer[box.tensor]].name == maker
                assert box.tensor in joined or plan.schedule[: box.start + 1].count(maker) == box.execution
                again += box.execution > 1
            elif graph.tensor[box.tensor].kind == "activation":
                assert any(box.tensor in op.outputs for op in graph.ops if op.joins)
            else:
                assert box.start == 0
    assert again > 5


def test_a_way_leads_from_what_is_copied_to_what_its_move_begins() -> None:
    straight = through = 0
    for graph, plan in every_plan():
        scene = scene_of(graph, plan)
        addressed = {m.name for m in plan.target.addressed}
        for move, a, b in scene.ways:
            source, back = scene.boxes[a], scene.boxes[b]
            assert source.tensor == back.tensor == plan.moves[move].tensor and back.arrival == move and a != b
            if plan.moves[move].source in addressed:
                assert source.memory == plan.moves[move].source
                assert source.start <= plan.moves[move].issue <= source.stop
                straight += 1
            else:
                assert source.memory == back.memory and source.stop <= back.start
                assert scene.role(back.tensor) == "spilled"
                through += 1
    assert straight > 20 and through > 5


def test_what_is_spilled_leaves_a_memory_and_comes_back_or_is_stored_without_need() -> None:
    graph = blocks(4)
    plan = spread_plan(graph)
    scene = scene_of(graph, plan)
    back = {
        name
        for name in {r.tensor for r in plan.residencies}
        for memory in ("sram", "axi")
        for _, later in pairwise(
            sorted(r for r in plan.residencies if (r.tensor, r.memory) == (name, memory))
        )
        if any((m.tensor, m.destination, m.issue) == (name, memory, later.start) for m in plan.moves)
    }
    stored = {
        m.tensor for m, more in zip(plan.moves, scene.spilled, strict=True) if more and not plan.is_load(m)
    }
    assert scene.left == back | stored and back
    roles = {box.tensor: scene.role(box.tensor) for box in scene.boxes}
    assert roles["scratch1"] == "workspace" and all(roles[name] == "spilled" for name in back)
