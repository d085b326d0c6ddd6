"""`anneal`: annealing over what stays, returns and waits in host, value by value; no policy, any time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memplan.api import make_problem
from memplan.errors import OptionError
from memplan.graph import Graph, Op, Tensor
from memplan.plan import Plan
from memplan.problem import Problem
from memplan.solver import Budget
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.decide import RETURN
from memplan_solvers.latency.draft import (
    LOADED,
    OWNER,
    REACH,
    ROW,
    START,
    STEP,
    make_draft,
    rows_of,
)
from memplan_solvers.latency.follow import seconds_in_full, seconds_of, settle
from memplan_solvers.latency.layout import to_plan, value
from memplan_solvers.latency.msa import Layout, tuned
from memplan_solvers.latency.solver import LatencySolver
from memplan_solvers.latency.timed import UNPLACED, Array, Timed, flatten

SLICE_S, FIRST = 0.05, 200
"""Seconds between two looks at the clock; rounds before the first."""

LOOK, SPREAD = 2000, 8
"""Rounds between two questions where to begin, at least; entries of `Search.choices` per touch, about."""

Focus = Callable[[kernel.Search, float], Array]
"""Weights, float32[k, KINDS], of the kinds of rounds by the touch at which they begin, asked for with the share of the
cooling that is done."""

TAKEN, CHANGED = (0.35, 0.57, 0.08), (0.4, 0.25, 0.21, 0.07, 0.07)
"""How often a round takes out a value ALONE, in a STRIP, AROUND; and changes the SAME, LOAD, WISH + 0, 1, 2 of a touch."""


@dataclass(frozen=True)
class Anneal(LatencySolver):
    """Ruin and recreate from the tuned memory space assignment on, judged by the simulator's model alone.

    effort  rounds per touch of a storage; fewer if the time is up first (the cooling then fits the time)
    hot     temperature at the start, as a share of the latency of an op on average
    cold    and at the end
    """

    name: ClassVar[str] = "anneal"
    summary: ClassVar[str] = (
        "annealing over residencies and prefetches: the best latency without a learnt policy"
    )

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
        """See `Solver.kernels`."""
        return "anneal"

    def search(self, problem: Problem, budget: Budget) -> Plan:
        """The best layout met."""
        timed = flatten(problem, budget)
        if timed is None:
            return self.no_answer(problem, budget, *UNPLACED)
        bound = self.lower_bound(problem, timed, budget)
        start = tuned(timed, budget.share(0.1), bound)
        best = self.improve(timed, start, budget, bound)
        return to_plan(self, problem, budget, timed, best.rows, best.stores, bound=bound)

    def improve(
        self,
        timed: Timed,
        start: Layout,
        budget: Budget,
        bound: float,
        queued: float = 0.0,
        focus: Focus | None = None,
    ) -> Layout:
        """The best layout met from `start` on; `queued`: see `Search`."""
        search = make_search(timed, start, budget.seed, queued)
        total, available = self.effort * len(timed.touch), max(1e-9, budget.remaining_s)
        if not len(search.choices):
            return start
        rounds, done, share, step = min(FIRST, total), 0, 0.0, min(FIRST, total) / max(1, total)
        by_time, begin, often = False, time.monotonic(), max(LOOK, 2 * len(timed.touch))
        while done < total and share < 1.0 and search.seconds[1] > bound and not budget.spent():
            if focus and done % often == 0:
                search = led(timed, search, focus(search, share))
            kernel.run(
                timed,
                search,
                rounds,
                *(self.heat(timed, start, at) for at in (share, min(1.0, share + step))),
            )
            if not done:  # it may have been compiling
                begin, available = time.monotonic(), max(1e-9, budget.remaining_s)
                pace = 1e-4
            else:
                pace = (time.monotonic() - begin) / max(1, done - FIRST + rounds)
                by_time = by_time or pace * total > available
            done += rounds
            share = (time.monotonic() - begin) / available if by_time else done / total
            rounds = max(1, min(int(SLICE_S / max(pace, 1e-9)), total - done, often - done % often))
            step = rounds * pace / available if by_time else rounds / total
            budget.report("anneal", float(search.seconds[1]), bound)
        rows = rows_of(search.best, search.draft)
        found = Layout(rows, search.best_stores, value(timed, rows, len(rows), search.best_stores))
        return min(start, found, key=lambda layout: layout.seconds)

    def heat(self, timed: Timed, start: Layout, share: float) -> float:
        """The temperature in seconds when `share` of the rounds are done."""
        return float(start.seconds / timed.n * self.hot * (self.cold / self.hot) ** share)


def usual(timed: Timed) -> Array:
    """Weights of the kinds of rounds where nobody says: alike for all storages, float32[k, KINDS]."""
    touches = np.diff(timed.touch_row)
    return np.outer(np.repeat(1.0 / np.maximum(touches, 1), touches), np.outer(TAKEN, CHANGED)).astype(
        np.float32
    )


def led(timed: Timed, search: kernel.Search, weight: Array) -> kernel.Search:
    """The annealing, its rounds from now on as float32[k, KINDS] `weight` says."""
    return search._replace(choices=spread(timed, weight.sum(1)), kind=weight)


def spread(timed: Timed, weight: Array) -> Array:
    """Touches of storages that may be placed, int64[c], each about as often as float64[k] `weight` says, at least once."""
    touches = np.flatnonzero(np.repeat(timed.movable, np.diff(timed.touch_row)))
    share = weight[touches] / weight[touches].sum()
    return np.repeat(touches, np.maximum(1, np.round(SPREAD * len(touches) * share).astype(np.int64)))


def make_search(timed: Timed, start: Layout, seed: int, queued: float = 0.0) -> kernel.Search:
    """An annealing that stands at `start`; `queued`: see `Search`."""
    draft = make_draft(timed, start.rows, start.stores)
    seconds = seconds_in_full(timed, draft) if timed.queues == 2 else seconds_of(draft, 0.0)
    settle(draft, True)
    # Wishes and ratios with which the rounds would place the loads where they are.
    wish, ratio = np.zeros(len(timed.touch), np.int8), np.full(len(timed.touch), 1.1)
    reach = draft.track[0, REACH]
    for r in np.flatnonzero(
        draft.slot[: len(timed.touch), LOADED] & (draft.slot[: len(timed.touch), START] >= 0)
    ):
        owner, begin, due = draft.slot[r, [OWNER, START, STEP]]
        if r > draft.storage[owner, ROW]:
            wish[r] = RETURN
        ratio[r] = (1 - 1e-9) * (reach[due] - reach[begin]) / max(timed.copy[owner], 1e-30)
    mixed = (seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) % 2**64 or 1
    weight = usual(timed)
    search = kernel.Search(
        draft=draft,
        wish=wish,
        ratio=ratio,
        queued=queued if timed.queues == 1 else 0.0,
        best=np.zeros((len(draft.slot), 3), np.int64),
        best_stores=np.zeros((len(draft.storage), 2), np.int64),
        seconds=np.array([seconds, seconds]),
        random=np.array([mixed], dtype=np.uint64),
        choices=spread(timed, weight.sum(1)),
        kind=weight,
        tally=np.zeros((2, kernel.STATES, 0, kernel.KINDS)),
        kept=np.zeros((len(draft.slot), 4), np.int64),
    )
    kernel.keep_best(search)
    return search


def warm() -> None:
    """Call every kernel of the annealing."""
    tensors = tuple(Tensor(f"t{k}", 64, "activation" if k else "input") for k in range(5))
    ops = tuple(Op(f"op{k}", "Relu", (f"t{k}",), (f"t{k + 1}",)) for k in range(4))
    problem, _ = make_problem(Graph("warm", tensors, ops, ("t4",)), "ethos-u65", objective="latency")
    budget, short = Budget(float("inf")), Anneal(effort=10)
    timed = flatten(problem, budget)
    assert timed is not None
    best = short.improve(timed, tuned(timed, budget, 0.0), budget, 0.0)
    to_plan(
        Anneal(),
        problem,
        budget,
        timed,
        best.rows,
        best.stores,
        bound=Anneal().lower_bound(problem, timed, budget),
    )
