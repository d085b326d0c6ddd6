"""Capacity against cost: the curve of one model, each point begun where its neighbours ended, with what is
proved below it.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from memplan.base.errors import OptionError
from memplan.base.units import align_up
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, Status, relative_gap
from memplan.problem.problem import Problem
from memplan.solving.capacities import NO_LIMIT_S, ReferenceCapacities, reference_capacities
from memplan.solving.freedoms import solve_within
from memplan.solving.limits import Limits, Progress, limits_for
from memplan.solving.refusals import refuse
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver

OBJECTIVES = ("traffic", "latency")

WHOLE = 4.0
"""What a whole sweep may take, in time limits of a single plan, however many points."""

PILLARS, PILLAR_SLICE = 4, 0.8
"""The ends and what divides the curve into so many parts come first: the ends with a whole time limit each,
those between with this much, in the same unit.
"""

REST, SLICE = 0.1, 0.05
"""All other points together are given this share of what the pillars took, at least `SLICE` time limits. One
point is given `SLICE` at first, enough to fit its neighbours' plans; one that was cut short gets twice that
when its turn comes again.
"""


@dataclass(frozen=True)
class SweepPoint:
    """What is known at one capacity.

    A plan for less memory is valid with more, a bound for more memory holds with less; so values and bounds
    fall as the capacity grows.

    Args:
        capacity: bytes.
        value: of the best plan that fits, in bytes or seconds; None where none was found.
        bound: below every plan, in the same unit.
        plan: that best plan, made for this capacity or less.
        solved: whether a solver ran here, or neighbours settled it.
    """

    capacity: int
    value: float | None
    bound: float
    plan: Plan | None
    solved: bool

    @property
    def gap(self) -> float | None:
        """(value - bound) / value, 0 where the value is 0, None without a plan."""
        return relative_gap(self.value, self.bound)


@dataclass(frozen=True)
class Sweep:
    """Capacity against cost of one model.

    Args:
        graph, objective, solver: what was asked, in words.
        reference: the graph's M_R, M_P and M_H, in bytes.
        points: by rising capacity.
        seconds: in the solver, compilation left out.
    """

    graph: str
    objective: str
    solver: str
    reference: ReferenceCapacities
    points: tuple[SweepPoint, ...]
    seconds: float


def sweep(
    problem: Problem,
    *,
    points: int = 20,
    least: str | None = None,
    most: str | None = None,
    solver: str | Solver = "portfolio",
    time_limit_s: float = 10.0,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Sweep:
    """The least cost at each of several capacities, with what is proved below it.

    The ends and three points between them are solved thoroughly, then every other point briefly, each begun
    with the plans of its neighbours; what time is left goes where the gap is widest. Whatever neighbours
    settle is not solved.

    Args:
        problem: as `make_problem` makes it, of objective "traffic" or "latency"; its own capacity does not
            count.
        points: how many capacities, evenly spread, 2 at least.
        least, most: the first and the last, as of `plan`; M_R and M_P where they are not given.
        solver: as of `plan`.
        time_limit_s: seconds that a single plan would get; all points together take four times that at most,
            finding M_P apart.
        workers, seed, progress, cancel: as of `plan`; the phase told to `progress` is the capacity.

    Returns:
        The curve: a point a capacity, ascending, each with the best plan that fits it and the bound below
            every plan.

    Raises:
        OptionError: the objective, the solver or the ends make no sense.

    >>> import memplan
    >>> problem = memplan.make_problem(memplan.testing.chain(6))
    >>> curve = memplan.sweep(problem, points=3)
    >>> [(point.capacity, point.value, point.bound) for point in curve.points]
    [(210, 84, 84), (231, 84, 84), (252, 0, 0)]
    """
    chosen = parse_spec(solver)
    objective = problem.options.objective
    if objective not in OBJECTIVES:
        raise OptionError(f"a sweep of {objective}", "sweep traffic or latency; a peak has no capacity")
    refuse(chosen, problem)
    asked = limits_for(time_limit_s, workers, seed)
    known = reference_capacities(problem, Limits(NO_LIMIT_S, progress=progress, cancel=cancel))
    capacities = spread(problem, known, points, least, most)
    curve = _Curve(problem, capacities, known.mp)
    begin, spent = time.monotonic(), 0.0
    whole, firsts = WHOLE * time_limit_s, set(curve.firsts)
    for i in _turns(curve):
        if firsts and i not in firsts:
            whole, firsts = min(whole, spent + max(REST * spent, SLICE * time_limit_s)), set()
        left = whole - spent
        if left <= 0 or (cancel is not None and cancel()):
            break
        told = None if progress is None else _named(progress, capacities[i], begin)
        limits = Limits(
            min(left, curve.share(i) * time_limit_s),
            asked.workers,
            seed,
            told,
            cancel,
            curve.start(i),
            curve.bound(i),
        )
        found = solve_within(chosen, curve.problem(i), limits)
        spent += found.seconds or limits.seconds
        curve.learn(i, found, limits)
    return Sweep(problem.graph.name, objective, chosen.spec, known, curve.points(), spent)


def spread(
    problem: Problem, known: ReferenceCapacities, points: int, least: str | None, most: str | None
) -> list[int]:
    """Distinct, aligned capacities, evenly from `least` to `most`; none below what any plan needs."""
    alignment = problem.target.scratchpad.alignment
    ends = []
    for name, text in (("least", least), ("most", most)):
        usual = ("MR" if not problem.target.direct else "0.05MP") if name == "least" else "MP"
        capacity, _ = known.resolve(text or usual, alignment)
        if capacity is None:
            raise OptionError(f"a sweep has ends, '{text}' is none", "give a size, or MR, 0.5MP, MP")
        ends.append(capacity)
    low, high = (align_up(max(capacity, problem.min_capacity), alignment) for capacity in ends)
    if points < 2 or ends[1] < ends[0] or high < low:
        raise OptionError(
            f"{points} points from {ends[0]} to {ends[1]} bytes", "give two points or more, smaller end first"
        )
    return sorted({align_up(low + (high - low) * k // (points - 1), alignment) for k in range(points)})


class _Curve:
    """What is known while the sweep goes on. Values are monotone by construction: see SweepPoint.

    `cuts` counts how often the time cut a point's solve short, `seen` is what the last one began with.
    """

    def __init__(self, problem: Problem, capacities: list[int], mp: int) -> None:
        self.base, self.capacities, self.mp = problem, capacities, mp
        self.plans: dict[int, Plan] = {}
        self.bounds: dict[int, float] = {}
        self.cuts: dict[int, int] = {}
        self.seen: dict[int, object] = {}

    def problem(self, i: int) -> Problem:
        return replace(self.base, target=self.base.target.with_scratchpad(self.capacities[i]))

    def learn(self, i: int, found: Plan, limits: Limits) -> None:
        """Take over a solver's answer, checked, from the least capacity it fits."""
        self.seen[i] = self.given(i)
        self.cuts[i] = self.cuts.get(i, 0) + ((found.seconds or limits.seconds) > 0.9 * limits.time_limit_s)
        plan = evaluate(self.base.graph, found)
        infeasible = plan.status is Status.INFEASIBLE
        self.bounds[i] = max(self.bounds.get(i, 0), float("inf") if infeasible else plan.bound)
        if plan.value is not None:
            fits = bisect_left(self.capacities, plan.metrics.peak)
            before = self.plans.get(fits)
            if before is None or before.value is None or plan.value < before.value:
                self.plans[fits] = plan

    def best(self, i: int) -> Plan | None:
        """The best plan that fits at point i."""
        fitting = [self.plans[j] for j in sorted(self.plans) if j <= i]
        return min(fitting, key=lambda plan: plan.value or 0.0, default=None)

    def value(self, i: int) -> float:
        plan = self.best(i)
        return float("inf") if plan is None or plan.value is None else plan.value

    def bound(self, i: int) -> float:
        """The best bound that holds at point i."""
        return max((b for j, b in self.bounds.items() if j >= i), default=self.base.free_bound)

    def neighbours(self, i: int) -> tuple[Plan, ...]:
        """The best plan that fits, then the one of the next capacity above that has one."""
        above = [self.plans[j] for j in sorted(self.plans) if j > i][:1]
        here = self.best(i)
        return tuple(above if here is None else [here, *above])

    @property
    def ends(self) -> tuple[int, int]:
        return 0, len(self.capacities) - 1

    @property
    def firsts(self) -> dict[int, float]:
        """The points that come first, in order, with what a first solve is given: the ends, the largest
        capacity below M_P, where spills begin (what is proved there often holds far below), then the middle
        and what halves the halves.
        """
        last = len(self.capacities) - 1
        brink = bisect_left(self.capacities, self.mp) - 1
        found = dict.fromkeys(self.ends, 1.0)
        found.setdefault(max(0, brink), SLICE)
        for k in sorted(range(1, PILLARS), key=lambda k: (k != PILLARS // 2, -k)):
            if (i := last * k // PILLARS) not in self.ends:
                found[i] = PILLAR_SLICE
        return found

    def start(self, i: int) -> tuple[Plan, ...]:
        """Where a solve begins: the ends, at first, with nothing, so that not all orders come from one."""
        return () if i in self.ends and i not in self.bounds else self.neighbours(i)

    def share(self, i: int) -> float:
        """Time limits of a single plan that the next solve of point i is given."""
        return min(1.0, self.firsts.get(i, SLICE) * 2.0 ** self.cuts.get(i, 0))

    def given(self, i: int) -> object:
        """What a solve of point i would begin with, to tell whether another one could differ from the last."""
        return [plan.schedule for plan in self.neighbours(i)], self.bound(i), self.cuts.get(i, 0)

    def gap(self, i: int) -> float:
        """What is not yet known at point i, in units of the objective; 0 where it is settled."""
        value, bound = self.value(i), self.bound(i)
        return 0.0 if value <= bound else value - bound

    def points(self) -> tuple[SweepPoint, ...]:
        found = []
        for i, capacity in enumerate(self.capacities):
            plan, value = self.best(i), self.value(i)
            found.append(
                SweepPoint(
                    capacity,
                    None if plan is None else value,
                    min(self.bound(i), value),
                    plan,
                    i in self.bounds,
                )
            )
        return tuple(found)


def _turns(curve: _Curve) -> Iterator[int]:
    """Points in the order of solving: the first ones, then what was cut least often, the widest gap, the
    farthest from what was solved; as long as a solve could tell something new.
    """
    for i in curve.firsts:
        if i in curve.ends or curve.gap(i):
            yield i
    while True:
        open_ = [
            i for i in range(len(curve.capacities)) if curve.gap(i) and curve.seen.get(i) != curve.given(i)
        ]
        if not open_:
            return
        yield max(
            open_, key=lambda i: (-curve.cuts.get(i, 0), curve.gap(i), min(abs(i - j) for j in curve.seen))
        )


def _named(progress: Callable[[Progress], None], capacity: int, begin: float) -> Callable[[Progress], None]:
    """News with the capacity they are about, and the time of the whole sweep."""

    def tell(news: Progress) -> None:
        phase = news.phase if news.notice else f"{capacity:,} bytes"
        progress(news._replace(phase=phase, seconds=time.monotonic() - begin))

    return tell
