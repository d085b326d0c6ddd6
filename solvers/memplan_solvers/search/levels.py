"""The level-by-level search of one piece: exact, or a beam whose bound stays true."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from memplan.solver import Budget
from memplan_solvers.peak.descent import Outcome
from memplan_solvers.peak.executed import integers, rows, settle
from memplan_solvers.search import expand as ex
from memplan_solvers.search import level as lv
from memplan_solvers.search.kernel import NONE, Flat
from memplan_solvers.search.least_peak import grown, keeps_within, least_peak
from memplan_solvers.search.piece import Piece
from memplan_solvers.search.set_tables import FEW, list_sets, tabulated

RULES = frozenset({"minimal", "belady", "free", "stores", "loads", "goal", "dominate"})
"""What makes the search small; each may be left out without changing an optimum (the tests do).

minimal   only inclusion-minimal sets leave: what else could leave now may leave later at the same price
belady    u leaves before v where u is at least as large, costs no more, is needed no earlier (each op that still needs u is,
          or descends from, one that needs v), and v is clean or is needed only once more
free      a ready op that fits, with its operands present, runs at once if nothing new stays after it, or if what dies with
          it, counting only what is at least as large as the new storage, costs as much to evict as that
stores    at the peak still to come, what exceeds the capacity must have been stored
loads     and must be loaded again
goal      a set from which some order needs no spill ends the search: nothing more is paid
dominate  of two states with the same ops executed, one that turns into the other by evictions and stores and has paid no
          more, these included, replaces it
