"""`msa`: XLA's memory space assignment, the production baseline; `msa_tuned`: its best of a grid."""

from __future__ import annotations

import pickle
import sys
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memplan.base.children import end_with_parent
from memplan.base.errors import OptionError
from memplan.problem.options import Options
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.testing import TIMED, chain
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.latency.arrays import UNPLACED, LatencyArrays, make_arrays, stores_of_fixed
from memplan_solvers.latency.copy_queue import make_queue
from memplan_solvers.latency.layout import Layout, make_layout, to_plan
from memplan_solvers.latency.msa_kernel import Assignment, PrefetchRatios, assign
from memplan_solvers.latency.residency_table import make_table
from memplan_solvers.latency.solver import LatencySolver

GRID = tuple(
    (low, preferred, high, repacks)
    for low in (0.8, 1.0, 1.25)
    for preferred in (1.0, 1.25, 1.5, 2.0, 3.0, 5.0)
    for high in (1.0, 3.0, 10.0)
    for repacks in (0, 20)
    if preferred >= low
)
"""Ratios and repacks that `msa_tuned` tries: 102 points, XLA's own values among them."""


XLA = PrefetchRatios(0.8, 1.5, 10.0)
"""Memory space assignment's own ratios."""


def value_order(arrays: LatencyArrays) -> Ints:
    """Storages by boundedness, then size, then duration, all descending: int64[m].

    Boundedness = what the definition and the uses of a value gain in the scratchpad / √size; an op that
    memory does not bind gives memory − compute, which is negative.
    """
    memory = arrays.base_host.copy()
    for t in range(arrays.n):
        memory[t] += arrays.copy[arrays.op_touch[arrays.op_row[t] : arrays.op_row[t + 1]]].sum()
    keys = []
    for s in range(len(arrays.size)):
        touched = arrays.touch[arrays.touch_row[s] : arrays.touch_row[s + 1]]
        bound = memory[touched] > arrays.compute[touched]
        saved = arrays.copy[s] - arrays.pad[s]
        gain = float(np.where(bound, saved, memory[touched] - arrays.compute[touched]).sum())
        boundedness = gain / max(1.0, float(arrays.size[s])) ** 0.5
        span = int(touched[0] - touched[-1]) if len(touched) else 0  # nobody may touch a returned input
        keys.append((-boundedness, -int(arrays.size[s]), span, s))
    return np.array([key[-1] for key in sorted(keys)], dtype=np.int64)


def all_host_elapsed(arrays: LatencyArrays) -> Floats:
    """Seconds of the ops before each step with everything in host but what is fixed, float64[n + 1]."""
    memory, fast = arrays.base_host.copy(), np.zeros(arrays.n)
    for t in range(arrays.n):
        for s in arrays.op_touch[arrays.op_row[t] : arrays.op_row[t + 1]]:
            if arrays.fixed[s] >= 0:
                fast[t] += arrays.pad[s]
            else:
                memory[t] += arrays.copy[s]
    times = np.maximum(arrays.compute, memory + fast) + arrays.overhead
    return np.concatenate(([0.0], np.cumsum(times)))


def run_msa(
    arrays: LatencyArrays, order: Ints, elapsed: Floats, ratios: PrefetchRatios, repacks: int
) -> Layout:
    """The layout of memory space assignment for values in `order`, int64[v]; `elapsed` is `all_host_elapsed`."""
    job = Assignment(
        arrays,
        elapsed,
        ratios,
        make_table(arrays),
        stores_of_fixed(arrays),
        make_queue(2 * len(arrays.touch) + 2),
    )
    assign(job, order, repacks)
    return make_layout(arrays, job.table.rows[: job.table.used[0]], job.stores)


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

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """One pass over the values."""
        arrays = make_arrays(problem, limits)
        if arrays is None:
            return self.no_answer(problem, limits, *UNPLACED)
        ratios = PrefetchRatios(self.min_ratio, self.preferred_ratio, self.max_ratio)
        best = run_msa(arrays, value_order(arrays), all_host_elapsed(arrays), ratios, self.repacks)
        return to_plan(self, problem, limits, arrays, best, self.lower_bound(problem, arrays, limits))


@dataclass(frozen=True)
class MsaTuned(LatencySolver):
    """The best of memory space assignment over a grid of about 100 ratios and repacks, and of all in host."""

    name: ClassVar[str] = "msa_tuned"
    summary: ClassVar[str] = "memory space assignment with its ratios and repacks searched on a grid"

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """XLA's own values first, then the grid for as long as there is time."""
        arrays = make_arrays(problem, limits)
        if arrays is None:
            return self.no_answer(problem, limits, *UNPLACED)
        bound = self.lower_bound(problem, arrays, limits)
        return to_plan(self, problem, limits, arrays, tuned(arrays, limits, bound), bound)


def tuned(arrays: LatencyArrays, limits: Limits, bound: float) -> Layout:
    """The best layout of the grid; nothing beyond XLA's defaults once the limits are spent."""
    order, elapsed = value_order(arrays), all_host_elapsed(arrays)
    best = run_msa(arrays, order, elapsed, XLA, 0)
    for low, preferred, high, repacks in GRID:
        if limits.spent() or best.seconds <= bound:
            break
        found = run_msa(arrays, order, elapsed, PrefetchRatios(low, preferred, high), repacks)
        if found.seconds < best.seconds:
            best = found
            limits.report("msa_tuned", best.seconds, bound)
    return best


def warm() -> None:
    """Call every kernel of the assignment, of what it is judged by, and of what makes a plan of it."""
    problem = Problem(chain(4), TIMED.with_scratchpad(600), Options("latency", "tensor", order="program"))
    MsaTuned().search(problem, Limits(float("inf")))


if __name__ == "__main__":  # see `uncompiled.py`
    end_with_parent()
    with warnings.catch_warnings(
        action="ignore"
    ):  # numpy's numbers say what they do where kernels say nothing
        plan = Msa().search(pickle.load(sys.stdin.buffer), Limits(float("inf")))
    sys.stdout.buffer.write(pickle.dumps(plan))
