"""The layer-by-layer search of one subproblem: exact, or a beam whose bound stays true."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Ints
from memplan_solvers.search.children import Layers
from memplan_solvers.search.dominance import dominate
from memplan_solvers.search.engine import Engine
from memplan_solvers.search.expand import expand
from memplan_solvers.search.history import Goal, Origins, find_way, origins_of
from memplan_solvers.search.layer import Layer, add_state, restore, state_count
from memplan_solvers.search.least_peak import grown
from memplan_solvers.search.remaining_cost import ParetoFrontier, Peaks, bound_states
from memplan_solvers.search.state import NONE

SET_FIELDS = ("words", "low", "low_dirty", "live", "live_dirty", "reload", "front", "goal")
"""The fields of a layer that have an entry a set."""

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


def search_layers(
    engine: Engine,
    below: int,
    limits: Limits,
    beam: int = MOST,
    layers: list[Layer] | None = None,
    most: int = NONE,
) -> SearchResult:
    """A way that costs less than `below`, the best one where nothing is cut; `beam` states of a layer go on.

    The layers, thinned out, are appended to `layers`; after `most` states the search gives up.
    """
    before = engine.states
    found = _Pass(engine, below, limits, beam, layers, before + most).run()
    limits.report("search", None, 0, engine.states - before)
    return found


class _Pass:
    """One pass over the layers."""

    def __init__(
        self, engine: Engine, below: int, limits: Limits, beam: int, layers: list[Layer] | None, most: int
    ) -> None:
        self.layers, self.most = layers, most
        self.engine, self.below, self.limits, self.beam = engine, below, limits, beam
        self.best = below
        self.goal: Goal | None = None
        self.cut: int = NONE  # the least f of what a beam or a walk left behind
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
            if self.limits.spent() or engine.states > self.most:
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
        self.cut = min(self.cut, int(new.totals["skipped"][0]))
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
