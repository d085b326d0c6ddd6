"""`greedy` on targets of any memories: valid plans, never dearer than either of its ways."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.joins import joining
from memplan_solvers.moving import beyond_scratchpad
from memplan_solvers.placement.placement import Placement

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from tests import agree_moving
from tests.generate_wide import wide_problem
from tests.programs import program


@pytest.mark.slow(reason="plans many graphs")
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


JOINED = Graph(
    "joined",
    (Tensor("x", 1, "input"), Tensor("a", 4), Tensor("b", 4), Tensor("j", 8), Tensor("y", 1)),
    (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("x",), ("b",)),
        Op("join", "Concat", ("a", "b"), ("j",), joins=(("a", 0), ("b", 4))),
        Op("r", "Conv", ("j",), ("y",)),
    ),
    ("y",),
)


@pytest.mark.parametrize("solver", ["greedy", "placement", "portfolio"])
@pytest.mark.parametrize("queues", [0, 1])
def test_what_fits_beside_nothing_is_joined_in_one_of_several_memories(solver: str, queues: int) -> None:
    memories = Memory("one", 8), Memory("two", 3), Memory("slow")
    target = Target("three", memories, {"default": ("one", "two", "slow")}, queues=queues)
    words = {"io": "external", "solver": solver, "workers": 1, "time_limit_s": 5.0}
    apart, joined = (memplan.plan(JOINED, target, join=join, **words) for join in (False, True))
    assert apart.value is not None and apart.value >= 8 and apart.joined == ()
    assert (joined.status, joined.value, joined.joined) == (Status.OPTIMAL, 0, ("join",))
    assert [(r.memory, r.start, r.stop) for r in joined.residencies if r.tensor == "j"] == [("one", 0, 4)]


def test_what_is_joined_takes_no_time_for_its_copy() -> None:
    memories = Memory("one", 8, bandwidth=4e9), Memory("two", 3, bandwidth=2e9), Memory("slow", bandwidth=1e9)
    target = Target("three", memories, {"default": ("one", "two", "slow")}, compute=Compute(1e9))
    words = {"objective": "latency", "io": "external", "solver": "greedy"}
    apart, joined = (memplan.plan(JOINED, target, join=join, **words) for join in (False, True))
    assert joined.joined == ("join",) and apart.joined == ()
    assert joined.value is not None and apart.value is not None and joined.value < apart.value


def test_parts_are_joined_where_all_that_use_them_may() -> None:
    graph = replace(JOINED, ops=(*JOINED.ops[:1], replace(JOINED.ops[1], kind="Gemm"), *JOINED.ops[2:]))
    memories = Memory("one", 32), Memory("two", 32), Memory("slow")
    reach = {"default": ("one", "two", "slow"), "Gemm": ("two", "slow")}
    target = Target("three", memories, reach, queues=0)
    problem = joining(make_problem(graph, target, io="external", join=True), ("join",))
    whole = next(s for s in problem.placeables if s.name == "j")
    assert [p.memory for p in whole.places] == ["two"] and whole.touches == (2, 0, 1, 3)
    assert {s.name for s in problem.placeables} == {"j"}


@pytest.mark.slow(reason="plans many graphs")
def test_claims_about_tiny_problems_agree_with_brute_force() -> None:
    # Those left out have a hundred times as many states.
    quick = [seed for seed in range(40) if seed not in (17, 21, 39)]
    seen = agree_moving.check_solvers(("greedy", "placement"), quick)
    assert seen["greedy optimal"] > 10 and seen["placement least"] > 10


@pytest.mark.slow(reason="compares with brute force over hundreds of problems")
@pytest.mark.parametrize("first", [1000, 2000])
def test_claims_about_hundreds_of_tiny_problems_agree_with_brute_force(first: int) -> None:
    agree_moving.check_solvers(("greedy", "placement", "portfolio"), range(first, first + 100))


@pytest.mark.slow(reason="plans of whole networks")
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


@pytest.mark.slow(reason="plans many graphs")
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
