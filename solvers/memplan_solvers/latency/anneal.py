"""`anneal`: annealing over what stays, returns and waits in host, value by value; no policy, any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capabilities import OPERANDS, Capabilities
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan_solvers.common.arrays import Floats, Floats32, Ints
from memplan_solvers.latency.anneal_kernel import (
    KINDS,
    LATENCIES,
    MOST,
    STATES,
    AnnealingState,
    keep_best,
    run_rounds,
)
from memplan_solvers.latency.annealed import AnnealingWork, annealed
from memplan_solvers.latency.arrays import STORE, LatencyArrays, make_arrays
from memplan_solvers.latency.incremental import first_latency
from memplan_solvers.latency.layout import Layout, make_layout, to_plan
from memplan_solvers.latency.layout_changes import make_mutable
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.mutable_layout import PLACE, MutableLayout, residencies_of
from memplan_solvers.latency.place_value import REMOVED, Mode, Removed, Service
from memplan_solvers.latency.solver import LatencySolver

SLICE_S, FIRST = 0.05, 200
"""Seconds between two looks at the clock; rounds before the first."""

LOOK, SPREAD = 2000, 8
"""Rounds between two questions where to begin, at least; entries of `AnnealingState.starts` per touch, about."""

Focus = Callable[[AnnealingState, float], Floats32]
"""Weights, float32[k, KINDS], of the kinds of rounds by the touch at which they begin, asked for with the share of the
cooling that is done."""

TAKEN, CHANGED = (0.35, 0.57, 0.08), (0.4, 0.25, 0.21, 0.07, 0.07)
"""How often a round has each `Scope`, and each `Change`."""


@dataclass(frozen=True)
class Anneal(LatencySolver):
    """Ruin and recreate from the tuned memory space assignment on, judged by the simulator's model alone.

    Where the order is free several are tried; where ops use the scratchpad alone it begins with greedy's plan.

    effort  rounds per touch of a storage; fewer if the time is up first (the cooling then fits the time)
    hot     temperature at the start, as a share of the latency of an op on average
    cold    and at the end
    """

    name: ClassVar[str] = "anneal"
    summary: ClassVar[str] = (
        "annealing over residencies and prefetches: the best latency without a learnt policy"
    )

    supports: ClassVar[Capabilities] = replace(LatencySolver.supports, operands=OPERANDS)

    effort: int = 4000
    hot: float = 0.1
    cold: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.effort < 0:
            raise OptionError(f"solver 'anneal': effort = {self.effort}", "it is at least 0")
        if not 0 < self.cold <= self.hot:
            raise OptionError(f"solver 'anneal': hot = {self.hot}, cold = {self.cold}", "0 < cold <= hot")

    @property
    def kernels(self) -> str:
        """See `LatencySolver.kernels`."""
        return "anneal"

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The best layout met, in the order in which it is fastest."""
        return annealed(self, problem, limits, self._anneal)

    def _anneal(self, arrays: LatencyArrays, start: Layout, work: AnnealingWork) -> Layout:
        share = replace(self, effort=round(work.share * self.effort))
        return share.improve(arrays, start, work.limits, work.bound)

    def improve(
        self,
        arrays: LatencyArrays,
        start: Layout,
        limits: Limits,
        bound: float,
        idle_share: float = 0.0,
        focus: Focus | None = None,
    ) -> Layout:
        """The best layout met from `start` on; `idle_share`: see `AnnealingState`."""
        search = make_annealing(arrays, start, limits.seed, idle_share)
        total, available = self.effort * len(arrays.touch), max(1e-9, limits.remaining_s)
        if not len(search.starts):
            return start
        rounds, done, share, step = min(FIRST, total), 0, 0.0, min(FIRST, total) / max(1, total)
        by_time, begin, often = False, time.monotonic(), max(LOOK, 2 * len(arrays.touch))
        while done < total and share < 1.0 and search.seconds[0]["best"] > bound and not limits.spent():
            if focus and done % often == 0:
                search = weigh_rounds(arrays, search, focus(search, share))
            hot, cold = (self.heat(arrays, start, at) for at in (share, min(1.0, share + step)))
            run_rounds(arrays, search, rounds, hot, cold)
            if not done:  # it may have been compiling
                begin, available = time.monotonic(), max(1e-9, limits.remaining_s)
                pace = 1e-4
            else:
                pace = (time.monotonic() - begin) / max(1, done - FIRST + rounds)
                by_time = by_time or pace * total > available
            done += rounds
            share = (time.monotonic() - begin) / available if by_time else done / total
            rounds = max(1, min(int(SLICE_S / max(pace, 1e-9)), total - done, often - done % often))
            step = rounds * pace / available if by_time else rounds / total
            limits.report("anneal", float(search.seconds[0]["best"]), bound)
        residencies, dues = residencies_of(search.best, search.layout)
        found = make_layout(arrays, residencies, search.best_stores, dues)
        return min(start, found, key=lambda layout: layout.seconds)

    def heat(self, arrays: LatencyArrays, start: Layout, share: float) -> float:
        """The temperature in seconds when `share` of the rounds are done."""
        return float(start.seconds / arrays.n * self.hot * (self.cold / self.hot) ** share)