"""

NAMES = ("minimal", "belady", "free", "stores", "loads", "goal")

EFFORT = 20_000
"""Evaluations of an op that one look at the peak to come may take."""

CHUNK = 4_096
"""States times ops expanded between two looks at the clock."""

COMPARED = 64
"""Cheapest states of a set with which the others are compared."""

MOST = 3_000_000
"""Children of one level beyond which the worst are cut."""


class Found(NamedTuple):
    """The best way through a piece below the value asked for, and a lower bound on every way.

    order      ops by step (positions in the piece), None where nothing better was found
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
    """A piece's arrays, kept between searches with different beams."""

    piece: Piece
    rules: frozenset[str] = RULES
    effort: int = EFFORT
    states: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        piece = self.piece
        n, m = piece.n, len(piece.size)
        self.W, self.V = max(1, -(-n // 64)), max(1, -(-m // 64))
        over = [piece.over.get(i, (0, ())) for i in range(n)]
        touchers = np.zeros((m, self.W), np.int64)
        for s, ops in enumerate(piece.touches):
            for i in ops:
                touchers[s, i >> 6] |= bit(i)
        below = np.zeros((n, self.W), np.int64)
        for i in reversed(range(n)):
            below[i, i >> 6] |= bit(i)
            for j in piece.succs[i]:
                below[i] |= below[j]
        self.flat = Flat(
            *rows(piece.touched),
            *rows(piece.succs),
            *rows(piece.preds),
            *rows([x for _, x in over]),
            integers(z for z, _ in over),
            integers(piece.extra),
            integers(piece.size),
            integers(piece.reload),
            integers(piece.store),
            np.array(piece.begun, np.bool_),
            np.array(piece.closing, np.bool_),
            *rows(piece.touches),
            touchers,
            below,
        )
        entries = 1 << min(18, max(10, n))
        self.live, self.dirty = least_peak(piece.live, entries), least_peak(piece.dirty, entries)
        alike = piece.dirty == piece.live
        self.words = np.array([*(name in self.rules for name in NAMES), alike], np.bool_)
        self.fronts: list[lv.Front] = []
        self.known: int = 0  # below which cost the frontiers hold
        self.sets: list[Any] = []
        none = np.zeros(0, np.int64)
        unknown = lv.Points(none, none, np.zeros((0, self.V), np.int64), none)
        self.no_front = lv.Front(np.zeros((0, self.W), np.int64), np.zeros(0, np.int32), unknown, unknown)
        size = max(n, m, 1)
        self.scratch = np.zeros((5, size), np.int64)
        self.before = np.zeros((m, m), np.bool_)

    def search(
        self,
        below: int,
        budget: Budget,
        beam: int = MOST,
        levels: list[lv.Level] | None = None,
        most: int = NONE,
    ) -> Found:
        """A way that costs less than `below`, the best one where nothing is cut; `beam` states of a level go on.

        The levels, thinned out, are appended to `levels`; after `most` states the search gives up.
        """
        before = self.states
        found = _Run(self, below, budget, beam, levels, before + most).run()
        budget.report("search", None, 0, self.states - before)
        return found

    def front(self, depth: int, below: int) -> lv.Front:
        """The frontiers at the sets of `depth` ops for what costs less than `below`, empty ones where they are not known."""
        return self.fronts[depth] if self.fronts and below <= self.known else self.no_front

    def root(self) -> tuple[int, int]:
        """Lower bounds on all loads and on all stores of the piece."""
        piece = self.piece
        level = new_level(piece.n, self.W + 2 * self.V, self.W, 1, NONE)
        row = self.start()
        settle(self.live.model, self.live.executed, row[: self.W])
        settle(self.dirty.model, self.dirty.executed, row[: self.W])
        lv.add_set(
            self.flat,
            level,
            self.no_front,
            row[: self.W],
            self.W,
            0,
            -1,
            self.live,
            self.dirty,
            0,
            0,
            piece.room,
            10 * self.effort,
            self.words,
        )
        held = sum(z for z, there in zip(piece.size, piece.inside, strict=True) if there)
        safe = (
            there and not clean and bool(price)
            for there, clean, price in zip(piece.inside, piece.clean, piece.store, strict=True)
        )
        unsafe = sum(z for z, there in zip(piece.size, safe, strict=True) if there)
        loads = lv.scaled(int(level.low[0]) - piece.room - (int(level.live[0]) - held), piece.rate)
        stores = lv.scaled(
            int(level.low_dirty[0]) - piece.room - (int(level.live_dirty[0]) - unsafe), piece.rate
        )
        return int(loads), int(stores)

    def start(self) -> Any:
        """The row of the first state."""
        piece, W, V = self.piece, self.W, self.V
        row = np.zeros(W + 2 * V, np.int64)
        for s, there in enumerate(piece.inside):
            if there:
                row[W + (s >> 6)] |= bit(s)
                if piece.clean[s] and piece.store[s]:
                    row[W + V + (s >> 6)] |= bit(s)
        return row

    def tabulate(self, budget: Budget, most: int = FEW) -> bool:
        """List all sets and table their least peaks, if they are at most `most`; whether they are."""
        sets = list_sets(self.live, budget, most)
        if sets is None:
            return False
        live = tabulated(self.live, sets, budget)
        dirty = self.dirty if self.words[lv.ALIKE] else tabulated(self.dirty, sets, budget)
        if live is None or dirty is None:
            return False
        self.live, self.dirty, self.sets = live, dirty, sets
        return True


def bit(i: int) -> Any:
    """Bit i of its word."""
    return np.array(1 << (i & 63), np.uint64).astype(np.int64)


def new_level(n: int, width: int, W: int, states: int, best: int) -> lv.Level:
    """An empty level with room for `states` children; of these many sets at most as many are distinct."""
    made = np.zeros(6, np.int64)
    made[lv.BEST], made[lv.CUT] = best, NONE
    sets = states + n + 1
    return lv.Level(
        np.zeros((states, width), np.int64),
        np.zeros(states, np.int64),
        np.zeros(states, np.int32),
        np.zeros(states, np.int32),
        np.zeros(states, np.int64),
        np.zeros((sets, W), np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros(sets, np.bool_),
        _slots(states),
        _slots(sets),
        made,
        np.zeros(width, np.int64),
    )


def _slots(entries: int) -> Any:
    return np.full(1 << max(4, (2 * entries - 1).bit_length()), -1, np.int32)


class _Goal(NamedTuple):
    level: int
    parent: int
    move: int
    row: Any


class _Run:
    """One pass over the levels."""

    def __init__(
        self, engine: Engine, below: int, budget: Budget, beam: int, levels: list[lv.Level] | None, most: int
    ) -> None:
        self.levels, self.most = levels, most
        self.engine, self.below, self.budget, self.beam = engine, below, budget, beam
        self.best = below
        self.goal: _Goal | None = None
        self.cut: int = NONE  # the least f of what a beam left behind
        self.pruned: int = NONE
        self.history: list[tuple[Any, Any, Any]] = []

    def run(self) -> Found:
        engine = self.engine
        piece, W, V = engine.piece, engine.W, engine.V
        n = piece.n
        level = new_level(n, W + 2 * V, W, 1, self.best)
        row = engine.start()
        settle(engine.live.model, engine.live.executed, row[:W])
        settle(engine.dirty.model, engine.dirty.executed, row[:W])
        number, slot = lv.find_set(level, row[:W], W)
        number = lv.add_set(
            engine.flat,
            level,
            engine.front(0, self.below),
            row[:W],
            W,
            slot,
            -1,
            engine.live,
            engine.dirty,
            0,
            0,
            piece.room,
            10 * engine.effort,
            engine.words,
        )
        if n == 0 or level.goal[number]:
            self.best, self.goal = min(0, self.best), _Goal(0, -1, -1, row)
            return self.answer(NONE)
        lv.add_state(level, row, 0, -1, -1, number)
        for depth in range(n):
            self.history.append(
                (
                    level.parent[: _count(level)].copy(),
                    level.move[: _count(level)].copy(),
                    level.row[: _count(level), W : W + V].copy(),
                )
            )
            following = self.expand(level, depth)
            if following is None:  # out of time
                return self.answer(self.open(level, depth))
            if self.levels is not None:
                self.levels.append(following)
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
            level = following
        return self.answer(NONE)

    def expand(self, level: lv.Level, depth: int) -> lv.Level | None:
        """The next level, thinned out; None once the time is up."""
        engine = self.engine
        piece, W, V = engine.piece, engine.W, engine.V
        count, front = _count(level), engine.front(depth + 1, self.below)
        new = new_level(piece.n, W + 2 * V, W, max(64, 4 * min(count, self.beam)), self.best)
        start = 0
        while start < count:
            if self.budget.spent() or engine.states > self.most:
                return None
            end = min(count, start + max(1, CHUNK // piece.n))
            stopped = ex.expand(
                engine.flat,
                engine.live,
                engine.dirty,
                engine.front(depth, self.below),
                front,
                level,
                new,
                start,
                end,
                piece.room,
                piece.rate,
                engine.effort,
                engine.words,
                W,
                V,
                engine.scratch,
                engine.before,
            )
            if new.made[lv.BEST] < self.best:
                self.best = int(new.made[lv.BEST])
                self.goal = _Goal(
                    depth + 1, int(new.made[lv.PARENT]), int(new.made[lv.MOVE]), new.goal_row.copy()
                )
            engine.states += stopped - start
            start = stopped
            if start < end:
                new = self.thinned(new, self.beam, front) if _count(new) >= MOST else self.larger(new)
            engine.live, engine.dirty = grown(engine.live), grown(engine.dirty)
        self.pruned = min(self.pruned, int(new.made[lv.CUT]))
        return self.thinned(new, self.beam, front)

    def larger(self, level: lv.Level) -> lv.Level:
        """The same children with more room."""
        return self.copied(level, np.arange(_count(level)), 4 * len(level.paid))

    def thinned(self, level: lv.Level, most: int, front: lv.Front) -> lv.Level:
        """The children that no other dominates, at most `most` of them, sorted by set and by what was paid."""
        engine = self.engine
        W, V = engine.W, engine.V
        count = _count(level)
        order = np.lexsort((np.arange(count), level.paid[:count], level.set_of[:count]))
        keep = np.ones(count, np.bool_)
        if "dominate" in engine.rules:
            ex.dominate(engine.flat, level, order, keep, COMPARED, W, V, np.zeros(COMPARED, np.int64))
        order = order[keep[order]]
        f = self.values(level, order, front)
        alive = f < self.best
        if not alive.all():
            self.pruned = min(self.pruned, int(f[~alive].min()))
            order, f = order[alive], f[alive]
        if len(order) > most:
            live = level.live[level.set_of[order]]
            by = np.lexsort((np.arange(len(order)), live, f))  # of equals, who needs the least room
            self.cut = min(self.cut, int(f[by[most]]))
            order = order[np.sort(by[:most])]
        return self.copied(level, order, max(len(order), 1))

    def values(self, level: lv.Level, order: Any, front: lv.Front) -> Any:
        engine, piece = self.engine, self.engine.piece
        f = np.zeros(len(order), np.int64)
        ex.values(
            engine.flat, level, front, order, f, piece.room, piece.rate, engine.words, engine.W, engine.V
        )
        return f

    def copied(self, level: lv.Level, order: Any, states: int) -> lv.Level:
        """The children `order` in a level of their own, with room for `states`."""
        engine = self.engine
        sets = int(level.made[lv.SETS])
        new = new_level(engine.piece.n, engine.W + 2 * engine.V, engine.W, max(states, sets), self.best)
        new.made[:] = level.made
        new.made[lv.STATES], new.made[lv.BEST] = 0, self.best
        for k in range(5, 13):
            new[k][:sets] = level[k][:sets]
        lv.restore(new, level, order)
        return new

    def open(self, level: lv.Level, depth: int) -> int:
        """The least f of a level that was not finished."""
        count = _count(level)
        return (
            int(self.values(level, np.arange(count), self.engine.front(depth, self.below)).min())
            if count
            else NONE
        )

    def answer(self, least_open: int) -> Found:
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
        return Found(value, bound, order, tuple(evictions), bound >= self.best, engine.states)

    def path(self, goal: _Goal) -> tuple[tuple[int, ...] | None, list[tuple[int, int]]]:
        """The ops from the start to the goal and on to the end, and what leaves on the way."""
        engine, piece = self.engine, self.engine.piece
        W, V = engine.W, engine.V
        moves: list[int] = [goal.move] if goal.level else []
        masks = [goal.row[W : W + V]]
        k = goal.parent
        for depth in range(goal.level - 1, -1, -1):
            parent, move, inside = self.history[depth]
            masks.append(inside[k])
            if depth:
                moves.append(int(move[k]))
            k = int(parent[k])
        moves.reverse()
        masks.reverse()
        evictions = []
        left = [len(ops) for ops in piece.touches]
        for t, i in enumerate(moves):
            for s in piece.touched[i]:
                left[s] -= 1
            for s in range(len(piece.size)):
                there, stays = (bool(int(x[s >> 6]) >> (s & 63) & 1) for x in (masks[t], masks[t + 1]))
                if there and not stays and s not in piece.touched[i]:
                    evictions.append((t, s))
        if len(moves) < piece.n:
            settle(engine.live.model, engine.live.executed, goal.row[:W])
            root = len(moves)
            rules = engine.live.rules._replace(known=False)  # its order is wanted
            outcome, _ = keeps_within(engine.live._replace(rules=rules), piece.room, 100_000_000)
            if outcome != Outcome.FOUND:
                return None, []
            moves += [int(i) for i in engine.live.executed.trail[root : piece.n]]
        return tuple(moves), evictions


def _count(level: lv.Level) -> int:
    return int(level.made[lv.STATES])
