"""`recompute`: optima and bounds against brute force, for every number of executions, budget and order."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.recompute.model import make_model
from memplan_solvers.recompute.recompute import Recompute

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem, plan
from memplan.solving.solver import Solver
from memplan.studies.sweep import sweep
from tests.generate import random_graph
from tests.recompute_oracle import RecomputeOracle


def training_graph(rng: random.Random, depth: int) -> Graph:
    """A chain forward, whose values a chain backward reads."""
    tensors, ops = [Tensor("a0", rng.randint(1, 4), "input")], list[Op]()
    for k in range(1, depth + 1):
        tensors.append(Tensor(f"a{k}", rng.randint(1, 6)))
        ops.append(Op(f"forward{k}", "Conv", (f"a{k - 1}",), (f"a{k}",)))
    above = f"a{depth}"
    for k in range(depth, 0, -1):
        tensors.append(Tensor(f"g{k}", rng.randint(1, 4)))
        ops.append(Op(f"backward{k}", "Grad", tuple({above: 0, f"a{k - 1}": 0}), (f"g{k}",)))
        above = f"g{k}"
    return Graph("training", tuple(tensors), tuple(ops), (above,))


def random_problem(seed: int) -> Problem | None:
    """A tiny graph under any options, with a capacity between the least that may do and the program's peak."""
    rng = random.Random(seed)
    graph = random_graph(rng, rng.randint(2, 6)) if seed % 2 else training_graph(rng, rng.randint(2, 3))
    ops = tuple(
        replace(op, once=rng.random() < 0.1, flops=rng.choice((0, 1, 1, 2, 5, 10))) for op in graph.ops
    )
    options = Options(
        "compute",
        weights=rng.choice(("ignore", "tensor", "stream")),
        io=rng.choice(("host", "host", "resident", "external")),
        order=rng.choice(("free", "program")),
        recompute=rng.choice((1, 2, 2, 3, None, None)),
    )
    if rng.random() < 0.2:
        placed = [s.name for s in Problem(graph, Target(), options).storages if not s.is_constant]
        options = replace(options, pins={name: "keep" for name in placed if rng.random() < 0.3})
    problem = Problem(replace(graph, ops=ops), Target(), options)
    peak = max(make_model(problem).live_bytes(range(problem.n)))
    least = max(1, problem.min_capacity)
    if least >= peak:
        return None
    return replace(problem, target=Target().with_scratchpad(rng.randrange(least, peak)))


def fault(problem: Problem, plan: Plan) -> str:
    """What is wrong with the plan, as brute force has it; nothing if nothing is."""
    best = RecomputeOracle(problem).optimum()
    if best is None:
        return "" if plan.status in (Status.INFEASIBLE, Status.UNKNOWN) else "a plan where there is none"
    if plan.status is Status.INFEASIBLE:
        return f"called infeasible, but {best} is enough"
    if plan.bound > best:
        return f"bound {plan.bound} above the optimum {best}"
    if plan.value is not None and plan.value < best:
        return f"value {plan.value} below the optimum {best}"
    if plan.status is Status.OPTIMAL and plan.value != best:
        return f"{plan.value} called optimal, {best} is"
    return "" if not check(problem.graph, plan) else "refused by the checker"


def agree(seeds: range, solver: Solver) -> dict[str, int]:
    """How many problems there were, how many plans cost something, were proved optimal, or missed the optimum."""
    seen = dict.fromkeys(("problems", "paid", "optimal", "infeasible", "unknown", "missed", "none"), 0)
    for seed in seeds:
        problem = random_problem(seed)
        if problem is None:
            continue
        plan = evaluate(problem.graph, solver.solve(problem, Limits(60.0)))
        assert not fault(problem, plan), f"seed {seed}: {fault(problem, plan)}"
        seen["problems"] += 1
        best = RecomputeOracle(problem).optimum()
        seen["none"] += best is None
        if plan.value is None:
            seen[str(plan.status)] += 1
            seen["missed"] += best is not None
        else:
            seen["optimal"] += plan.status is Status.OPTIMAL
            seen["paid"] += plan.value > 0
            seen["missed"] += plan.value != best
    return seen


def test_a_cut_by_the_limit_of_costs() -> None:
    """What the options do not allow to be paid is no plan, and proved to be none where the bound says so."""
    graph = training_graph(random.Random(3), 3)
    ops = tuple(replace(op, flops=10) for op in graph.ops)
    graph = replace(graph, ops=ops)
    wide = Problem(graph, Target(), Options("compute", order="program", recompute=None))
    model = make_model(wide)
    peak = max(model.live_bytes(range(model.n)))
    problem = replace(wide, target=Target().with_scratchpad(peak - 1))
    plan = evaluate(graph, Recompute().solve(problem, Limits(60.0)))
    assert plan.status is Status.OPTIMAL and plan.value == RecomputeOracle(problem).optimum() == 10
    for factor, status in ((1.2, Status.OPTIMAL), (1.1, Status.INFEASIBLE)):
        dear = replace(problem, options=replace(problem.options, compute_limit=factor))
        assert evaluate(graph, Recompute().solve(dear, Limits(60.0))).status is status


