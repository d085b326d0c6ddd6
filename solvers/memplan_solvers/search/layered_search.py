"""The layer-by-layer search of one subproblem: exact, or a beam whose bound stays true."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from memplan.solver import Budget
from memplan_solvers.common.arrays import Ints
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.children import Layers, Scratch
from memplan_solvers.search.dominance import dominate
from memplan_solvers.search.expand import expand
from memplan_solvers.search.history import Goal, Origins, find_way, origins_of
from memplan_solvers.search.layer import Layer, add_state, find_set, new_layer, restore, state_count
from memplan_solvers.search.least_peak import grown, least_peak
from memplan_solvers.search.remaining_cost import (
    Labels,
    ParetoFrontier,
    Peaks,
    Reached,
    Rules,
    Terms,
    add_set,
    bound_states,
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


SET_FIELDS = ("words", "low", "low_dirty", "live", "live_dirty", "reload", "front", "goal")
"""The fields of a layer that have an entry a set."""


EFFORT = 20_000
"""Evaluations of an op that one look at the peak to come may take."""


CHUNK = 4_096
"""States times ops expanded between two looks at the clock."""


COMPARED = 64
"""Cheapest states of a set with which the others are compared."""


MOST = 3_000_000
"""Children of one layer beyond which the worst are cut."""


class SearchResult(NamedTuple):
    """The best way through a subproblem below the value asked for, and a lower bound on every way.

    order      ops by step (positions in the subproblem), None where nothing better was found
    evictions  (step, storage): what leaves before the op of that step
    complete   whether nothing was cut: then `value`, or the value asked for, is optimal
    states     states expanded
    """

    value: int | None
    bound: int
    order: tuple[int, ...] | None
    evictions: tuple[tuple[int, int], ...]
    complete: bool
    states: int


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
        rules = Rules(
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

    def search(
        self,
        below: int,
        budget: Budget,
        beam: int = MOST,
        layers: list[Layer] | None = None,
        most: int = NONE,
    ) -> SearchResult:
        """A way that costs less than `below`, the best one where nothing is cut; `beam` states of a layer go on.

        The layers, thinned out, are appended to `layers`; after `most` states the search gives up.
        """
        before = self.states
        found = _Pass(self, below, budget, beam, layers, before + most).run()
        budget.report("search", None, 0, self.states - before)
        return found

    def front(self, depth: int, below: int) -> ParetoFrontier:
        """The frontiers at the sets of `depth` ops for what costs less than `below`, empty ones where they are not known."""
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

    def tabulate(self, budget: Budget, most: int = FEW) -> bool:
        """List all sets and table their least peaks, if they are at most `most`; whether they are."""
        sets = list_sets(self.peaks.live, budget, most)
        if sets is None:
            return False
        live = tabulated(self.peaks.live, sets, budget)
        dirty = self.peaks.dirty if self.terms.rules.alike else tabulated(self.peaks.dirty, sets, budget)
        if live is None or dirty is None:
            return False
        self.peaks, self.sets = Peaks(live, dirty), sets
        return True


class _Pass:
    """One pass over the layers."""

    def __init__(
        self, engine: Engine, below: int, budget: Budget, beam: int, layers: list[Layer] | None, most: int
    ) -> None:
        self.layers, self.most = layers, most
        self.engine, self.below, self.budget, self.beam = engine, below, budget, beam
        self.best = below
        self.goal: Goal | None = None
        self.cut: int = NONE  # the least f of what a beam left behind
        self.pruned: int = NONE
        self.history: list[Origins] = []

    def run(self) -> SearchResult:
        engine = self.engine
        n = engine.subproblem.n
        layer, row = engine.new_layer(1, self.best), engine.start()
        number = engine.add_root(layer, engine.front(0, self.below))
        if n == 0 or layer.goal[number]:
            self.best, self.goal = min(0, self.best), Goal(0, -1, -1, row)
            return self.answer(NONE)
        add_state(layer, row, 0, -1, -1, number)
        for depth in range(n):
            self.history.append(origins_of(layer, engine.terms))
            following = self.expand(layer, depth)
            if following is None:  # out of time
                return self.answer(self.open(layer, depth))
            if self.layers is not None:
                self.layers.append(following)
            if state_count(following) == 0:
                break
            if depth == n - 1:
                k = int(np.argmin(following.paid[: state_count(following)]))
                if following.paid[k] < self.best:
                    self.best = int(following.paid[k])
                    self.goal = Goal(
                        n, int(following.parent[k]), int(following.move[k]), following.row[k].copy()
                    )
                break
            layer = following
        return self.answer(NONE)

    def expand(self, layer: Layer, depth: int) -> Layer | None:
        """The next layer, thinned out; None once the time is up."""
        engine = self.engine
        count, front = state_count(layer), engine.front(depth + 1, self.below)
        new = engine.new_layer(max(64, 4 * min(count, self.beam)), self.best)
        start = 0
        while start < count:
            if self.budget.spent() or engine.states > self.most:
                return None
            end = min(count, start + max(1, CHUNK // engine.subproblem.n))
            layers = Layers(layer, new, engine.front(depth, self.below), front)
            stopped = expand(engine.flat, engine.peaks, layers, start, end, engine.terms, engine.scratch)
            totals = new.totals[0]
            if totals["best"] < self.best:
                self.best = int(totals["best"])
                self.goal = Goal(depth + 1, int(totals["parent"]), int(totals["op"]), new.goal_row.copy())
            engine.states += stopped - start
            start = stopped
            if start < end:
                new = self.thinned(new, self.beam, front) if state_count(new) >= MOST else self.larger(new)
            engine.peaks = Peaks(*map(grown, engine.peaks))
        self.pruned = min(self.pruned, int(new.totals["cut"][0]))
        return self.thinned(new, self.beam, front)

    def larger(self, layer: Layer) -> Layer:
        """The same children with more room."""
        return self.copied(layer, np.arange(state_count(layer)), 4 * len(layer.paid))

    def thinned(self, layer: Layer, most: int, front: ParetoFrontier) -> Layer:
        """The children that no other dominates, at most `most` of them, sorted by set and by what was paid."""
        engine = self.engine
        count = state_count(layer)
        order = np.lexsort((np.arange(count), layer.paid[:count], layer.set_of[:count]))
        keep = np.ones(count, np.bool_)
        if "dominate" in engine.rules:
            dominate(engine.flat, layer, order, keep, np.zeros(COMPARED, np.int64), engine.terms)
        order = order[keep[order]]
        f = self.values(layer, order, front)
        alive = f < self.best
        if not alive.all():
            self.pruned = min(self.pruned, int(f[~alive].min()))
            order, f = order[alive], f[alive]
        if len(order) > most:
            live = layer.live[layer.set_of[order]]
            by = np.lexsort((np.arange(len(order)), live, f))  # of equals, who needs the least room
            self.cut = min(self.cut, int(f[by[most]]))
            order = order[np.sort(by[:most])]
        return self.copied(layer, order, max(len(order), 1))

    def values(self, layer: Layer, order: Ints, front: ParetoFrontier) -> Ints:
        """What a way through each of these states pays at least."""
        f = np.zeros(len(order), np.int64)
        bound_states(self.engine.flat, layer, front, order, f, self.engine.terms)
        return f

    def copied(self, layer: Layer, order: Ints, states: int) -> Layer:
        """The children `order` in a layer of their own, with room for `states`."""
        sets = int(layer.totals["sets"][0])
        new = self.engine.new_layer(max(states, sets), self.best)
        new.totals[:] = layer.totals
        new.totals["states"], new.totals["best"] = 0, self.best
        for name in SET_FIELDS:
            getattr(new, name)[:sets] = getattr(layer, name)[:sets]
        restore(new, layer, order)
        return new

    def open(self, layer: Layer, depth: int) -> int:
        """The least f of a layer that was not finished."""
        count = state_count(layer)
        return (
            int(self.values(layer, np.arange(count), self.engine.front(depth, self.below)).min())
            if count
            else NONE
        )

    def answer(self, least_open: int) -> SearchResult:
        """What was found; `least_open` the least f of what is still to be expanded."""
        engine = self.engine
        bound = min(self.best, self.cut, least_open)
        order: tuple[int, ...] | None = None
        evictions: list[tuple[int, int]] = []
        if self.goal is not None:
            order, evictions = find_way(
                engine.subproblem, engine.peaks.live, engine.terms, self.history, self.goal
            )
        value = None if order is None else self.best
        if value is None and bound >= self.best and self.pruned < NONE:
            # Nothing but what was pruned is left; frontiers tell nothing beyond what they were asked for.
            bound = max(bound, min(self.pruned, engine.known) if self.below <= engine.known else self.pruned)
        return SearchResult(value, bound, order, tuple(evictions), bound >= self.best, engine.states)
