"""A problem with less freedom, whose plans are plans of the problem itself: nobody who may do more should do worse."""

from __future__ import annotations

from dataclasses import replace

from memplan.judge.simulate import simulate
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem


def inplace_off(problem: Problem) -> Problem | None:
    """The problem without in-place and donation; None where that is the same, or has no plan for want of room."""
    if not problem.inplace_pairs:
        return None
    plain = replace(problem, options=replace(problem.options, inplace=False, donate=()))
    fits = problem.capacity is None or plain.min_capacity <= problem.capacity
    return plain if fits else None


def lifted(problem: Problem, plan: Plan) -> Plan:
    """A plan of `inplace_off(problem)` as one of `problem`; its bound was not true there."""
    return replace(plan, target=problem.target, options=problem.options, bound=problem.free_bound)


def value_of(problem: Problem, plan: Plan) -> float:
    """What a plan costs, infinite where there is none."""
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        return float("inf")
    return simulate(problem.graph, plan).value(problem.options.objective)
