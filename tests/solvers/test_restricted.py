"""A problem with less freedom, and its plans as plans of the problem itself."""

from __future__ import annotations

from dataclasses import replace

from memplan_solvers.restricted import inplace_off, value_of, without_spills

from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, Status
from memplan.solving.freedoms import lifted
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.programs import problem

WORDS = "x>a a>b b>y"
SIZES = {"a": 4, "b": 4}


def test_it_is_the_problem_without_in_place_where_that_has_a_plan() -> None:
    free = problem(WORDS, SIZES, 8, overwriting="op1", inplace=True)
    plain = inplace_off(free)
    assert plain is not None and plain.inplace_pairs == {} and plain.need == (5, 8, 5)
    assert (
        inplace_off(problem(WORDS, SIZES, 7, overwriting="op1", inplace=True)) is None
    )  # op1 needs 8 without
    assert inplace_off(problem(WORDS, SIZES, 8, inplace=True)) is None  # nothing may be written over anyway
    donated = problem("x>y", overwriting="op0", donate=("x",))
    assert inplace_off(donated) is not None and inplace_off(donated).options.donate == ()


def test_a_lifted_plan_is_one_of_the_problem_and_keeps_no_bound_of_the_other() -> None:
    free = problem(WORDS, SIZES, overwriting="op1", inplace=True, objective="peak")
    plain = inplace_off(free)
    assert plain is not None
    plan = evaluate(plain.graph, parse_spec("greedy").solve(plain, Limits(5.0)))
    assert (plan.value, plan.bound, free.free_bound) == (8, 8, 5)
    again = evaluate(free.graph, lifted(free, plan))
    assert check(free.graph, again) == [] and again.options == free.options
    assert again.bound == 5 and again.status is Status.FEASIBLE and value_of(free, again) == 8


def test_no_plan_costs_more_than_any() -> None:
    found = problem(WORDS)
    for status in (Status.INFEASIBLE, Status.UNKNOWN):
        plan = Plan("g", "", found.target, found.options, "none", status)
        assert value_of(found, plan) == float("inf")
    assert (
        value_of(found, replace(evaluate(found.graph, parse_spec("greedy").solve(found, Limits(5.0))))) == 0
    )


def test_without_spills_ops_are_executed_again_within_the_same_limit_of_costs() -> None:
    asked = problem(WORDS, SIZES, 8, recompute=None)
    less = without_spills(asked, 8)
    assert less is not None and less.options.objective == "compute" and less.capacity == 8
    assert less.options.cost_factor == asked.options.cost_factor == 1.2
    assert without_spills(asked, 7) is None  # op1 needs 8
    assert without_spills(asked, None) is not None
