"""`minimum_peak_order`: the order with the least peak of live bytes, and what is proved about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.compiled import load
from memplan_solvers.peak.live import LiveModel, certain_bound, live_model, live_peak
from memplan_solvers.peak.rules import RULES
from memplan_solvers.schedule import SCHEDULES

if TYPE_CHECKING:
    from memplan_solvers.peak.directions import Directions

MOST_OPS_SCHEDULED = 10_000
"""Ops beyond which only near-linear heuristics give the first order."""

PATIENCE = 25_000_000
"""Evaluations that one limit on the live bytes may take in one direction before a larger one is tried."""

FIRST_TRIES = 10
"""Limits that may stay open before evaluations that are counted are used up: several are worth more than one."""


class PeakResult(NamedTuple):
    """An order, its peak of live bytes, a lower bound on that of every order, sets expanded by the search."""

    order: tuple[int, ...]
    peak: int
    bound: int
    nodes: int

    @property
    def proved(self) -> bool:
        """Whether no order has a smaller peak."""
        return self.peak <= self.bound


def minimum_peak_order(
    problem: Problem,
    limits: Limits,
    goal: int | None = None,
    rules: frozenset[str] = RULES,
    evaluations: float = float("inf"),
) -> PeakResult:
    """The order of least live peak without spills, or the best found by the time `limits` is spent.

    It also ends once peaks that it could neither reach nor refute took `evaluations` of an op in each direction: so
    what it answers before the time is up depends on the problem alone.

    With a `goal` the search ends as soon as a peak of at most `goal` is found or proved impossible. The bound is
    true whenever the search stops. Nothing is compiled where a heuristic order meets the bound. Exponential in
    the worst case; peaks between bound and best order are tried by bisection, one depth-first search each.
    """
    model = live_model(problem)
    if problem.options.order == "program":
        order = tuple(range(problem.n))
        peak = live_peak(model, order)
        return PeakResult(order, peak, peak, 0)
    bound = int(problem.min_capacity)
    enough = -1 if goal is None else goal
    order, peak = _first(problem, model, max(bound, enough), limits)
    if peak > max(bound, enough) and "certain" in rules:
        bound = max(bound, certain_bound(model))
    if _settled(peak, bound, goal) or limits.spent() or not load("peak", limits):
        return PeakResult(order, peak, bound, 0)
    from memplan_solvers.peak.directions import Directions

    return _bisect(Directions(model, rules), order, peak, bound, goal, limits, evaluations)


def _settled(peak: int, bound: int, goal: int | None) -> bool:
    return peak <= bound or (goal is not None and (peak <= goal or bound > goal))


def _first(problem: Problem, model: LiveModel, enough: int, limits: Limits) -> tuple[tuple[int, ...], int]:
    """The best heuristic order and its peak; stops at one of at most `enough`."""
    best: tuple[tuple[int, ...], int] | None = None
    names = SCHEDULES if problem.n <= MOST_OPS_SCHEDULED else ("program", "least_live")
    for name in names:
        order = SCHEDULES[name](problem)
        peak = live_peak(model, order)
        if best is None or peak < best[1]:
            best = order, peak
            limits.report("orders", peak, problem.free_bound)
        if best[1] <= enough or limits.spent():
            break
    assert best is not None  # SCHEDULES is not empty
    return best


def _bisect(
    search: Directions,
    order: tuple[int, ...],
    peak: int,
    bound: int,
    goal: int | None,
    limits: Limits,
    evaluations: float,
) -> PeakResult:
    """Close the gap: a found order lowers the peak, a failed search raises the bound."""
    from memplan_solvers.peak.directions import EFFORT

    low = bound  # the least limit worth trying: below it the search failed or gave up
    patience, limit = min(PATIENCE, evaluations / FIRST_TRIES), bound if goal is None else goal
    while not (_settled(peak, bound, goal) or evaluations <= 0 or limits.spent()):
        patience = max(1, min(patience, evaluations))
        outcome = search.within(limit, limits, int(patience))
        if isinstance(outcome, int):
            bound = low = max(bound, outcome if "jump" in search.rules else limit + 1)
        elif outcome:
            order = outcome
            peak = live_peak(search.model, order)
        else:
            evaluations -= max(patience, EFFORT)  # no search is ended within so many
            if goal is None and limit < peak - 1:
                low = limit + 1  # hard: look for a better order above it first
            else:
                low, patience = bound, 8 * patience
        limits.report("peak", peak, bound, search.nodes)
        limit = min((low + peak) // 2, peak - 1) if goal is None else goal
    return PeakResult(order, peak, min(bound, peak), search.nodes)


def warm() -> None:
    """Call every kernel of the search."""
    from memplan_solvers.peak.directions import EFFORT, Directions
    from memplan_solvers.peak.met import enlarged, none_met

    Directions(LiveModel((), (), (), (), (), {}, (), ())).within(0, Limits(float("inf")), EFFORT)
    enlarged(none_met(4, bounded=False))
