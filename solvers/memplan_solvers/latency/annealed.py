"""The plan of an annealing: in which orders of the ops it is done, and where it begins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import NamedTuple

from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits, Progress
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

ALL, PAIR = 0.12, 0.2
"""Shares of the work for all orders together, and then for the program's and the fastest other one; the rest is the faster one's."""

RIVAL, LEAD = 1.03, 0.98
"""How slow the fastest other order may be at first, against the program's, to be gone on with; and how fast it has to be
then, since layouts found in short times differ by luck.
"""

TUNED, GREEDY = 0.1, 0.5
"""Shares of the time for what an annealing begins with: tuned memory space assignment, or greedy's plan."""


class AnnealingWork(NamedTuple):
    """What one annealing may spend, and when it is done."""

    share: float  # of the rounds that a whole annealing has
    limits: Limits
    bound: float  # s, no plan is faster


Anneal = Callable[[LatencyArrays, Layout, AnnealingWork], Layout]
"""The fastest layout met from one on, in the same order of the ops."""


def annealed(solver: LatencySolver, problem: Problem, limits: Limits, anneal: Anneal) -> Plan:
    """The fastest plan that annealing finds, in the solver's name; it says in which order."""
    if not problem.target.direct:
        return _from_greedy(solver, problem, limits, anneal)
    orders = order_arrays(problem, limits)
    if not orders:
        return solver.no_answer(problem, limits, *UNPLACED)
    bound = solver.lower_bound(problem, next(iter(orders.values())), limits)
    name, layout = best_order(orders, AnnealingWork(1.0, limits, bound), anneal)
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


def best_order(
    orders: Mapping[str, LatencyArrays], work: AnnealingWork, anneal: Anneal
) -> tuple[str, Layout]:
    """The fastest layout met in any of these orders, at least one, and whose it is.

    All are annealed for a while. What is fastest then may be slower in the end, so the first order, the program's, goes on
    beside the fastest other one if that is a rival; the rival is annealed to the end if it leads, else the first one.
    """
    race, first = _Race(orders, work, anneal), next(iter(orders))
    rivals = [name for name in orders if name != first]
    if len(rivals) > 1:
        race.go_on(orders, ALL)
        rivals = [race.fastest(race.best.keys() - {first})] if len(race.best) > 1 else []
        rivals = [name for name in rivals if race.seconds(name) < RIVAL * race.seconds(first)]
    if rivals:
        race.go_on([first, *rivals], PAIR)
    leaders = [name for name in rivals if race.seconds(name) < LEAD * race.seconds(first)]
    race.go_on(leaders or [first], race.left)
    name = race.fastest(race.best)
    return name, race.best[name]


class _Race:
    """The fastest layout of each order so far, and the share of the work that is left."""

    def __init__(self, orders: Mapping[str, LatencyArrays], work: AnnealingWork, anneal: Anneal) -> None:
        self.orders, self.work, self.anneal = orders, work, anneal
        self.best: dict[str, Layout] = {}
        self.left = 1.0

    def seconds(self, name: str) -> float:
        """Of an order's best layout, infinite where it has none."""
        return self.best[name].seconds if name in self.best else inf

    def fastest(self, names: Iterable[str]) -> str:
        """Whose layout is the fastest, the first of the orders among equals."""
        return min(sorted(names, key=list(self.orders).index), key=self.seconds)

    def go_on(self, names: Collection[str], whole: float) -> None:
        """Anneal these orders, each for its part of a share of the work; once the time is up or the bound met, none but the
        very first.
        """
        share = whole / len(names)
        for name in names:
            known = min(map(self.seconds, self.best), default=inf)
            if self.best and (known <= self.work.bound or self.work.limits.spent()):
                return
            limits = _better_news(self.work.limits.share(min(1.0, share / self.left)), known)
            start = tuned(self.orders[name], limits.share(TUNED), self.work.bound)
            mine = AnnealingWork(share * self.work.share, limits, self.work.bound)
            found = self.anneal(self.orders[name], start, mine)
            self.best[name] = min(self.best.get(name, found), found, key=lambda layout: layout.seconds)
            self.left -= share


def _better_news(limits: Limits, known: float) -> Limits:
    """The same; whoever is told of a value hears of `known` seconds instead where that is better."""
    tell = limits.progress
    if tell is None:
        return limits

    def pass_on(news: Progress) -> None:
        tell(news if news.value is None else news._replace(value=min(news.value, known)))

    return replace(limits, progress=pass_on)


def _from_greedy(solver: LatencySolver, problem: Problem, limits: Limits, anneal: Anneal) -> Plan:
    """Where ops use the scratchpad alone: a known plan or greedy's, and what annealing makes of one that writes nothing in place."""
    here = [plan for plan in limits.start if (plan.target, plan.options) == (problem.target, problem.options)]
    best = here[-1] if here else Greedy().solve(problem, limits.share(GREEDY))
    best = replace(best, solver=solver.spec)
    less = inplace_off(problem) if best.inplace else None
    start = best if less is None else Greedy().solve(less, limits.share(GREEDY))
    begun = layout_of(problem, start)
    if begun is None:
        return best
    arrays, layout = begun
    bound = max(best.bound, solver.lower_bound(problem, arrays, limits))
    found = anneal(arrays, layout, AnnealingWork(1.0, limits, bound))
    plan = to_plan(solver, problem, limits, arrays, found, bound)
    return plan if value_of(problem, plan) < value_of(problem, best) else replace(best, bound=bound)
