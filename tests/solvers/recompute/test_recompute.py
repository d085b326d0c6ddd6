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
from memplan.solving.solver import Solver
from memplan.solving.testing import check_solver
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


def test_the_suite_for_solvers() -> None:
    assert check_solver("recompute") > 400


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


def test_agrees_with_brute_force_on_some() -> None:
    seen = agree(range(120), Recompute(effort=300))
    assert seen["missed"] == 0 and seen["paid"] > 5 and seen["infeasible"] > 5


@pytest.mark.slow(reason="compiles, and compares with brute force over many seeds")
def test_agrees_with_brute_force() -> None:
    seen = agree(range(1500), Recompute(effort=300))
    assert seen["missed"] < 3 and seen["optimal"] > 200 and seen["infeasible"] > 100 and seen["paid"] > 100


if __name__ == "__main__":
    import sys

    print(agree(range(*map(int, sys.argv[1:3])), Recompute(effort=300)))
