"""The plan of an annealing: in which orders of the ops it is done, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
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

ALL, PAIR = 0.15, 0.3
"""Shares of the work for all orders together, and then for the program's and the fastest other one; the rest is the faster one's."""

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

    All are annealed for a while. What is fastest then may be slower in the end, so the first order, the program's, goes on
    beside the fastest other one; what leads then is annealed to the end.
    """
    best: dict[str, Layout] = {}
    left, (first, *others) = 1.0, orders

    def fastest(names: Iterable[str]) -> str:
        return min(names, key=lambda name: best[name].seconds)

    def go_on(names: Sequence[str], whole: float) -> None:
        nonlocal left
        for name in names:
            known, share = min((x.seconds for x in best.values()), default=inf), whole / len(names)
            if best and (known <= work.bound or work.limits.spent()):
                return
            limits = _better_news(work.limits.share(min(1.0, share / left)), known)
            start = tuned(orders[name], limits.share(TUNED), work.bound)
            found = anneal(orders[name], start, Work(share * work.share, limits, work.bound))
            best[name] = min(best.get(name, found), found, key=lambda layout: layout.seconds)
            left -= share

    if len(others) > 1:
        go_on([first, *others], ALL)
        others = [fastest(name for name in others if name in best)] if len(best) > 1 else []
    if others:
        go_on([first, *others], PAIR)
    go_on([fastest(best) if best else first], left)
    return fastest(best), best[fastest(best)]


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
