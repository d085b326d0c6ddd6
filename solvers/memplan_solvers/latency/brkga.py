"""`brkga`: a biased random-key genetic algorithm over the order in which memory space assignment takes values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memplan.base.errors import OptionError
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats
from memplan_solvers.latency.arrays import UNPLACED, LatencyArrays, make_arrays
from memplan_solvers.latency.layout import Layout, to_plan
from memplan_solvers.latency.msa import XLA, all_host_elapsed, run_msa, value_order
from memplan_solvers.latency.solver import LatencySolver


@dataclass(frozen=True)
class Brkga(LatencySolver):
    """Random keys, one a value, sorted into an order; after Goncalves and Resende (2011).

    population   individuals a generation; the first is the baseline's own order
    elite        share that survives; every child has an elite parent, and each key from it with `bias`
    mutants      share drawn anew
    bias         chance of a key to come from the elite parent
    patience     generations without an improvement after which it stops
    """

    name: ClassVar[str] = "brkga"
    summary: ClassVar[str] = "an evolutionary search over the value order of memory space assignment"

    population: int = 40
    elite: float = 0.2
    mutants: float = 0.15
    bias: float = 0.7
    patience: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population < 4 or self.patience < 1:
            raise OptionError("solver 'brkga': too small", "population is at least 4, patience at least 1")
        if not (0 < self.elite < 1 and 0 <= self.mutants < 1 - self.elite and 0 <= self.bias <= 1):
            raise OptionError(
                "solver 'brkga': elite, mutants and bias are shares", "elite + mutants stay below 1"
            )

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The best layout of any individual."""
        arrays = make_arrays(problem, limits)
        if arrays is None:
            return self.no_answer(problem, limits, *UNPLACED)
        bound = self.lower_bound(problem, arrays, limits)
        return to_plan(self, problem, limits, arrays, self._evolve(arrays, limits, bound), bound)

    def _evolve(self, arrays: LatencyArrays, limits: Limits, bound: float) -> Layout:
        """Generations until the time is up, nothing improves, or the bound is met."""
        random, elapsed = np.random.default_rng(limits.seed), all_host_elapsed(arrays)
        order = value_order(arrays)
        best = run_msa(arrays, order, elapsed, XLA, 0)
        keys = random.random((self.population, len(order)))
        keys[0, order] = np.arange(len(order)) / max(1, len(order))
        scores = np.full(self.population, np.inf)
        elites = max(1, int(self.elite * self.population))
        fresh, stale = 0, 0
        while stale < self.patience and best.seconds > bound:
            before = best.seconds
            for k in range(fresh, self.population):
                if limits.spent():
                    return best
                found = run_msa(arrays, np.argsort(keys[k], kind="stable"), elapsed, XLA, 0)
                scores[k] = found.seconds
                best = min(best, found, key=lambda layout: layout.seconds)
            stale = 0 if best.seconds < before else stale + 1
            limits.report("brkga", best.seconds, bound)
            keys, scores = self._next(random, keys, scores, elites)
            fresh = elites
        return best

    def _next(
        self, random: np.random.Generator, keys: Floats, scores: Floats, elites: int
    ) -> tuple[Floats, Floats]:
        """The next generation: elite first, with their scores, then children and mutants without."""
        rank = np.argsort(scores, kind="stable")
        mutants = int(self.mutants * self.population)
        children = self.population - elites - mutants
        mothers = keys[rank[random.integers(elites, size=children)]]
        fathers = keys[rank[random.integers(elites, self.population, size=children)]]
        crossed = np.where(random.random(mothers.shape) < self.bias, mothers, fathers)
        made = np.concatenate((keys[rank[:elites]], crossed, random.random((mutants, keys.shape[1]))))
        kept = np.full(self.population, np.inf)
        kept[:elites] = scores[rank[:elites]]
        return made, kept
