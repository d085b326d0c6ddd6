"""A problem with less freedom, whose plans are plans of the problem itself: nobody who may do more should do worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

from memplan.judge.simulate import plan_value
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem


def inplace_off(problem: Problem) -> Problem | None:
    """The problem without in-place and donation; None where that is the same, or has no plan for want of room."""
    return _fitting(problem, inplace=False, donate=()) if problem.inplace_pairs else None


def in_program_order(problem: Problem) -> Problem | None:
    """The problem in its program's order; None where that is the same."""
    if problem.options.order == "program":
        return None
    if not any(s.keep for s in problem.storages):  # then no op needs more room in one order than in another
        return replace(problem, options=replace(problem.options, order="program"))
    return _fitting(problem, order="program")


def without_spills(problem: Problem, capacity: int | None) -> Problem | None:
    """The problem of executing ops again, within the limit of costs, so that nothing is spilled in that capacity; None where
    some op needs more.
    """
    limit = problem.options.cost_factor
    options = replace(problem.options, objective="compute", compute_limit=limit)
    less = replace(problem, target=problem.target.with_scratchpad(capacity), options=options)
    return less if capacity is None or less.min_capacity <= capacity else None


def less_in_place(problem: Problem) -> Iterator[Problem]:
    """The problems without both in-place and donation, without in-place and without donation, where that
    differs and the capacity suffices.
    """
    own, seen = problem.options, [problem.inplace_pairs]
    for inplace, donate in product(dict.fromkeys((False, own.inplace)), dict.fromkeys(((), own.donate))):
        less = _fitting(problem, inplace=inplace, donate=donate) if problem.inplace_pairs else None
        if less is not None and less.inplace_pairs not in seen:
            seen.append(less.inplace_pairs)
            yield less


def _fitting(problem: Problem, **options: Any) -> Problem | None:
    less = replace(problem, options=replace(problem.options, **options))
    return less if problem.capacity is None or less.min_capacity <= problem.capacity else None


def value_of(problem: Problem, plan: Plan) -> float:
    """What a plan costs, infinite where there is none; simulated unless its solver has done that."""
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        return float("inf")
    return plan_value(problem.graph, plan) if plan.value is None else plan.value
