"""Copies beside ops: plans stay valid, and wait for no copy for which there is time and space."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.beside_ops import beside_ops
from memplan_solvers.moving import HASTES, best_moving, beyond_scratchpad, stepped

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.judge.timeline import timeline
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate_wide import wide_problem, with_pins


def machine(capacity: int | None) -> Target:
    """Three memories, of which ops use the fastest alone; an op takes as long as 10 bytes take to come."""
    memories = (
        Memory("fast", capacity, bandwidth=1e12),
        Memory("middle", 99, bandwidth=1e9),
        Memory("slow", bandwidth=1e9),
    )
    return Target("three", memories, {"default": ("fast",)}, compute=Compute(1e9))


def chain(count: int) -> Graph:
    """Ops in a row, each of which reads a weight of 10 bytes."""
    tensors = [Tensor("t0", 0, "input"), *(Tensor(f"t{k}", 0) for k in range(1, count + 1))]
    tensors += [Tensor(f"w{k}", 10, "constant") for k in range(count)]
    ops = (Op(f"op{k}", "Conv", (f"t{k}", f"w{k}"), (f"t{k + 1}",), flops=10) for k in range(count))
    return Graph("chain", tuple(tensors), tuple(ops), (f"t{count}",))


def timed(graph: Graph, target: Target, **options: str) -> Problem:
    return memplan.make_problem(
        graph, target, objective="latency", weights="tensor", order="program", **options
    )  # type: ignore[arg-type]


def solved(problem: Problem) -> Plan:
    return evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(60)))


def test_what_is_loaded_comes_while_ops_run_as_far_as_there_is_space() -> None:
    # The first weight is waited for; with bytes for two, each other one comes while the op before it runs.
    roomy, tight = (solved(timed(chain(8), machine(capacity))) for capacity in (20, 10))
    assert roomy.value == pytest.approx((1 + 8) * 10e-9, rel=0.01)
    assert tight.value == pytest.approx((8 + 8) * 10e-9, rel=0.01)


def test_what_is_stored_goes_while_ops_run() -> None:
    # y is an output that nothing reads; the next op needs none of its bytes.
    tensors = Tensor("x", 0, "input"), Tensor("y", 10), Tensor("z", 0), Tensor("u", 0)
    ops = Op("make", "Conv", ("x",), ("y",), flops=10), Op("next", "Conv", ("x",), ("z",), flops=20)
    graph = Graph("g", tensors, (*ops, Op("last", "Conv", ("z",), ("u",), flops=10)), ("y", "u"))
    assert solved(timed(graph, machine(20))).value == pytest.approx(40e-9, rel=0.01)


def test_a_plan_without_moves_has_nothing_to_be_put_beside_ops() -> None:
    target = Target("one", (Memory("only", bandwidth=1e9),), compute=Compute(1e9))
    plan = solved(timed(chain(3), target, io="external"))
    assert plan.status is Status.OPTIMAL and not plan.moves and beside_ops(chain(3), plan, HASTES) == []


def test_bytes_that_are_shared_in_place_stay_together() -> None:
    # b is written over a, which came by a move: a may come earlier, though not to other bytes.
    tensors = Tensor("x", 0, "input"), Tensor("a", 8, "input"), Tensor("z", 4), Tensor("b", 8), Tensor("y", 0)
    ops = (
        Op("one", "Conv", ("x",), ("z",), flops=10),
        Op("two", "Conv", ("z",), ("y",), flops=10),
        Op("over", "Relu", ("a",), ("b",), overwrites=(("b", "a"),)),
    )
    graph = Graph("g", tensors, ops, ("b", "y"))
    target = replace(machine(16), memories=(Memory("fast", 16, bandwidth=1e12), *machine(16).memories[1:]))
    problem = timed(graph, target, inplace=True)  # type: ignore[arg-type]
    rows = (
        Residency("x", "fast", 0, 1, 0, 0), Residency("z", "fast", 0, 2, 0, 4), Residency("y", "fast", 1, 3, 8, 0),
        Residency("a", "fast", 2, 3, 0, 8), Residency("b", "fast", 2, 3, 0, 8),
    )  # fmt: skip
    moves = [
        Move("x", "slow", "fast", 0, 0),
        Move("a", "slow", "fast", 2, 2),
        Move("b", "fast", "slow", 3, 3),
    ]
    moves.insert(2, Move("y", "fast", "slow", 2, 2))
    plan = parse_spec("greedy").answer(
        problem, Limits(), order=range(3), residencies=[*rows], moves=moves, inplace=[InPlace(2, "b", "a")]
    )  # type: ignore[arg-type]
    for made in beside_ops(graph, plan, HASTES):
        assert check(graph, made, claims=False) == []
        assert {r.offset for r in made.residencies if r.tensor in "ab"} == {0}


def random_plans(seeds: range) -> tuple[int, int]:
    """How many plans there were of random problems, and how many copies ran beside ops; all are valid and none is slower
    than the plan of the step model that waits for each copy."""
    made = beside = 0
    for seed in seeds:
        rng = random.Random(seed)
        problem = wide_problem(rng, rng.randint(1, 10), still=seed % 5 == 0)
        problem = replace(problem, options=replace(problem.options, objective="latency"))
        if not (problem.target.timed and beyond_scratchpad(problem)):
            continue
        problem = with_pins(rng, problem) if seed % 2 else problem
        plan = solved(problem)
        if plan.status is Status.UNKNOWN:
            continue
        made += 1
        beside += sum(m.issue < m.due for m in plan.moves)
        waiting = best_moving(parse_spec("greedy"), stepped(problem), Limits(60))
        assert waiting is not None and plan.value is not None
        waiting = replace(waiting, options=plan.options, target=problem.target)
        assert check(problem.graph, waiting, claims=False) == [], seed
        assert plan.value <= timeline(problem.graph, waiting).latency_s * (1 + 1e-9), seed
    return made, beside


@pytest.mark.slow(reason="plans many graphs")
def test_random_plans_are_valid_and_gain() -> None:
    made, beside = random_plans(range(40))
    assert made > 8 and beside > 4


@pytest.mark.slow(reason="a long loop over seeds")
def test_hundreds_of_random_plans_are_valid() -> None:
    random_plans(range(40, 800))
