"""The layer-by-layer search of one subproblem: exact, or a beam whose bound stays true."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from memplan.solving.solver import Budget
from memplan_solvers.common.arrays import Ints, ShortInts
from memplan_solvers.peak.descent import Outcome
from memplan_solvers.peak.executed import integers, rows, settle
from memplan_solvers.search.expand import Layers, Scratch, bound_states, dominate, expand
from memplan_solvers.search.layer import (
    TOTALS,
    Labels,
    Layer,
    ParetoFrontier,
    Peaks,
    Reached,
    Rules,
    Terms,
    add_set,
    add_state,
    find_set,
    restore,
    scaled,
)
from memplan_solvers.search.least_peak import grown, keeps_within, least_peak
from memplan_solvers.search.set_tables import FEW, list_sets, tabulated
from memplan_solvers.search.state import NONE, SubproblemArrays
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
        self.W, self.V = max(1, -(-n // 64)), max(1, -(-m // 64))
        over = [subproblem.over.get(i, (0, ())) for i in range(n)]
        touchers = np.zeros((m, self.W), np.int64)
        for s, ops in enumerate(subproblem.touches):
            for i in ops:
                touchers[s, i >> 6] |= bit(i)
        below = np.zeros((n, self.W), np.int64)
        for i in reversed(range(n)):
            below[i, i >> 6] |= bit(i)
            for j in subproblem.succs[i]:
                below[i] |= below[j]
        self.flat = SubproblemArrays(
            touched=rows(subproblem.touched),
            succs=rows(subproblem.succs),
            preds=rows(subproblem.preds),
            sources=rows([sources for _, sources in over]),
            saved=integers(saved for saved, _ in over),
            extra=integers(subproblem.extra),
            size=integers(subproblem.size),
            reload=integers(subproblem.reload),
            store=integers(subproblem.store),
            begun=np.array(subproblem.begun, np.bool_),
            closing=np.array(subproblem.closing, np.bool_),
            touchers=rows(subproblem.touches),
            toucher_bits=touchers,
            descendants=below,
        )
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
        layer = new_layer(self, 1, NONE)
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


def bit(i: int) -> Any:
    """Bit i of its word."""
    return np.array(1 << (i & 63), np.uint64).astype(np.int64)


def new_layer(engine: Engine, states: int, best: int) -> Layer:
    """An empty layer that holds `states` states; of these many sets at most as many are distinct."""
    totals = np.zeros(1, TOTALS)
    totals["best"], totals["cut"] = best, NONE
    width, sets = engine.W + 2 * engine.V, states + engine.subproblem.n + 1
    return Layer(
        row=np.zeros((states, width), np.int64),
        paid=np.zeros(states, np.int64),
        parent=np.zeros(states, np.int32),
        move=np.zeros(states, np.int32),
        set_of=np.zeros(states, np.int64),
        words=np.zeros((sets, engine.W), np.int64),
        low=np.zeros(sets, np.int64),
        low_dirty=np.zeros(sets, np.int64),
        live=np.zeros(sets, np.int64),
        live_dirty=np.zeros(sets, np.int64),
        reload=np.zeros(sets, np.int64),
        front=np.zeros(sets, np.int64),
        goal=np.zeros(sets, np.bool_),
        slots=_slots(states),
        set_slots=_slots(sets),
        totals=totals,
        goal_row=np.zeros(width, np.int64),
    )


def _slots(entries: int) -> ShortInts:
    return np.full(1 << max(4, (2 * entries - 1).bit_length()), -1, np.int32)


class _Goal(NamedTuple):
    layer: int
    parent: int
    move: int
    row: Any


class _Pass:
    """One pass over the layers."""

    def __init__(
        self, engine: Engine, below: int, budget: Budget, beam: int, layers: list[Layer] | None, most: int
    ) -> None:
        self.layers, self.most = layers, most
        self.engine, self.below, self.budget, self.beam = engine, below, budget, beam
        self.best = below
        self.goal: _Goal | None = None
        self.cut: int = NONE  # the least f of what a beam left behind
        self.pruned: int = NONE
        self.history: list[tuple[Any, Any, Any]] = []

    def run(self) -> SearchResult:
        engine = self.engine
        subproblem, W, V = engine.subproblem, engine.W, engine.V
        n = subproblem.n
        layer, row = new_layer(engine, 1, self.best), engine.start()
        number = engine.add_root(layer, engine.front(0, self.below))
        if n == 0 or layer.goal[number]:
            self.best, self.goal = min(0, self.best), _Goal(0, -1, -1, row)
            return self.answer(NONE)
        add_state(layer, row, 0, -1, -1, number)
        for depth in range(n):
            self.history.append(
                (
                    layer.parent[: _count(layer)].copy(),
                    layer.move[: _count(layer)].copy(),
                    layer.row[: _count(layer), W : W + V].copy(),
                )
            )
            following = self.expand(layer, depth)
            if following is None:  # out of time
                return self.answer(self.open(layer, depth))
            if self.layers is not None:
                self.layers.append(following)
            if _count(following) == 0:
                break
            if depth == n - 1:
                k = int(np.argmin(following.paid[: _count(following)]))
                if following.paid[k] < self.best:
                    self.best = int(following.paid[k])
                    self.goal = _Goal(
                        n, int(following.parent[k]), int(following.move[k]), following.row[k].copy()
                    )
                break
            layer = following
        return self.answer(NONE)

    def expand(self, layer: Layer, depth: int) -> Layer | None:
        """The next layer, thinned out; None once the time is up."""
        engine = self.engine
        count, front = _count(layer), engine.front(depth + 1, self.below)
        new = new_layer(engine, max(64, 4 * min(count, self.beam)), self.best)
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
                self.goal = _Goal(depth + 1, int(totals["parent"]), int(totals["op"]), new.goal_row.copy())
            engine.states += stopped - start
            start = stopped
            if start < end:
                new = self.thinned(new, self.beam, front) if _count(new) >= MOST else self.larger(new)
            engine.peaks = Peaks(*map(grown, engine.peaks))
        self.pruned = min(self.pruned, int(new.totals["cut"][0]))
        return self.thinned(new, self.beam, front)

    def larger(self, layer: Layer) -> Layer:
        """The same children with more room."""
        return self.copied(layer, np.arange(_count(layer)), 4 * len(layer.paid))

    def thinned(self, layer: Layer, most: int, front: ParetoFrontier) -> Layer:
        """The children that no other dominates, at most `most` of them, sorted by set and by what was paid."""
        engine = self.engine
        count = _count(layer)
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
        new = new_layer(self.engine, max(states, sets), self.best)
        new.totals[:] = layer.totals
        new.totals["states"], new.totals["best"] = 0, self.best
        for name in SET_FIELDS:
            getattr(new, name)[:sets] = getattr(layer, name)[:sets]
        restore(new, layer, order)
        return new

    def open(self, layer: Layer, depth: int) -> int:
        """The least f of a layer that was not finished."""
        count = _count(layer)
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
            order, evictions = self.path(self.goal)
        value = None if order is None else self.best
        if value is None and bound >= self.best and self.pruned < NONE:
            # Nothing but what was pruned is left; frontiers tell nothing beyond what they were asked for.
            bound = max(bound, min(self.pruned, engine.known) if self.below <= engine.known else self.pruned)
        return SearchResult(value, bound, order, tuple(evictions), bound >= self.best, engine.states)

    def path(self, goal: _Goal) -> tuple[tuple[int, ...] | None, list[tuple[int, int]]]:
        """The ops from the start to the goal and on to the end, and what leaves on the way."""
        engine, subproblem = self.engine, self.engine.subproblem
        W, V = engine.W, engine.V
        moves: list[int] = [goal.move] if goal.layer else []
        masks = [goal.row[W : W + V]]
        k = goal.parent
        for depth in range(goal.layer - 1, -1, -1):
            parent, move, inside = self.history[depth]
            masks.append(inside[k])
            if depth:
                moves.append(int(move[k]))
            k = int(parent[k])
        moves.reverse()
        masks.reverse()
        evictions = []
        left = [len(ops) for ops in subproblem.touches]
        for t, i in enumerate(moves):
            for s in subproblem.touched[i]:
                left[s] -= 1
            for s in range(len(subproblem.size)):
                there, stays = (bool(int(x[s >> 6]) >> (s & 63) & 1) for x in (masks[t], masks[t + 1]))
                if there and not stays and s not in subproblem.touched[i]:
                    evictions.append((t, s))
        if len(moves) < subproblem.n:
            live = engine.peaks.live
            settle(live.model, live.executed, goal.row[:W])
            root = len(moves)
            rules = live.rules._replace(known=False)  # its order is wanted
            outcome, _ = keeps_within(live._replace(rules=rules), subproblem.usable_capacity, 100_000_000)
            if outcome != Outcome.FOUND:
                return None, []
            moves += [int(i) for i in live.executed.trail[root : subproblem.n]]
        return tuple(moves), evictions


def _count(layer: Layer) -> int:
    return int(layer.totals["states"][0])
