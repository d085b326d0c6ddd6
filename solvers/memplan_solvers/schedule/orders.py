"""The orders that heuristics go through, on any target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from memplan.machine.target import Target
from memplan.problem.problem import Problem
from memplan_solvers.schedule import SCHEDULES

MANY_OPS = 10_000
"""Ops beyond which only near-linear methods run: of the orders, the program's and the first list schedule."""


def orders(problem: Problem) -> Iterator[tuple[int, ...]]:
    """The distinct schedules that the options allow, the program's order first, made one at a time.

    They look at bytes alone, as if there were one fast memory without a limit.
    """
    names = ["program"] if problem.options.order == "program" else list(SCHEDULES)
    options = replace(problem.options, objective="peak", pins={}, donate=())
    alike = Problem(problem.graph, Target(), options)
    seen = set()
    for name in names if problem.n <= MANY_OPS else names[:2]:
        order = SCHEDULES[name](alike)
        if order not in seen:
            seen.add(order)
            yield order
