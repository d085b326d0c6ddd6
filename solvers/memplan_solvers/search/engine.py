"""What the searches of one subproblem have in common: its arrays, the rules, and the bounds that are known of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Ints
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.children import Scratch
from memplan_solvers.search.layer import Layer, find_set, new_layer
from memplan_solvers.search.least_peak import least_peak
from memplan_solvers.search.remaining_cost import (
    Labels,
    ParetoFrontier,
    Peaks,
    Reached,
    SearchRules,
    Terms,
    add_set,
    scaled,
)
from memplan_solvers.search.set_tables import FEW, list_sets, tabulated
from memplan_solvers.search.state import NONE, bit, subproblem_arrays, words_of
from memplan_solvers.search.subproblem import Subproblem
from memplan_solvers.search.subsets import new_leavers

RULES = frozenset({"minimal", "farther", "free", "stores", "loads", "goal", "dominate"})
"""What makes the search small; each may be left out without changing an optimum (the tests do).

minimal   only inclusion-minimal sets leave: what else could leave now may leave later at the same price
farther   u leaves before v where u is at least as large, costs no more, is needed no earlier (each op that still needs u is,
          or descends from, one that needs v), and v is clean or is needed only once more
free      a ready op that fits, with its operands present, runs at once if nothing new stays after it, or if what dies with
          it, counting only what is at least as large as the new storage, costs as much to evict as that
stores    at the peak still to come, what exceeds the capacity must have been stored
loads     and must be loaded again
goal      a set from which some order needs no spill ends the search: nothing more is paid
dominate  of two states with the same ops executed, one that turns into the other by evictions and stores and has paid no
          more, these included, replaces it
"""

NAMES = ("minimal", "farther", "free", "stores", "loads", "goal")

EFFORT = 20_000
"""Evaluations of an op that one look at the peak to come may take."""


@dataclass
class Engine:
    """A subproblem's arrays, kept between searches with different beams."""

    subproblem: Subproblem
    rules: frozenset[str] = RULES
    effort: int = EFFORT
    states: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        subproblem = self.subproblem
        n, m = subproblem.n, len(subproblem.size)
        self.W, self.V = words_of(n), words_of(m)
        self.flat = subproblem_arrays(subproblem)
        entries = 1 << min(18, max(10, n))
        self.peaks = Peaks(least_peak(subproblem.live, entries), least_peak(subproblem.dirty, entries))
        rules = SearchRules(
            **{name: name in self.rules for name in NAMES}, alike=subproblem.dirty == subproblem.live
        )
        self.terms = Terms(subproblem.usable_capacity, subproblem.rate, self.effort, self.W, self.V, rules)
        self.fronts: list[ParetoFrontier] = []
        self.known: int = 0  # below which cost the frontiers hold
        self.sets: list[Ints] = []
        none = np.zeros(0, np.int64)
        unknown = Labels(none, none, np.zeros((0, self.V), np.int64), none)
        self.no_front = ParetoFrontier(
            np.zeros((0, self.W), np.int64), np.zeros(0, np.int32), unknown, unknown
        )
        self.scratch = Scratch(
            ready=np.zeros(n, np.int64),
            present=np.zeros(m, np.int64),
            leavers=new_leavers(m),
            before=np.zeros((m, m), np.bool_),
            covered=np.zeros(self.W, np.int64),
            base=np.zeros(self.W + 2 * self.V, np.int64),
            row=np.zeros(self.W + 2 * self.V, np.int64),
        )

    def front(self, depth: int, below: int) -> ParetoFrontier:
        """The frontiers at the sets of `depth` ops for what costs less than `below`, empty ones where they
        are not known.
        """
        return self.fronts[depth] if self.fronts and below <= self.known else self.no_front

    def root(self) -> tuple[int, int]:
        """Lower bounds on all loads and on all stores of the subproblem."""
        subproblem = self.subproblem
        layer = self.new_layer(1, NONE)
        self.add_root(layer, self.no_front)
        held = sum(z for z, there in zip(subproblem.size, subproblem.inside, strict=True) if there)
        safe = (
            there and not clean and bool(price)
            for there, clean, price in zip(subproblem.inside, subproblem.clean, subproblem.store, strict=True)
        )
        unsafe = sum(z for z, there in zip(subproblem.size, safe, strict=True) if there)
        loads = scaled(
            int(layer.low[0]) - subproblem.usable_capacity - (int(layer.live[0]) - held), subproblem.rate
        )
        stores = scaled(
            int(layer.low_dirty[0]) - subproblem.usable_capacity - (int(layer.live_dirty[0]) - unsafe),
            subproblem.rate,
        )
        return int(loads), int(stores)

    def new_layer(self, states: int, best: int) -> Layer:
        """An empty layer with room for `states` states, whose ways pay less than `best`."""
        return new_layer(self.subproblem.n, len(self.subproblem.size), states, best)

    def add_root(self, layer: Layer, frontier: ParetoFrontier) -> int:
        """Number the first state's set in an empty layer, with bounds that are worth ten times the effort."""
        done = self.start()[: self.W]
        for search in self.peaks:
            settle(search.model, search.executed, done)
        terms = self.terms._replace(effort=10 * self.effort)
        _, slot = find_set(layer, done)
        return int(add_set(self.flat, self.peaks, layer, frontier, done, slot, Reached(-1, 0, 0), terms))

    def start(self) -> Ints:
        """The row of the first state."""
        subproblem, W, V = self.subproblem, self.W, self.V
        row = np.zeros(W + 2 * V, np.int64)
        for s, there in enumerate(subproblem.inside):
            if there:
                row[W + (s >> 6)] |= bit(s)
                if subproblem.clean[s] and subproblem.store[s]:
                    row[W + V + (s >> 6)] |= bit(s)
        return row

    def tabulate(self, limits: Limits, most: int = FEW) -> bool:
        """List all sets and table their least peaks, if they are at most `most`; whether they are."""
        sets = list_sets(self.peaks.live, limits, most)
        if sets is None:
            return False
        live = tabulated(self.peaks.live, sets, limits)
        dirty = self.peaks.dirty if self.terms.rules.alike else tabulated(self.peaks.dirty, sets, limits)
        if live is None or dirty is None:
            return False
        self.peaks, self.sets = Peaks(live, dirty), sets
        return True
