"""What is known of cost against capacity while a sweep goes on, and which capacity is to be solved next."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, Status, relative_gap
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits

PILLARS, PILLAR_SLICE = 4, 0.8
"""The ends and what divides the curve into so many parts come first: the ends with a whole time limit each,
those between with this much, in the same unit.
"""

SLICE = 0.05
"""Time limits that any other point is given at first, enough to fit its neighbours' plans; one that was cut short gets
twice that when its turn comes again."""


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


class Curve:
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


def turns(curve: Curve) -> Iterator[int]:
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
