"""The greedy families: valid orders, plans that check, never a failure where each op fits."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.offsets.one_pass import ORDERS, load, pack_greedy
from memplan_solvers.offsets.sweep import sweep
from memplan_solvers.replace import POLICIES
from memplan_solvers.schedule import SCHEDULES

import memplan
from memplan.base.errors import OptionError
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate import random_graph, random_options, timed
from tests.graphs import graph_of


def _problem(seed: int, objective: str = "traffic", most_ops: int = 14) -> tuple[random.Random, Problem]:
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(0, most_ops))
    alignment = rng.choice((1, 1, 4))
    return rng, Problem(graph, Target().with_scratchpad(None, alignment), random_options(rng, objective))


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_schedules_respect_dependencies(name: str) -> None:
    for seed in range(200):
        _, problem = _problem(seed)
        order = SCHEDULES[name](problem)
        place = {i: t for t, i in enumerate(order)}
        assert sorted(order) == list(range(problem.n))
        assert all(place[p] < place[i] for i in order for p in problem.preds[i])


def _limited(rng: random.Random, problem: Problem) -> Problem:
    least = max(least_capacity(problem), problem.min_capacity)
    capacity = least + rng.choice((0, 0, 1, 3, 8))
    return replace(problem, target=problem.target.with_scratchpad(max(capacity, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["all", *SCHEDULES])
@pytest.mark.parametrize("policy", ["all", *POLICIES])
def test_every_combination_gives_valid_plans_where_each_op_fits(schedule: str, policy: str) -> None:
    solver = parse_spec(f"greedy{{schedule={schedule},replace={policy}}}")
    found = 0
    for seed in range(120):
        rng, problem = _problem(seed)
        problem = _limited(rng, problem)
        plan = evaluate(problem.graph, solver.solve(problem, Limits()))
        if problem.options.io == "host":
            assert plan.status not in (Status.UNKNOWN, Status.INFEASIBLE), seed
        found += plan.status not in (Status.UNKNOWN, Status.INFEASIBLE)
    assert found > 70


@pytest.mark.slow
def test_portfolio_is_never_worse_than_a_member() -> None:
    compared = better = 0
    for seed in range(60):
        rng, problem = _problem(seed)
        problem = _limited(rng, problem)
        best = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits()))
        for schedule in SCHEDULES:
            one = parse_spec(f"greedy{{schedule={schedule}}}").solve(problem, Limits())
            one = evaluate(problem.graph, one)
            if one.value is not None:
                assert best.value is not None and best.value <= one.value
                compared, better = compared + 1, better + (best.value < one.value)
    assert compared > 150 and better > 10


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["peak", "latency"])
def test_other_objectives_give_valid_plans(objective: str) -> None:
    for seed in range(100):
        rng, problem = _problem(seed, objective)
        target = timed(direct=rng.choice((False, True)))
        problem = _limited(rng, replace(problem, target=target))
        plan = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits()))
        if objective == "latency" and target.direct and problem.options.io == "host":
            assert plan.value is not None and plan.metrics.latency_all_host_s is not None
            assert plan.value <= plan.metrics.latency_all_host_s * (1 + 1e-9)


@pytest.mark.slow(reason="plans many graphs")
def test_peak_without_limit_is_always_answered() -> None:
    for seed in range(200):
        _, problem = _problem(seed, "peak")
        plan = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits()))
        assert plan.value is not None and plan.value >= plan.metrics.live_peak >= plan.bound


def test_one_pass_packings_do_not_overlap() -> None:
    for seed in range(300):
        rng = random.Random(seed)
        n = rng.randint(0, 30)
        starts = [rng.randint(0, 20) for _ in range(n)]
        stops = [a + rng.randint(1, 8) for a in starts]
        sizes = [4 * rng.randint(0, 9) for _ in range(n)]
        answers = [sweep(starts, stops, sizes), pack_greedy(starts, stops, sizes, 4)[0]]
        answers += [pack_greedy(starts, stops, sizes, 4, None, (name,))[0] for name in ORDERS]
        for offsets in answers:
            assert all(o % 4 == 0 and o >= 0 for o in offsets)
            for i in range(n):
                for j in range(i):
                    apart_in_time = stops[i] <= starts[j] or stops[j] <= starts[i]
                    apart = offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
                    assert apart_in_time or apart
        peak = max((o + z for o, z in zip(answers[1], sizes, strict=True)), default=0)
        assert peak >= load(starts, stops, sizes)


def test_unknown_words_name_the_nearest() -> None:
    with pytest.raises(OptionError, match="least_live"):
        parse_spec("greedy{schedule=least_lives}")
    with pytest.raises(OptionError, match="did you mean 'offsets'"):
        parse_spec("greedy{offset=tflite}")


def test_nothing_is_spilled_where_everything_fits() -> None:
    for seed in range(100):
        _, problem = _problem(seed)
        plan = memplan.plan(problem.graph, scratchpad="max")
        assert plan.value == 0 and plan.status is Status.OPTIMAL


@pytest.mark.parametrize("seed", [3, 5, 7, 8])
def test_a_large_graph_that_packs_only_step_by_step_is_not_spilled_around_each_op(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    sizes = [rng.choice((64, 128, 256)) for _ in range(300)]
    tensors = [Tensor("t0", sizes[0], "input")]
    ops = []
    for i in range(1, 300):
        skip = [f"t{i - rng.randint(2, min(i, 12))}"] if i > 2 and rng.random() < 0.3 else []
        tensors.append(Tensor(f"t{i}", sizes[i], "output" if i == 299 else "activation"))
        ops.append(Op(f"op{i}", "Conv", tuple(dict.fromkeys([f"t{i - 1}", *skip])), (f"t{i}",)))
    graph = graph_of("skips", tuple(tensors), tuple(ops))
    whole = memplan.plan(graph, scratchpad="0.7MP", solver="greedy").value
    monkeypatch.setattr("memplan_solvers.candidates.MANY_OPS", 10)
    assert whole <= memplan.plan(graph, scratchpad="0.7MP", solver="greedy").value < 4 * whole


def test_a_large_graph_is_answered_though_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memplan_solvers.candidates.MANY_OPS", 1)
    found = 0
    for seed in range(60):
        rng, problem = _problem(seed)
        problem = _limited(rng, problem)
        plan = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(cancel=lambda: True)))
        found += plan.status is not Status.UNKNOWN
    assert found > 45


@pytest.mark.slow(reason="plans many graphs")
def test_a_latency_that_is_handed_on_is_what_the_judge_finds() -> None:
    known = 0
    for seed in range(40):
        rng = random.Random(seed)
        target = timed(direct=rng.random() < 0.5).with_scratchpad(rng.choice((20, 40)))
        problem = Problem(random_graph(rng, 8), target, random_options(rng, "latency"))
        plan = parse_spec("greedy").solve(problem, Limits())
        known += plan.value is not None
        assert plan.value in (None, evaluate(problem.graph, plan).value)
    assert known > 20
