"""`greedy` on targets of any memories: valid plans, never dearer than either of its ways."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.moving import beyond_scratchpad
from memplan_solvers.placement.placement import Placement

import memplan
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate_wide import wide_problem
from tests.programs import program


def test_random_problems_on_any_target_get_valid_plans() -> None:
    made = 0
    for seed in range(80):
        rng = random.Random(seed)
        problem = wide_problem(rng, rng.randint(1, 8), still=seed % 3 == 0)
        solver = parse_spec("greedy")
        if not beyond_scratchpad(problem):
            continue
        assert solver.lacks(problem) == []
        plan = evaluate(problem.graph, solver.solve(problem, Limits(60)))
        made += plan.status in (Status.OPTIMAL, Status.FEASIBLE)
        assert plan.status is not Status.INFEASIBLE
    assert made > 30


def test_moves_pay_where_storages_rest_between_their_uses() -> None:
    problem = memplan.make_problem(
        memplan.load("densenet121_int8"), "imxrt1060", io="external", order="program"
    )
    moving = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(60)))
    still = evaluate(problem.graph, Placement().solve(problem, Limits(60)))
    assert moving.value is not None and still.value is not None
    assert moving.moves and not still.moves and moving.value < still.value


@pytest.mark.parametrize("solver", ["greedy", "portfolio"])
def test_a_call_on_a_preset_of_several_memories_is_answered(solver: str) -> None:
    plan = memplan.plan(memplan.load("resnet8_int8"), "stm32h743", io="external", solver=solver)
    assert plan.status is Status.OPTIMAL and plan.value == 0


def test_what_is_beyond_a_scratchpad() -> None:
    plain = Problem(program("x>a a>y"), Target(), Options())
    assert not beyond_scratchpad(plain)
    assert beyond_scratchpad(replace(plain, target=two_level(direct=True)))
    assert not beyond_scratchpad(replace(plain, target=two_level(direct=True), options=Options("peak")))
    assert beyond_scratchpad(replace(plain, target=memplan.load_target("stm32h743")))


def test_who_is_out_of_time_has_a_plan_where_the_backing_memory_holds_everything() -> None:
    problem = memplan.make_problem(memplan.load("resnet8_int8"), "esp32-s3", io="external")
    for spec in ("greedy", "placement", "portfolio"):
        found = parse_spec(spec).solve(problem, Limits(60, cancel=lambda: True))
        plan = evaluate(problem.graph, found)
        assert plan.status is Status.FEASIBLE and not plan.residencies, spec


def test_workspaces_have_places_when_the_time_is_up() -> None:
    graph = program("x>a a>b,s b>y")
    tensors = tuple(replace(t, kind="workspace") if t.name == "s" else t for t in graph.tensors)
    ops = tuple(replace(op, workspace="s") if "s" in op.outputs else op for op in graph.ops)
    graph = replace(graph, tensors=tensors, ops=ops, outputs=("y",))
    problem = memplan.make_problem(graph, "esp32-s3", io="external")
    plan = evaluate(graph, parse_spec("greedy").solve(problem, Limits(60, cancel=lambda: True)))
    assert {r.tensor for r in plan.residencies} == {"s"}


def test_resident_inputs_and_outputs_have_places_when_the_time_is_up() -> None:
    problem = memplan.make_problem(memplan.load("resnet8_int8"), "stm32h743", io="resident")
    plan = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(60, cancel=lambda: True)))
    assert plan.status is Status.FEASIBLE
    assert {r.tensor for r in plan.residencies} == {"image", *problem.graph.outputs}


@pytest.mark.parametrize("objective", ["traffic", "latency"])
def test_the_portfolio_has_a_plan_wherever_greedy_has_one(objective: str) -> None:
    answered = 0
    for seed in range(30):
        rng = random.Random(f"{objective} {seed}")
        problem = wide_problem(rng, rng.randint(1, 5), still=seed % 3 == 0)
        problem = replace(problem, options=replace(problem.options, objective=objective))
        if not beyond_scratchpad(problem) or (objective == "latency" and not problem.target.timed):
            continue
        one, all_ = (parse_spec(spec).solve(problem, Limits(10)) for spec in ("greedy", "portfolio"))
        if one.status is not Status.UNKNOWN:
            best, other = evaluate(problem.graph, all_).value, evaluate(problem.graph, one).value
            assert best is not None and other is not None and best <= other, seed
            answered += 1
    assert answered > 5
