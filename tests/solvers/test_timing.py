"""From the step model to the timed one: plans stay valid, loads come early where there is room, and the bound holds."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from memplan_solvers.greedy import Greedy
from memplan_solvers.improve import Answer
from memplan_solvers.latency.prefix import johnson, loaded_bound
from memplan_solvers.prefetch import prefetched
from memplan_solvers.residency import Walk, blocks_of, read_plan

import memplan
from memplan.io.plan_json import plan_text
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.judge.timeline import timeline
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.views.text import plan_summary
from tests.solvers.malloc_game.games import random_problem


def layers(count: int, weight: int, flops: int, branches: int = 1) -> Graph:
    """Layers whose weights are as large as their work is long, in chains that end in one sum."""
    tensors, ops = [Tensor("x", 10, "input")], []
    for b, k in itertools.product(range(branches), range(count)):
        read = f"y{b}.{k - 1}" if k else "x"
        tensors += [Tensor(f"w{b}.{k}", weight, "constant"), Tensor(f"y{b}.{k}", 10)]
        ops.append(Op(f"l{b}.{k}", "MatMul", (read, f"w{b}.{k}"), (f"y{b}.{k}",), flops))
    ends = tuple(f"y{b}.{count - 1}" for b in range(branches))
    ops.append(Op("sum", "Add", ends, ("z",), 10))
    return Graph("layers", (*tensors, Tensor("z", 10)), tuple(ops), ("z",))


def machine(capacity: int | None) -> Target:
    """One byte of bus and one operation a second, and a scratchpad whose time does not count."""
    pad, host = Memory("scratchpad", capacity, bandwidth=1e6), Memory("host", bandwidth=1.0)
    return two_level("machine", pad, host, compute=Compute(1.0))


def timed_problem(seed: int, order: str = "program") -> Problem:
    """A small latency problem whose operands must be in the scratchpad."""
    rng = random.Random(seed)
    problem = random_problem(rng, 12)
    target = replace(problem.target, operands={}).with_scratchpad(None)
    problem = replace(problem, target=target, options=replace(problem.options, order=order))
    capacity = max(8, int(problem.min_capacity * rng.choice((1, 1.5, 2, 4))))
    return replace(problem, target=target.with_scratchpad(capacity))


@pytest.mark.slow(reason="plans many graphs")
@pytest.mark.parametrize("branches", [1, 3])
@pytest.mark.parametrize("order", ["program", "free"])
@pytest.mark.parametrize("capacity", [2_100, 2_500, 5_000, None])
def test_weights_are_loaded_while_the_layer_before_runs(
    capacity: int | None, order: str, branches: int
) -> None:
    graph = layers(8, 1000, 1000, branches)
    plan = memplan.plan(
        graph, machine(capacity), objective="latency", weights="tensor", io="host", order=order
    )
    ideal = 1000 * (8 * branches + 1) + 10 * 3  # the first weight, then one op after the other
    assert plan.value == pytest.approx(ideal, rel=0.01)
    assert plan.bound >= 0.99 * ideal and memplan.check(graph, plan) == []


def test_a_load_is_issued_where_another_place_is_free() -> None:
    """Every weight lies at 0 in the step plan, below what is live: the next one goes above it."""
    graph = layers(3, 100, 100)
    problem = Problem(graph, machine(230), Options("latency", weights="tensor"))
    walk = Walk(problem, tuple(range(problem.n)))
    stretches = [[(s[0][0], s[0][1])] for s in walk.whole]
    blocks = blocks_of(walk, stretches)
    tens = itertools.cycle((100, 110, 120))
    offsets = [0 if b.size == 100 else next(tens) for b in blocks]
    found = [Greedy().answer(problem, Limits(), order=a.order, residencies=a.residencies, moves=a.moves)
             for a in prefetched(Answer(walk, blocks, offsets), lambda: False)]  # fmt: skip
    assert len(list(prefetched(Answer(walk, blocks, offsets), lambda: True))) == 1
    seconds = [evaluate(graph, plan).value for plan in found]
    assert seconds[0] is not None and all(s is not None and s <= seconds[0] - 200 for s in seconds[1:])


@pytest.mark.slow
def test_what_has_to_be_in_the_scratchpad_is_planned_faster_and_validly() -> None:
    gains = 0
    for seed in range(60):
        problem = timed_problem(seed)
        found = evaluate(problem.graph, Greedy().solve(problem, Limits(10.0)))
        if not found.schedule:
            continue
        stepped = replace(problem, options=replace(problem.options, objective="traffic"))
        answer = read_plan(stepped, Greedy().solve(stepped, Limits(10.0)))
        for plain in islice(prefetched(Answer(*answer), lambda: False), 1):
            plan = Greedy().answer(
                problem, Limits(), order=plain.order, residencies=plain.residencies, moves=plain.moves, inplace=plain.inplace
            )  # fmt: skip
            late = evaluate(problem.graph, plan).value
            assert found.value is not None and late is not None and found.value <= late * (1 + 1e-12)
            gains += found.value < late * (1 - 1e-9)
    assert gains > 5


@pytest.mark.slow
@pytest.mark.parametrize("order", ["program", "free"])
def test_no_plan_stays_below_the_bound(order: str) -> None:
    """Plans with everything early, in program order and in any other, keep to the bound of their problem."""
    met = total = 0
    for seed in range(60):
        problem = timed_problem(seed, order)
        plan = Greedy().solve(problem, Limits(10.0))
        if plan.schedule:
            seconds, bound = timeline(problem.graph, plan).latency_s, loaded_bound(problem)
            assert problem.free_bound <= bound <= seconds * (1 + 1e-9), seed
            total, met = total + 1, met + (bound >= seconds * (1 - 1e-9))
    assert total > 40 and met > total / 5


def test_the_flow_shop_is_solved() -> None:
    rng = random.Random(5)
    for _ in range(60):
        first, second = (np.array([float(rng.randint(0, 9)) for _ in range(5)]) for _ in range(2))
        least = float("inf")
        for jobs in itertools.permutations(range(5)):
            busy = done = 0.0
            for j in jobs:
                busy += first[j]
                done = max(done, busy) + second[j]
            least = min(least, done)
        assert johnson(first, second) == least


@pytest.mark.slow(reason="plans large graphs")
def test_everything_in_host_is_not_spoken_of_where_it_cannot_be() -> None:
    def planned(operands: dict[str, tuple[str, ...]]) -> tuple[Graph, Plan]:
        graph, target = layers(2, 100, 100), replace(machine(1000), operands=operands)
        return graph, memplan.plan(graph, target, objective="latency", weights="tensor", io="host")

    graph, plan = planned({})
    assert plan.metrics.latency_all_host_s is None and '"latency_all_host_s": null' in plan_text(plan)
    assert "all in host" not in plan_summary(graph, plan)
    graph, plan = planned({"default": ("scratchpad", "host")})
    assert plan.metrics.latency_all_host_s and "all in host" in plan_summary(graph, plan)
