"""Annealing in several orders of the ops, and from greedy's plan where ops use the scratchpad alone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.greedy import Greedy
from memplan_solvers.latency.annealed import AnnealingWork, best_order, order_arrays
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.from_plan import layout_of
from memplan_solvers.latency.layout import Layout, to_plan

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits, Progress
from memplan.solving.registry import parse_spec
from memplan.solving.testing import TIMED
from tests.solvers.malloc_game.games import random_problem

SHORT = parse_spec("anneal{effort=100}")


def branches(count: int) -> Graph:
    """Branches of two ops whose first ones all come first: each leaves 100 bytes until its second one makes 1 of them."""
    tensors, ops = [Tensor("x", 10, "input")], []
    for k in range(count):
        tensors += [Tensor(f"wide{k}", 100), Tensor(f"thin{k}", 1)]
        ops.append(Op(f"widen{k}", "Conv", ("x",), (f"wide{k}",), 10))
    ops += [Op(f"narrow{k}", "Conv", (f"wide{k}",), (f"thin{k}",), 10) for k in range(count)]
    ops.append(Op("join", "Concat", tuple(f"thin{k}" for k in range(count)), ("y",), 0))
    return Graph("branches", (*tensors, Tensor("y", count)), tuple(ops), ("y",))


def loaded(problem: Problem) -> Problem:
    """The problem on the same machine whose ops use the scratchpad alone, with as much of it as they need at least."""
    old = problem.target
    target = two_level("loaded", old.scratchpad, old.host, queues=old.queues, compute=old.compute)
    less = replace(problem, target=target, options=replace(problem.options, order="free"))
    capacity = max(less.min_capacity, 4) + 8
    return replace(less, target=target.with_scratchpad(capacity))


def planned(problem: Problem, spec: str = "anneal{effort=100}") -> Plan:
    plan = evaluate(problem.graph, parse_spec(spec).solve(problem, Limits(20.0)))
    assert check(problem.graph, plan) == []
    return plan


def test_a_free_order_is_made_use_of_and_named() -> None:
    free = Problem(branches(6), TIMED.with_scratchpad(130), Options("latency"))
    fixed = replace(free, options=replace(free.options, order="program"))
    plan, again, ordered = planned(free), planned(free), planned(fixed)
    assert plan == replace(again, seconds=plan.seconds, total_seconds=plan.total_seconds)
    assert plan.value is not None and ordered.value is not None
    assert plan.value < 0.5 * ordered.value and plan.bound <= ordered.bound
    assert plan.reason.removeprefix("in order ") in ("least_live_recent", "reverse_post_order")
    assert ordered.reason == ""


def test_the_work_of_all_orders_is_that_of_one() -> None:
    """Every order has a share, the best one what is left, and news never get worse."""
    problem = Problem(branches(6), TIMED.with_scratchpad(130), Options("latency"))
    news: list[Progress] = []
    limits = Limits(20.0, progress=news.append)
    orders, shares = order_arrays(problem, limits), dict[str, float]()

    def anneal(arrays: LatencyArrays, start: Layout, work: AnnealingWork) -> Layout:
        name = next(name for name, found in orders.items() if found is arrays)
        shares[name] = shares.get(name, 0.0) + work.share
        work.limits.report("here", start.seconds, 0.0)
        return start

    name, layout = best_order(orders, AnnealingWork(1.0, limits, 0.0), anneal)
    assert len(orders) > 1 and shares.keys() == orders.keys()
    assert sum(shares.values()) == pytest.approx(1.0) and max(shares, key=lambda x: shares[x]) == name
    values = [x.value for x in news if x.phase == "here" and x.value is not None]
    assert values == sorted(values, reverse=True) and values[-1] == layout.seconds


@pytest.mark.slow(reason="anneals several programs")
def test_a_plan_is_the_layout_that_is_made_of_it() -> None:
    read = 0
    for seed in range(60):
        problem = loaded(random_problem(random.Random(seed), 12))
        plan = Greedy().solve(problem, Limits(5.0))
        if plan.status in (Status.UNKNOWN, Status.INFEASIBLE):
            continue
        found = layout_of(problem, plan)
        if found is None:
            assert plan.inplace or any(s.offset is not None for s in problem.storages)
            continue
        arrays, layout = found
        again = evaluate(problem.graph, to_plan(SHORT, problem, Limits(1.0), arrays, layout, 0.0))
        assert check(problem.graph, again) == [] and again.schedule == plan.schedule
        assert again.value == pytest.approx(layout.seconds, rel=1e-9)
        assert sorted(again.residencies) == sorted(plan.residencies)
        read += 1
    assert read > 20


@pytest.mark.slow(reason="anneals several programs")
@pytest.mark.parametrize("spec", ["anneal{effort=100}"])
def test_where_operands_must_be_in_the_scratchpad_annealing_goes_on_from_greedy(spec: str) -> None:
    better = 0
    for seed in range(25):
        problem = loaded(random_problem(random.Random(1000 + seed), 14))
        greedy = planned(problem, "greedy")
        if greedy.value is None:
            continue
        plan = planned(problem, spec)
        assert plan.value is not None and plan.value <= greedy.value * (1 + 1e-12)
        better += plan.value < greedy.value * (1 - 1e-9)
    assert better > 3


@pytest.mark.parametrize("what", ["queues", "kept", "loaded"])
def test_the_agent_anneals_where_the_game_cannot_be_played(what: str) -> None:
    problem = Problem(branches(5), TIMED.with_scratchpad(130), Options("latency"))
    if what == "queues":
        host, pad = TIMED.host, replace(TIMED.scratchpad, capacity=130)
        target = two_level("two", pad, host, direct=True, queues=2, compute=TIMED.compute)
        problem = replace(problem, target=target)
    elif what == "kept":
        problem = replace(problem, options=replace(problem.options, pins={"x": "keep"}))
    else:
        problem = loaded(problem)
    plan, greedy = planned(problem, "malloc_game"), planned(problem, "greedy")
    assert plan.value is not None and greedy.value is not None and plan.value <= greedy.value * (1 + 1e-12)
    for mode in ("game", "prod"):
        assert what == "kept" or parse_spec(f"malloc_game{{mode={mode}}}").lacks(problem)
