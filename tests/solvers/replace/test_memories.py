"""Moves on demand between any memories: every plan is valid, and nothing leaves without need."""

from __future__ import annotations

import random

import pytest
from memplan_solvers.placement.lives import Lives
from memplan_solvers.replace.memories import ResidencyPolicy, moved_on_demand
from memplan_solvers.schedule.orders import orders

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Channel, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate_wide import wide_problem, with_pins

POLICIES = [ResidencyPolicy(directly, brief) for directly in (False, True) for brief in (-1, 0, 3)]


def walked(problem: Problem, policy: ResidencyPolicy, order: tuple[int, ...] | None = None) -> Plan | None:
    order = order or tuple(range(problem.n))
    state = moved_on_demand(Lives(problem, order), policy)
    if state is None:
        return None
    plan = parse_spec("greedy").answer(
        problem,
        Limits(),
        order=order,
        residencies=state.residencies,
        moves=state.moves,
        inplace=state.inplace,
    )
    return evaluate(problem.graph, plan)


def random_plans(seeds: range) -> tuple[int, int]:
    """How many plans there were, and how many of them move something; `evaluate` refuses those that are not valid."""
    made = moving = 0
    for seed in seeds:
        rng = random.Random(seed)
        problem = wide_problem(rng, rng.randint(1, 8), still=seed % 5 == 0)
        problem = with_pins(rng, problem) if seed % 2 else problem
        policy = POLICIES[seed % len(POLICIES)]
        for order in list(orders(problem))[:2]:
            plan = walked(problem, policy, order)
            made += plan is not None
            moving += plan is not None and bool(plan.moves)
    return made, moving


def test_random_plans_are_valid() -> None:
    made, moving = random_plans(range(200))
    assert made > 100 and moving > 30


@pytest.mark.slow
def test_a_thousand_random_plans_are_valid() -> None:
    random_plans(range(200, 1200))


def chain(**options: object) -> tuple[Graph, Options]:
    """x is read at the begin and at the end; between them two steps need all the fast bytes there are."""
    tensors = (
        Tensor("x", 4, "input"),
        Tensor("a", 4),
        Tensor("b", 8),
        Tensor("c", 4),
        Tensor("y", 4),
    )
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("a",), ("b",)),
        Op("r", "Conv", ("b",), ("c",)),
        Op("s", "Conv", ("a", "c"), ("y",)),
    )
    return Graph("g", tensors, ops, ("y",)), Options(order="program", **options)  # type: ignore[arg-type]


def test_who_leaves_goes_to_the_fastest_memory_with_a_hole() -> None:
    graph, options = chain()
    memories = Memory("one", 12), Memory("two", 8), Memory("slow")
    target = Target("three", memories, {"default": ("one",)})
    plan = walked(Problem(graph, target, options), ResidencyPolicy(False, 0))
    assert plan is not None and plan.value == 0
    moved = [(m.tensor, m.source, m.destination) for m in plan.moves if m.tensor == "a"]
    assert moved == [("a", "one", "two"), ("a", "two", "one")]


def test_without_a_hole_elsewhere_it_goes_to_the_backing_memory() -> None:
    graph, options = chain()
    memories = Memory("one", 12), Memory("two", 3), Memory("slow")
    plan = walked(
        Problem(graph, Target("three", memories, {"default": ("one",)}), options), ResidencyPolicy(False, 0)
    )
    assert plan is not None and plan.value == 2 * 4
    assert [m.destination for m in plan.moves if m.tensor == "a"] == ["slow", "one"]


def test_where_ops_reach_slow_memory_nothing_has_to_leave() -> None:
    graph, options = chain(io="external")
    memories = Memory("one", 11), Memory("slow")
    plan = walked(
        Problem(graph, Target("two", memories, {"default": ("one", "slow")}), options),
        ResidencyPolicy(True, 0),
    )
    assert plan is not None and not plan.moves and plan.value == 2 * 8


def test_channels_are_the_only_ways() -> None:
    graph, options = chain()
    memories = Memory("one", 12), Memory("two", 8), Memory("slow")
    channels = Channel("slow", "one"), Channel("one", "slow")
    target = Target("three", memories, {"default": ("one",)}, {}, 1, channels)
    plan = walked(Problem(graph, target, options), ResidencyPolicy(False, 0))
    assert plan is not None and {(m.source, m.destination) for m in plan.moves} <= {
        ("slow", "one"),
        ("one", "slow"),
    }


def test_too_little_room_is_no_plan_and_a_stop_ends_the_walk() -> None:
    graph, options = chain()
    tight = Problem(graph, Target("two", (Memory("one", 11), Memory("slow"))), options)
    assert walked(tight, ResidencyPolicy(False, 0)) is None
    roomy = Problem(graph, Target("two", (Memory("one", 20), Memory("slow"))), options)
    assert walked(roomy, ResidencyPolicy(False, 0)) is not None
    assert moved_on_demand(Lives(roomy, range(4)), ResidencyPolicy(False, 0), lambda: True) is None
