"""Where storages may lie on targets of several memories, and what that costs."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.lives import Lives
from memplan_solvers.placement.placement import Placement

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.places import is_free, least_cost
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from tests.generate_wide import wide_problem

MEMORIES = Memory("fast", 64, alignment=4), Memory("mid", 64), Memory("flash", readonly=True), Memory("slow")


def problem(queues: int = 0, pins: dict[str, str] | None = None, **options: object) -> Problem:
    """x and the constant w make a, with a workspace; a alone makes b and y."""
    tensors = (
        Tensor("x", 6, "input"),
        Tensor("w", 8, "constant"),
        Tensor("a", 3, alignment=2),
        Tensor("s", 5, "workspace"),
        Tensor("b", 4),
        Tensor("y", 2),
    )
    ops = (
        Op("p", "Conv", ("x", "w"), ("a", "s"), workspace="s"),
        Op("q", "Slow", ("a",), ("b",)),
        Op("r", "Conv", ("a", "w"), ("y",)),
    )
    operands = {
        "default": ("fast", "mid", "slow"),
        "constants": ("fast", "mid", "flash"),
        "Slow": ("mid", "slow"),
    }
    target = Target("t", MEMORIES, operands, {"constants": "flash"}, queues)
    asked = Options(weights="tensor", pins=pins or {}, **options)  # type: ignore[arg-type]
    return Problem(Graph("g", tensors, ops, ("y",)), target, asked)


def places(problem: Problem) -> dict[str, list[tuple[str, float, bool]]]:
    return {item.name: [(p.memory, p.cost, p.moved) for p in item.places] for item in problem.placeables}


def test_where_nothing_moves_each_storage_lies_where_all_its_ops_reach() -> None:
    assert places(problem()) == {
        "x": [("slow", 6, False)],
        "w": [("flash", 16, False)],
        "a": [("mid", 0, False), ("slow", 9, False)],
        "s": [("fast", 0, False), ("mid", 0, False)],
        "b": [("mid", 0, False), ("slow", 4, False)],
        "y": [("slow", 2, False)],
    }


def test_what_may_move_is_loaded_from_its_home_or_stored_there() -> None:
    found = places(problem(queues=1))
    assert found["x"] == [("fast", 6, True), ("mid", 6, True), ("slow", 6, False)]
    assert found["w"] == [("fast", 8, True), ("mid", 8, True), ("flash", 16, False)]
    assert found["y"] == [("fast", 2, True), ("mid", 2, True), ("slow", 2, False)]
    streamed = places(replace(problem(1), options=Options(weights="stream")))
    assert streamed["w"] == [("fast", 16, True), ("mid", 16, True), ("flash", 16, False)]


def test_sizes_and_alignments_are_those_of_the_memory_and_of_the_tensor() -> None:
    found = {item.name: {p.memory: p for p in item.places} for item in problem(1).placeables}
    assert [found["x"][m][2:4] for m in ("fast", "mid", "slow")] == [(8, 4), (6, 1), (0, 1)]
    assert found["a"]["mid"][2:4] == (3, 2)


def test_the_option_io_says_where_inputs_and_outputs_are_at_home() -> None:
    resident = places(problem(queues=1, io="resident"))
    assert resident["x"] == [("fast", 0, False)] and resident["y"] == [("fast", 0, False)]
    assert {"x", "y"}.isdisjoint(places(problem(io="external")))
    assert "w" not in places(replace(problem(), options=Options(weights="ignore")))


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("mid", ["mid", "slow"]),
        ("mid@8", ["mid", "slow"]),
        ("host", ["slow"]),
        ("keep", ["mid"]),
        ("@8", ["slow"]),
    ],
)
def test_pins_leave_the_places_that_they_allow(word: str, kept: list[str]) -> None:
    item = next(item for item in problem(pins={"a": word}).placeables if item.name == "a")
    assert [p.memory for p in item.places] == kept
    assert {p.offset for p in item.places if p.memory == "mid"} <= {8 if "@" in word else None}


def test_the_free_bound_is_what_the_cheapest_places_cost() -> None:
    assert (
        problem().free_bound == 8
    )  # the constant is read twice where it is at home, which is compulsory once
    assert problem(1).free_bound == 0


def test_costs_of_places_are_what_the_simulator_counts() -> None:
    counted = shortened = 0
    for seed in range(200):
        rng = random.Random(seed)
        asked = wide_problem(rng, rng.randint(1, 8), still=seed % 2 == 0)
        if not all(item.places for item in asked.placeables):
            continue
        layout = best_filled(Lives(asked, range(asked.n)), Limits(60), Limits(60))
        if layout is None:
            continue
        residencies, moves, inplace = layout.parts()
        order = range(asked.n)
        plan = Placement().answer(
            asked, Limits(), order=[*order], residencies=residencies, moves=moves, inplace=inplace
        )
        judged = evaluate(asked.graph, plan)
        assert judged.value is not None and judged.value == pytest.approx(layout.traffic)
        assert asked.free_bound <= judged.value
        free = is_free(asked.target, asked.options)
        assert not free or least_cost(asked.target, asked.options, asked.placeables) == 0
        shortened += free
        counted += judged.value > 0
    assert counted > 20 and shortened > 5


def test_the_free_bound_leaves_out_what_a_join_may_save() -> None:
    # Written side by side at home the parts are the output, so that the join reads and writes nothing.
    tensors = Tensor("x", 1, "input"), Tensor("a", 2), Tensor("b", 2), Tensor("y", 4)
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("x",), ("b",)),
        Op("r", "Concat", ("a", "b"), ("y",), joins=(("a", 0), ("b", 2))),
    )
    target = Target("t", (Memory("fast"), Memory("slow", addresses=True)), {"default": ("slow",)})
    graph = Graph("g", tensors, ops, ("y",))
    assert Problem(graph, target, Options(io="host", join=True)).free_bound == 1  # x is read twice
    assert Problem(graph, target, Options(io="host")).free_bound == 1 + 2 * 4
