"""Loads alone and stores alone, backwards: for every set of executed ops, what is worth keeping and what it saves.

Read from its end, a plan drops storages instead of evicting them. Each half of the price is searched exactly with the
other half free, and gives for every set of executed ops the pairs (storages kept, bytes paid from here on) that nothing
beats. What a state pays is at least the sum of the two.

loads   A storage dropped is loaded where it was dropped; it is there again at its next touch. A state with R present loads
        at least min over the pairs of paid + reload(kept - R), less what was charged for those that are gone already.
stores  A storage dropped is one that is stored some day: from there to its first touch it takes room only where it is
        touched. What is never stored stays from its first touch to its last, so at every op these and what the op touches
        fit at once. A state with X present and not stored stores at least min over the pairs of
        paid - store(live - kept) + store(X - kept): of what is live, those of X alone are still to be stored.

Only on deficit is anything dropped, and only inclusion-minimal sets: any plan's own choice, followed backwards, drops a
superset, and whoever keeps more has paid less. For the same reason a pair is beaten by another that pays no more once it
has dropped what it keeps beyond it. In-place pairs count as if they always worked, which is the less strict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memplan.solver import Budget
from memplan_solvers.search import backwards as bw
from memplan_solvers.search import level as lv
from memplan_solvers.search.kernel import NEVER, Flat
from memplan_solvers.search.levels import Engine

CHUNK = 64
"""Sets between two looks at the clock."""


@dataclass
class Half:
    """One half of the price.

    flat     the piece's arrays with `reload` for the price of a drop
    returns  whether what is dropped is back at its next touch
    rate     the least price of a byte dropped
    least    what the whole piece pays of it at least
    known    below which price the pairs are known; points: by number of executed ops, as a state is compared with them
    """

    flat: Flat
    returns: bool
    rate: float
    least: int
    known: int = 0
    points: list[lv.Points] = field(default_factory=list)


class Frontiers:
    """Both halves of an engine's price, known as far as was asked. The engine's sets must be listed (`Engine.tabulate`)."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.levels = [_level(engine.flat, words) for words in engine.sets]
        loads, stores = engine.root()
        self.halves = _loads_alone(engine, loads), _stores_alone(engine, stores)

    def look(self, below: int, budget: Budget, most: int) -> int:
        """Give the engine what it needs to search below this price, at most `most` pairs a half; a bound on every way.

        A half that is too large, or not ready in time, stays unknown. Asking for little first is cheap, and proves a lot.
        """
        loads, stores = self.halves
        for half, other in ((loads, stores), (stores, loads)):
            limit = below - other.least
            if loads.least + stores.least < below and half.known < limit:
                self._know(half, limit, budget, most)
        if loads.least + stores.least >= below:
            return below
        unknown = [self.engine.no_front.loads] * len(self.levels)
        points = [half.points if half.known >= below - other.least else unknown
                  for half, other in ((loads, stores), (stores, loads))]  # fmt: skip
        self.engine.known = below
        self.engine.fronts = [
            lv.Front(level.words, level.slots, a, b) for level, a, b in zip(self.levels, *points, strict=True)
        ]
        return loads.least + stores.least

    def _know(self, half: Half, limit: int, budget: Budget, most: int) -> None:
        found = _frontier(half, self.engine, self.levels, limit, budget, most)
        if found is None:
            return
        half.least = max(half.least, min([limit, *found[0].cost.tolist()]))
        if not half.returns:
            for level, points in zip(self.levels, found, strict=True):
                bw.owed(self.engine.flat, level, points)
        half.known, half.points = limit, [_sorted(points) for points in found]


def _loads_alone(engine: Engine, least: int) -> Half:
    """Stores are free."""
    piece = engine.piece
    return Half(engine.flat._replace(extra=engine.flat.extra - engine.flat.saved), True, piece.rate, least)


def _stores_alone(engine: Engine, least: int) -> Half:
    """Loads are free. What needs no store takes up room at its touches only, what never leaves always."""
    piece = engine.piece
    extra, size, price = (engine.flat.extra - engine.flat.saved), engine.flat.size.copy(), engine.flat.store.copy()
    rate = 1.0
    for s, z in enumerate(piece.size):
        if piece.reload[s] >= NEVER:
            price[s] = NEVER
        elif not price[s] or (piece.begun[s] and (piece.clean[s] or not piece.inside[s])):
            size[s] = price[s] = 0
            for i in piece.touches[s]:
                extra[i] += z
        elif z:
            rate = min(rate, piece.store[s] / z)
    return Half(engine.flat._replace(extra=extra, size=size, reload=price), False, rate, least)


def _frontier(half: Half, engine: Engine, levels: list[bw.Sets], below: int, budget: Budget,
              most: int) -> list[lv.Points] | None:  # fmt: skip
    """Per number of executed ops the pairs that pay less than `below` with what the ops before cost at least."""
    piece, room = engine.piece, engine.piece.room
    peaks = [np.full(len(level.words), NEVER, np.int64) for level in levels]
    peaks[0][:] = 0
    for k in range(piece.n):
        bw.rise(half.flat, levels[k], peaks[k], levels[k + 1], peaks[k + 1])
    zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
    points = [lv.Points(zero, one, levels[-1].live.copy(), np.zeros(1, np.int64))]
    work, total = bw.work_space(1 << 12, engine.V), 1
    for k in range(piece.n - 1, -1, -1):
        level, upper = levels[k], points[-1]
        count = len(level.words)
        made = bw.room_for(count, 4 * len(upper.cost) + 64, engine.V)
        start = 0
        while start < count:
            if budget.spent() or total + int(made.count[0]) > most:
                return None
            stop = min(count, start + CHUNK)
            done = bw.lay(half.flat, level, peaks[k], levels[k + 1], upper, half.returns, room, half.rate, below, start,
                          stop, made, work)  # fmt: skip
            if done < stop:
                work, made = bw.work_space(2 * len(work.cost), engine.V), bw.enlarged(made)
            start = done
        total += int(made.count[0])
        points.append(bw.cut_short(made))
    return points[::-1]


def _level(flat: Flat, words: Any) -> bw.Sets:
    slots = np.full(1 << max(4, (2 * len(words)).bit_length()), -1, np.int32)
    lv.place_sets(words, slots)
    live = np.zeros((len(words), (len(flat.size) + 63) // 64 or 1), np.int64)
    bw.lives(flat, words, live)
    return bw.Sets(words, slots, live)


def _sorted(points: lv.Points) -> lv.Points:
    """Each set's pairs in the order of what they cost."""
    set_of = np.repeat(np.arange(len(points.first)), points.last - points.first)
    order = np.lexsort((points.cost, set_of))
    return points._replace(inside=np.ascontiguousarray(points.inside[order]), cost=points.cost[order])