def usual_weights(arrays: LatencyArrays) -> Floats32:
    """Weights of the kinds of rounds where nobody says: alike for all storages, float32[k, KINDS]."""
    touches = np.diff(arrays.touch_row)
    weights = np.outer(np.repeat(1.0 / np.maximum(touches, 1), touches), np.outer(TAKEN, CHANGED))
    return weights.astype(np.float32)


def weigh_rounds(arrays: LatencyArrays, search: AnnealingState, weight: Floats32) -> AnnealingState:
    """The annealing, its rounds from now on as float32[k, KINDS] `weight` says."""
    return search._replace(starts=spread_starts(arrays, weight.sum(1)), weight=weight)


def spread_starts(arrays: LatencyArrays, weight: Floats | Floats32) -> Ints:
    """Touches of storages that may be placed, int64[c], each about as often as float[k] `weight` says, at least once."""
    touches = np.flatnonzero(np.repeat(arrays.movable, np.diff(arrays.touch_row)))
    share = weight[touches] / weight[touches].sum()
    return np.repeat(touches, np.maximum(1, np.round(SPREAD * len(touches) * share).astype(np.int64)))


def make_annealing(
    arrays: LatencyArrays, start: Layout, seed: int, idle_share: float = 0.0
) -> AnnealingState:
    """An annealing that stands at `start`; `idle_share`: see `AnnealingState`."""
    layout = make_mutable(arrays, start)
    seconds = first_latency(arrays, layout)
    mixed = (seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) % 2**64 or 1
    weight, slots, storages = usual_weights(arrays), len(layout.slots), len(layout.storages)
    search = AnnealingState(
        layout=layout,
        service=service_of(arrays, layout),
        idle_share=idle_share if arrays.queues == 1 else 0.0,
        seconds=np.array([(seconds, seconds)], LATENCIES),
        best=np.zeros(slots, PLACE),
        best_stores=np.zeros(storages, STORE),
        random=np.array([mixed], np.uint64),
        weight=weight,
        starts=spread_starts(arrays, weight.sum(1)),
        work=np.zeros((STATES, 0, KINDS)),
        gain=np.zeros((STATES, 0, KINDS)),
        removed=Removed(np.zeros(slots, REMOVED), np.zeros(1, np.int64)),
        values=np.zeros(MOST, np.int64),
        old_stores=np.zeros(MOST, STORE),
    )
    keep_best(search)
    return search


def service_of(arrays: LatencyArrays, layout: MutableLayout) -> Service:
    """What the touches would have to ask for so that the loads were placed where they are."""
    k = len(arrays.touch)
    slots, reach = layout.slots[:k], layout.accepted.reach
    service = Service(np.zeros(k, np.int8), np.full(k, 1.1))
    # what nobody reads lies in the scratchpad only where a store of that length is asked for
    written = (slots["start"] >= 0) & (layout.storages["producer"][slots["storage"]] == slots["step"])
    service.prefetch_ratio[written] = 3.0
    for r in np.flatnonzero((slots["loaded"] > 0) & (slots["start"] >= 0)):
        storage, begin, due = slots["storage"][r], slots["start"][r], slots["step"][r]
        if r > layout.storages["first"][storage]:
            service.mode[r] = Mode.RETURN
        copy = max(arrays.copy[storage], 1e-30)
        service.prefetch_ratio[r] = (1 - 1e-9) * (reach[due] - reach[begin]) / copy
    return service


def warm() -> None:
    """Call every kernel of the annealing."""
    tensors = tuple(Tensor(f"t{k}", 64, "activation" if k else "input") for k in range(5))
    ops = tuple(Op(f"op{k}", "Relu", (f"t{k}",), (f"t{k + 1}",)) for k in range(4))
    problem = make_problem(Graph("warm", tensors, ops, ("t4",)), "ethos-u65", objective="latency")
    limits, short = Limits(float("inf")), Anneal(effort=10)
    arrays = make_arrays(problem, limits)
    assert arrays is not None
    best = short.improve(arrays, tuned(arrays, limits, 0.0), limits, 0.0)
    to_plan(Anneal(), problem, limits, arrays, best, Anneal().lower_bound(problem, arrays, limits))
