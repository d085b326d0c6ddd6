"""What the tables and plots of a comparison show: solvers summed up, wins and losses, performance profiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from memplan.studies.compare.instances import Instance


@dataclass(frozen=True)
class Tally:
    """One solver over some instances.

    `best` counts the instances where nobody found less, `proved` those with value = bound, `failed` the
    processes that ended without an answer. `ratio` is the geometric mean of value / best over the instances
    where the best is above 0 and the solver has a plan; `gap` the mean of its gaps; both None where there are
    none. `value` and `bound` add up its plans and the best bounds known of the same instances.
    """

    solver: str
    cases: int
    plans: int
    best: int
    proved: int
    infeasible: int
    failed: int
    unsupported: int
    gap: float | None
    ratio: float | None
    value: float
    bound: float
    seconds: float


def tally(solver: str, instances: Iterable[Instance]) -> Tally:
    """The solver's record over `instances`."""
    rows = [(i, i.records[solver]) for i in instances if solver in i.records]
    plans = [(i, r) for i, r in rows if r["value"] is not None]
    logs = [math.log(r["value"] / i.best) for i, r in plans if i.best]
    words = [r["outcome"] for _, r in rows]
    return Tally(
        solver=solver,
        cases=len(rows),
        plans=len(plans),
        best=sum(r["value"] <= i.best for i, r in plans if i.best is not None),
        proved=sum(r["status"] == "optimal" for _, r in plans),
        infeasible=sum(r["status"] == "infeasible" for _, r in rows),
        failed=sum(word not in ("done", "refused") for word in words),
        unsupported=words.count("refused"),
        gap=sum(r["gap"] for _, r in plans) / len(plans) if plans else None,
        ratio=math.exp(sum(logs) / len(logs)) if logs else None,
        value=sum(r["value"] for _, r in plans),
        bound=sum(i.bound or 0.0 for i, _ in plans),
        seconds=sum(r["seconds"] for _, r in plans),
    )


def wins(solvers: Sequence[str], instances: Sequence[Instance]) -> dict[tuple[str, str], int]:
    """(a, b): on how many instances a found strictly less than b; no plan is more than any value.

    Instances that one of the two was not asked, or does not support, do not count.
    """
    found = dict.fromkeys(((a, b) for a in solvers for b in solvers if a != b), 0)
    for instance in instances:
        values = {
            spec: math.inf if r["value"] is None else r["value"]
            for spec, r in instance.records.items()
            if r["outcome"] != "refused"
        }
        for a, b in found:
            found[a, b] += a in values and b in values and values[a] < values[b]
    return found


def profile(solver: str, instances: Sequence[Instance], measure: str) -> list[tuple[float, float]]:
    """The performance profile after Dolan and Moré (2002): steps (tau, share of the instances within tau of the best).

    `measure` is "value", or "seconds" until the best value known was reached, where a solver that did not reach it
    has not solved the instance. Instances that nobody solved are left out. Where the best is 0, a solver is within
    every tau if it found 0 too, and within none otherwise.
    """
    ratios = []
    for instance in instances:
        costs = {spec: _cost(instance, r, measure) for spec, r in instance.records.items()}
        least = min(costs.values(), default=math.inf)
        if least < math.inf:
            ratios.append(_ratio(costs.get(solver, math.inf), least))
    steps, many = [], len(ratios)
    finite = sorted(r for r in ratios if r < math.inf)
    for k, ratio in enumerate(finite, 1):
        if k == len(finite) or finite[k] > ratio:
            steps.append((ratio, k / many))
    return steps


def within(steps: Sequence[tuple[float, float]], tau: float) -> float:
    """The share of a profile at `tau`."""
    return max((share for at, share in steps if at <= tau * (1 + 1e-12)), default=0.0)


LEAST_SECONDS = 0.01
"""Times below are counted as this much: they are noise of the clock."""


def _cost(instance: Instance, record: dict[str, object], measure: str) -> float:
    value, seconds = record["value"], record["seconds"]
    if not isinstance(value, int | float) or not isinstance(seconds, int | float):
        return math.inf
    if measure == "value":
        return float(value)
    reached = instance.best is not None and value <= instance.best
    return max(float(seconds), LEAST_SECONDS) if reached else math.inf


def _ratio(cost: float, least: float) -> float:
    if least > 0:
        return cost / least
    return 1.0 if cost <= least else math.inf
