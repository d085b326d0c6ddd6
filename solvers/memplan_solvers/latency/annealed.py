"""The plan of an annealing: in which orders of the ops it is done, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import inf
from typing import NamedTuple

from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.greedy import Greedy
from memplan_solvers.latency.arrays import UNPLACED, LatencyArrays, make_arrays
from memplan_solvers.latency.from_plan import layout_of
from memplan_solvers.latency.layout import Layout, to_plan
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.solver import LatencySolver
from memplan_solvers.restricted import inplace_off, value_of
from memplan_solvers.schedule import SCHEDULES
from memplan_solvers.schedule.orders import MANY_OPS

ORDERS = ("program", "least_live_recent", "reverse_post_order", "breadth_first")
"""The schedules that are tried where the order is free, of which no two are much alike."""

HEAT = 0.2
"""Share of the work that all orders have together, then the faster half of them, and so on; the rest is the last one's."""

TUNED, GREEDY = 0.1, 0.5
"""Shares of the time for what an annealing begins with: tuned memory space assignment, or greedy's plan."""


class Work(NamedTuple):
    """What one annealing may spend, and when it is done."""

    share: float  # of the rounds that a whole annealing has
    limits: Limits
    bound: float  # s, no plan is faster


Anneal = Callable[[LatencyArrays, Layout, Work], Layout]
"""The fastest layout met from one on, in the same order of the ops."""


def annealed(solver: LatencySolver, problem: Problem, limits: Limits, anneal: Anneal) -> Plan:
    """The fastest plan that annealing finds, in the solver's name; it says in which order."""
    if not problem.target.direct:
        return _from_greedy(solver, problem, limits, anneal)
    orders = order_arrays(problem, limits)
    if not orders:
        return solver.no_answer(problem, limits, *UNPLACED)
    bound = solver.lower_bound(problem, next(iter(orders.values())), limits)
    name, layout = best_order(orders, Work(1.0, limits, bound), anneal)
    plan = to_plan(solver, problem, limits, orders[name], layout, bound)
    return replace(plan, reason=f"in order {name}") if len(orders) > 1 else plan


def order_arrays(problem: Problem, limits: Limits) -> dict[str, LatencyArrays]:
    """The problem's arrays in each distinct order to be tried, by schedule, the program's first.

    Orders in which what must stay in the scratchpad could not be placed are left out.
    """
    found: dict[str, LatencyArrays] = {}
    free, seen = problem.options.order == "free" and problem.n <= MANY_OPS, set()
    for name in ORDERS if free else ORDERS[:1]:
        order = SCHEDULES[name](problem)
        if order in seen or (found and limits.spent()):
            continue
        seen.add(order)
        if (arrays := make_arrays(problem, limits, order)) is not None:
            found[name] = arrays
    return found


def best_order(orders: Mapping[str, LatencyArrays], work: Work, anneal: Anneal) -> tuple[str, Layout]:
    """The fastest layout met in any of these orders, at least one, and whose it is.

    All are annealed for a while, the faster half of them for longer, and the last one to the end.
    """
    best: dict[str, Layout] = {}
    names, left, limits = list(orders), 1.0, work.limits
    while names:
        share = HEAT / len(names) if len(names) > 1 else left
        for name in names:
            known = min((layout.seconds for layout in best.values()), default=inf)
            mine = Work(share * work.share, _better_news(limits.share(share / left), known), work.bound)
            start = tuned(orders[name], mine.limits.share(TUNED), work.bound)
            found = anneal(orders[name], start, mine)
            best[name] = min(best.get(name, found), found, key=lambda layout: layout.seconds)
            left -= share
        names = sorted(names, key=lambda name: best[name].seconds)[: len(names) // 2]
        if limits.spent() or min(layout.seconds for layout in best.values()) <= work.bound:
            break
    return min(best.items(), key=lambda item: item[1].seconds)


def _better_news(limits: Limits, known: float) -> Limits:
    """The same, with no news of plans that take longer than `known` seconds."""
    tell = limits.progress
    return replace(
        limits, progress=tell and (lambda news: tell(news._replace(value=min(news.value or known, known))))
    )


def _from_greedy(solver: LatencySolver, problem: Problem, limits: Limits, anneal: Anneal) -> Plan:
    """Where ops use the scratchpad alone: a known plan or greedy's, and what annealing makes of one that writes nothing in place."""
    known = [p for p in limits.start if (p.target, p.options) == (problem.target, problem.options)]
    best = known[-1] if known else Greedy().solve(problem, limits.share(GREEDY))
    best = replace(best, solver=solver.spec)
    less = inplace_off(problem) if best.inplace else None
    start = best if less is None else Greedy().solve(less, limits.share(GREEDY))
    begun = layout_of(problem, start)
    if begun is None:
        return best
    arrays, layout = begun
    bound = max(best.bound, solver.lower_bound(problem, arrays, limits))
    found = anneal(arrays, layout, Work(1.0, limits, bound))
    plan = to_plan(solver, problem, limits, arrays, found, bound)
    return plan if value_of(problem, plan) < value_of(problem, best) else replace(best, bound=bound)
