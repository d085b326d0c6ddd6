"""`anneal`: annealing over what stays, returns and waits in host, value by value; no policy, any time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memplan.errors import OptionError
from memplan.plan import Plan
from memplan.problem import Problem
from memplan.solver import Budget, Solver
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.bounds import closed_bound
from memplan_solvers.latency.evaluate import START, STORAGE, latency
from memplan_solvers.latency.layout import to_plan
from memplan_solvers.latency.msa import Layout, tuned
from memplan_solvers.latency.space import add, make_space
from memplan_solvers.latency.timed import UNPLACED, Timed, flatten, stores_of_fixed

SLICE_S = 0.05
"""Seconds between two looks at the clock."""


@dataclass(frozen=True)
class Anneal(Solver):
    """Ruin and recreate from the tuned memory space assignment on, judged by the simulator's model alone.

    effort  rounds per touch of a storage; fewer if the time is up first (the cooling then fits the time)
    hot     temperature at the start, as a share of the latency
    cold    and at the end
    """

    name: ClassVar[str] = "anneal"
    summary: ClassVar[str] = "annealing over residencies and prefetches: the best latency without a learnt policy"
    objectives: ClassVar[frozenset[str]] = frozenset({"latency"})

    effort: int = 3000
    hot: float = 1e-3
    cold: float = 1e-6

    def __post_init__(self) -> None:
        if self.effort < 0:
            raise OptionError(f"solver 'anneal': effort = {self.effort}", "it is at least 0")
        if not 0 < self.cold <= self.hot:
            raise OptionError(f"solver 'anneal': hot = {self.hot}, cold = {self.cold}", "0 < cold <= hot")

    def solve(self, problem: Problem, budget: Budget) -> Plan:
        """The best layout met."""
        timed = flatten(problem, budget)
        if timed is None:
            return self.no_answer(problem, budget, *UNPLACED)
        bound = closed_bound(problem, timed)
        start = tuned(timed, budget.share(0.1), bound)
        best = self.improve(timed, start, budget, bound)
        return to_plan(self, problem, budget, timed, best.rows, best.stores, bound=bound)

    def improve(self, timed: Timed, start: Layout, budget: Budget, bound: float) -> Layout:
        """The best layout met from `start` on."""
        search = make_search(timed, start, budget.seed)
        total = self.effort * len(timed.touch)
        if not len(search.choices) or start.seconds <= bound:
            return start
        done, pace, share = 0, 0.0, 0.0
        rounds, by_time, begin = 200, False, time.monotonic()
        while share < 1.0 and not budget.spent() and search.seconds[1] > bound:
            ahead = min(1.0, share + (rounds * pace / budget.time_limit_s if by_time else rounds / max(1, total)))
            before = time.monotonic()
            kernel.run(timed, search, rounds, self._heat(start, share), self._heat(start, ahead))
            now = time.monotonic()
            done += rounds
            if done > rounds:  # the first slice may have been compiling
                pace = (now - before) / rounds
                by_time = by_time or pace * (total - done) > budget.remaining_s
                rounds = max(1, int(SLICE_S / pace))
            rounds = max(1, min(rounds, total - done))
            share = done / total if not by_time else max(share, 1.0 - budget.remaining_s / max(1e-9, budget.seconds + budget.remaining_s - (begin - budget.started)))
            budget.report("anneal", float(search.seconds[1]), bound)
            if done >= total:
                break
        count = int(search.best_count[0])
        return Layout(search.best_rows[:count].copy(), search.best_stores.copy(), float(search.seconds[1]))

    def _heat(self, start: Layout, share: float) -> float:
        """The temperature in seconds when `share` of the rounds are done."""
        return float(start.seconds * self.hot * (self.cold / self.hot) ** share)


def make_search(timed: Timed, start: Layout, seed: int) -> kernel.Search:
    """An annealing that stands at `start`."""
    space, room = make_space(timed), len(timed.touch) + len(timed.size) + 1
    wish, ratio = np.zeros(len(timed.touch), np.int8), np.full(len(timed.touch), 1.1)
    for s, begin, stop, offset in start.rows.tolist():
        if timed.fixed[s] < 0:
            add(timed, space, s, begin, stop, offset)
            first = timed.touch_row[s] + int(np.searchsorted(_touches(timed, s), begin))
            if begin != timed.producer[s] and first > timed.touch_row[s]:
                wish[first] = kernel.RETURN
    reach = np.zeros(timed.n + 1)
    seconds = latency(timed, space.rows, space.count[0], start.stores, reach)
    mixed = (seed * 0x9E3779B97F4A7C15 + 0xD1B54A32D192ED03) % 2**64 or 1
    search = kernel.Search(
        space=space,
        stores=start.stores.copy(),
        reach=reach,
        wish=wish,
        ratio=ratio,
        best_rows=np.zeros((room, 4), np.int64),
        best_count=np.zeros(1, np.int64),
        best_stores=start.stores.copy(),
        seconds=np.array([seconds, seconds]),
        random=np.array([mixed], dtype=np.uint64),
        choices=np.flatnonzero(timed.movable),
        kept=np.zeros((room, 4), np.int64),
    )
    kernel.keep_best(search)
    return search


def _touches(timed: Timed, s: int) -> np.ndarray:
    return timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]]
