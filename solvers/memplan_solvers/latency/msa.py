"""`msa`: XLA's memory space assignment, the production baseline; `msa_tuned`: its best of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from memplan.errors import OptionError
from memplan.options import Options
from memplan.plan import Plan
from memplan.problem import Problem
from memplan.solver import Budget
from memplan.testing import TIMED, chain
from memplan_solvers.latency.layout import to_plan, value
from memplan_solvers.latency.msa_kernel import assign
from memplan_solvers.latency.queue import make_queue
from memplan_solvers.latency.solver import LatencySolver
from memplan_solvers.latency.space import make_space
from memplan_solvers.latency.timed import UNPLACED, Array, Timed, flatten, stores_of_fixed

GRID = tuple(
    (low, preferred, high, repacks)
    for low in (0.8, 1.0, 1.25)
    for preferred in (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
    for high in (1.0, 3.0, 10.0)
    for repacks in (0, 20)
    if preferred >= low
)
"""Ratios and repacks that `msa_tuned` tries: 102 points, XLA's own values among them."""


class Layout(NamedTuple):
    """Residency rows, int64[r, 4], stores, int64[m, 2], and the seconds they take."""

    rows: Array
    stores: Array
    seconds: float


def value_order(timed: Timed) -> Array:
    """Storages by boundedness, then size, then duration, all descending: int64[m].

    Boundedness = what the definition and the uses of a value gain in the scratchpad / √size; an op that
    memory does not bind gives memory − compute, which is negative.
    """
    memory = timed.base_host.copy()
    for t in range(timed.n):
        memory[t] += timed.copy[timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]]].sum()
    keys = []
    for s in range(len(timed.size)):
        touched = timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]]
        bound = memory[touched] > timed.compute[touched]
        saved = timed.copy[s] - timed.pad[s]
        gain = float(np.where(bound, saved, memory[touched] - timed.compute[touched]).sum())
        boundedness = gain / max(1.0, float(timed.size[s])) ** 0.5
        span = (
            int(touched[0] - touched[-1]) if len(touched) else 0
        )  # a returned input may be touched by nobody
        keys.append((-boundedness, -int(timed.size[s]), span, s))
    return np.array([key[-1] for key in sorted(keys)], dtype=np.int64)


def all_host_elapsed(timed: Timed) -> Array:
    """Seconds of the ops before each step with everything in host but what is fixed, float64[n + 1]."""
    memory, fast = timed.base_host.copy(), np.zeros(timed.n)
    for t in range(timed.n):
        for s in timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]]:
            if timed.fixed[s] >= 0:
                fast[t] += timed.pad[s]
            else:
                memory[t] += timed.copy[s]
    times = np.maximum(timed.compute, memory + fast) + timed.overhead
    return np.concatenate(([0.0], np.cumsum(times)))


def run_msa(
    timed: Timed, order: Array, elapsed: Array, ratios: tuple[float, float, float], repacks: int
) -> Layout:
    """The layout of memory space assignment for values in `order`; ratios: min, preferred, max."""
    space, queue = make_space(timed), make_queue(2 * len(timed.touch) + 2)
    stores = stores_of_fixed(timed)
    assign(timed, order, elapsed, np.array(ratios), repacks, space, stores, queue)
    count = int(space.count[0])
    return Layout(space.rows[:count], stores, value(timed, space.rows, count, stores))


@dataclass(frozen=True)
class Msa(LatencySolver):
    """Memory space assignment on the program order, without control flow.

    min_ratio        a prefetch has at least this × its copy time to arrive
    preferred_ratio  and at best this ×
    max_ratio        nothing is held or fetched for longer than this × the copy time of the whole scratchpad
    repacks          how often everything placed may be packed anew when a value lacks space
    """

    name: ClassVar[str] = "msa"
    summary: ClassVar[str] = "XLA's memory space assignment: the production baseline for latency"

    min_ratio: float = 0.8
    preferred_ratio: float = 1.5
    max_ratio: float = 10.0
    repacks: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for field in ("min_ratio", "preferred_ratio", "max_ratio", "repacks"):
            if getattr(self, field) < 0:
                raise OptionError(f"solver 'msa': {field} = {getattr(self, field)}", "it is at least 0")

    def search(self, problem: Problem, budget: Budget) -> Plan:
        """One pass over the values."""
        timed = flatten(problem, budget)
        if timed is None:
            return self.no_answer(problem, budget, *UNPLACED)
        ratios = self.min_ratio, self.preferred_ratio, self.max_ratio
        best = run_msa(timed, value_order(timed), all_host_elapsed(timed), ratios, self.repacks)
        return to_plan(
            self,
            problem,
            budget,
            timed,
            best.rows,
            best.stores,
            bound=self.lower_bound(problem, timed, budget),
        )


@dataclass(frozen=True)
class MsaTuned(LatencySolver):
    """The best of memory space assignment over a grid of about 100 ratios and repacks, and of all in host."""

    name: ClassVar[str] = "msa_tuned"
    summary: ClassVar[str] = "memory space assignment with its ratios and repacks searched on a grid"

    def search(self, problem: Problem, budget: Budget) -> Plan:
        """XLA's own values first, then the grid for as long as there is time."""
        timed = flatten(problem, budget)
        if timed is None:
            return self.no_answer(problem, budget, *UNPLACED)
        bound = self.lower_bound(problem, timed, budget)
        best = tuned(timed, budget, bound)
        return to_plan(self, problem, budget, timed, best.rows, best.stores, bound=bound)


def tuned(timed: Timed, budget: Budget, bound: float) -> Layout:
    """The best layout of the grid; nothing beyond XLA's defaults once the budget is spent."""
    order, elapsed = value_order(timed), all_host_elapsed(timed)
    best = run_msa(timed, order, elapsed, (0.8, 1.5, 10.0), 0)
    for low, preferred, high, repacks in GRID:
        if budget.spent() or best.seconds <= bound:
            break
        found = run_msa(timed, order, elapsed, (low, preferred, high), repacks)
        if found.seconds < best.seconds:
            best = found
            budget.report("msa_tuned", best.seconds, bound)
    return best


def warm() -> None:
    """Call every kernel of the assignment, of what it is judged by, and of what makes a plan of it."""
    problem = Problem(chain(4), TIMED.with_scratchpad(600), Options("latency", "tensor", order="program"))
    MsaTuned().search(problem, Budget(float("inf")))
