"""Capacity against cost: the curve of one model, each point begun where its neighbours ended, with what is
proved below it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from memplan.base.errors import OptionError
from memplan.base.units import align_up
from memplan.problem.problem import Problem
from memplan.solving.capacities import NO_LIMIT_S, ReferenceCapacities, reference_capacities
from memplan.solving.freedoms import solve_within
from memplan.solving.limits import Limits, Progress, limits_for
from memplan.solving.refusals import refuse
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from memplan.studies.curve import SLICE, Curve, SweepPoint, turns

OBJECTIVES = ("traffic", "latency", "compute")

REST = 0.1
"""All points but the pillars together are given this share of what these took, at least `SLICE` time limits."""

WHOLE = 4.0
"""What a whole sweep may take, in time limits of a single plan, however many points."""


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
        problem: as `make_problem` makes it, of objective "traffic", "latency" or "compute"; its own capacity does not
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
        raise OptionError(
            f"a sweep of {objective}", "sweep traffic, latency or compute; a peak has no capacity"
        )
    refuse(chosen, problem)
    asked = limits_for(time_limit_s, workers, seed)
    known = reference_capacities(problem, Limits(NO_LIMIT_S, progress=progress, cancel=cancel))
    capacities = spread(problem, known, points, least, most)
    curve = Curve(problem, capacities, known.mp)
    begin, spent = time.monotonic(), 0.0
    whole, firsts = WHOLE * time_limit_s, set(curve.firsts)
    for i in turns(curve):
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


def _named(progress: Callable[[Progress], None], capacity: int, begin: float) -> Callable[[Progress], None]:
    """News with the capacity they are about, and the time of the whole sweep."""

    def tell(news: Progress) -> None:
        phase = news.phase if news.notice else f"{capacity:,} bytes"
        progress(news._replace(phase=phase, seconds=time.monotonic() - begin))

    return tell