@pytest.mark.parametrize("recompute", [1, 2, None])
@pytest.mark.parametrize("order", ["free", "program"])
def test_what_fits_anyway_costs_nothing(order: str, recompute: int | None) -> None:
    graph = training_graph(random.Random(1), 3)
    problem = Problem(graph, Target(), Options("compute", order=order, recompute=recompute))
    plan = evaluate(graph, Recompute().solve(problem, Limits(60.0)))
    assert (plan.status, plan.value, plan.bound) == (Status.OPTIMAL, 0, 0)


def test_without_a_plan_the_bound_is_told() -> None:
    """Programs over cuts alone, a few of them: where they find no plan, their bound stays, and is true."""
    told = 0
    for seed in range(150):
        problem = random_problem(seed)
        if problem is None:
            continue
        plan = evaluate(problem.graph, Recompute(effort=0, cuts=1).solve(problem, Limits(60.0)))
        assert not fault(problem, plan), seed
        told += plan.status is Status.UNKNOWN and plan.bound > 0
    assert told


def test_a_free_order_costs_no_more_than_the_programs() -> None:
    compared = 0
    for seed in range(60):
        problem = random_problem(seed)
        if problem is None:
            continue
        values = []
        for order in ("program", "free"):
            asked = replace(problem, options=replace(problem.options, order=order))
            values.append(evaluate(problem.graph, Recompute(effort=300).solve(asked, Limits(60.0))).value)
        if values[0] is not None:
            compared += 1
            assert values[1] is not None and values[1] <= values[0], seed
    assert compared > 5


def paid(depth: int) -> Graph:
    """A training chain of ops that cost the same."""
    graph = training_graph(random.Random(depth), depth)
    return replace(graph, ops=tuple(replace(op, flops=10) for op in graph.ops))


def test_what_is_computed_again_falls_with_the_capacity() -> None:
    problem = make_problem(paid(6), objective="compute", order="program", recompute="any")
    found = sweep(problem, points=6, solver="recompute{effort=2000}", time_limit_s=5.0, workers=1)
    values = [p.value for p in found.points if p.value is not None]
    bounds = [p.bound for p in found.points]
    assert len(values) > 3 and values[0] > 0 and values[-1] == 0
    assert values == sorted(values, reverse=True) and bounds == sorted(bounds, reverse=True)


def test_a_plan_of_a_smaller_capacity_is_where_a_solve_begins() -> None:
    problem = make_problem(paid(5), objective="compute", order="program", recompute="any")
    peak = max(make_model(problem).live_bytes(range(problem.n)))
    small, large = (replace(problem, target=Target().with_scratchpad(peak - k)) for k in (2, 1))
    known = evaluate(problem.graph, Recompute(effort=2000).solve(small, Limits(60.0)))
    assert known.value
    begun = Recompute(effort=0, cuts=0).solve(large, Limits(60.0, start=(known,)))
    assert evaluate(problem.graph, begun).value == known.value


@pytest.mark.slow(reason="executes many small programs again")
@pytest.mark.parametrize("order", ["free", "program"])
def test_ops_are_executed_again_instead_of_spilling_and_for_a_lower_peak(order: str) -> None:
    graph = paid(6)
    once = plan(graph, objective="peak", order=order, workers=1)
    again = plan(graph, objective="peak", order=order, recompute="any", compute_limit=1.5, workers=1)
    assert once.value and again.value and again.value < once.value
    spilling = plan(graph, scratchpad=once.value - 1, order=order, workers=1)
    instead = plan(graph, scratchpad=once.value - 1, order=order, recompute="any", workers=1)
    assert spilling.value and instead.value == 0 and len(instead.schedule) > len(graph.ops)
    dear = plan(graph, scratchpad=once.value - 1, order=order, recompute="any", compute_limit=1.01, workers=1)
    assert dear.value == spilling.value


def test_agrees_with_brute_force_on_some() -> None:
    seen = agree(range(120), Recompute(effort=300))
    assert seen["missed"] == 0 and seen["paid"] > 5 and seen["infeasible"] > 5


@pytest.mark.slow(reason="compiles, and compares with brute force over many seeds")
def test_agrees_with_brute_force() -> None:
    seen = agree(range(600), Recompute(effort=300))
    assert seen["missed"] < 3 and seen["optimal"] > 80 and seen["infeasible"] > 40 and seen["paid"] > 40


if __name__ == "__main__":
    import sys

    print(agree(range(*map(int, sys.argv[1:3])), Recompute(effort=300)))
