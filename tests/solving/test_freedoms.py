"""Solvers that know nothing of a freedom answer all the same, and claim no more than holds with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

import memplan
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.freedoms import solve_within
from memplan.solving.limits import Limits, Progress
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from tests.programs import problem, program


def joining() -> Graph:
    """x -> a, b -> c = a beside b -> y: 32 bytes where c is written apart, 20 where a and b lie in it."""
    sizes = {"x": 4, "a": 8, "b": 8, "c": 16, "y": 4}
    tensors = tuple(
        Tensor(s, n, "input" if s == "x" else "activation", "int8", (n,)) for s, n in sizes.items()
    )
    ops = (
        Op("p", "Conv", ("x",), ("a",)),
        Op("q", "Conv", ("x",), ("b",)),
        Op("cat", "Concat", ("a", "b"), ("c",), joins=(("a", 0), ("b", 8))),
        Op("r", "Conv", ("c",), ("y",)),
    )
    return Graph("joining", tensors, ops, ("y",))


@dataclass(frozen=True)
class Asked(Solver):
    """Greedy, which knows no in-place either; it keeps what it was asked."""

    name: ClassVar[str] = "asked"
    summary: ClassVar[str] = "for tests"
    supports: ClassVar[Capabilities] = Capabilities(inplace=False)
    problems: ClassVar[list[Problem]] = []

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        self.problems.append(problem)
        limits.report("half", None, 99.0)
        plan = parse_spec("greedy").solve(problem, limits)
        return replace(
            plan, solver=self.name, bound=max(plan.bound, evaluate(problem.graph, plan).value or 0)
        )


def answered(asked: Problem, limits: Limits | None = None) -> Plan:
    Asked.problems.clear()
    return evaluate(asked.graph, solve_within(Asked(), asked, limits or Limits()))


def test_it_is_asked_without_what_it_does_not_know_and_its_bound_is_dropped() -> None:
    free = problem(
        "x>a a>b b>y", {"a": 4, "b": 4}, overwriting="op1", objective="peak", inplace=True, recompute=None
    )
    news: list[Progress] = []
    plan = answered(free, Limits(progress=news.append))
    options = Asked.problems[0].options
    assert (options.inplace, options.recompute, options.compute_limit) == (False, 1, None)
    assert plan.options == free.options and check(free.graph, plan) == []
    assert (plan.value, plan.bound, plan.status) == (8, free.free_bound, Status.FEASIBLE) and plan.bound == 5
    assert plan.reason.startswith("without in-place and recomputation, which asked knows nothing of")
    assert [n.bound for n in news if n.phase == "half"] == [5]


def test_a_freedom_that_nothing_can_use_costs_no_bound() -> None:
    once = program("x>a a>y", {"a": 4})
    once = replace(once, ops=tuple(replace(op, once=True) for op in once.ops))
    free = Problem(once, memplan.Target(), problem("x>y", objective="peak", join=True, recompute=3).options)
    plan = answered(free)
    assert (plan.status, plan.value, plan.reason) == (Status.OPTIMAL, 5, "")
    assert plan.options == free.options and not Asked.problems[0].options.join


def test_what_needs_a_freedom_to_fit_is_not_called_infeasible() -> None:
    options: dict[str, Any] = {"objective": "peak", "solver": "ilp", "workers": 1}
    assert memplan.plan(joining(), scratchpad=31, **options).status is Status.INFEASIBLE
    assert memplan.plan(joining(), scratchpad=31, **options, join=True).status is Status.UNKNOWN
    free = memplan.plan(joining(), **options, join=True)
    assert free.schedule and (free.value, free.bound) == (32, 20) and free.options.join


@pytest.mark.parametrize("solver", ["ilp", "search"])
def test_a_plan_without_spills_is_optimal_whatever_else_is_allowed(solver: str) -> None:
    plan = memplan.plan(program("x>a a>b b>y"), solver=solver, recompute="any", join=True, workers=1)
    assert plan.status is Status.OPTIMAL and plan.options.recompute is None


def test_starts_that_execute_ops_again_are_not_handed_on() -> None:
    free = problem("x>a a>b b>y", recompute=2)
    once = answered(free)
    again = replace(once, schedule=(*once.schedule, once.schedule[-1]))
    given: list[tuple[Plan, ...]] = []

    def solve(less: Problem, limits: Limits) -> Plan:
        given.append(limits.start)
        return parse_spec("greedy").solve(less, limits)

    solve_within(Asked(), free, Limits(start=(once, again)), solve)
    assert given == [(once,)]
