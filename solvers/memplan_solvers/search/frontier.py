"""Loads alone and stores alone, backwards: for every set of executed ops, what is worth keeping and what it saves.

Read from its end, a plan drops storages instead of evicting them. Each half of the price is searched exactly with the
other half free, and gives for every set of executed ops the pairs (storages kept, bytes paid from here on) that nothing
beats. What a state pays is at least the sum of the two.

loads   A storage dropped is loaded where it was dropped; it is there again at its next touch. A state with R present loads
        at least min over the pairs of paid + reload(kept - R), less what was charged for those that are gone already.
stores  A storage dropped is one that is stored some day: from there to its first touch it takes room only where it is
        touched. What is never stored stays from its first touch to its last, so at every op these and what
        the op touches fit at once. A state with X present and not stored stores at least min over the pairs
        of paid - store(live - kept) + store(X - kept): of what is live, those of X alone are still to be
        stored.

Only on deficit is anything dropped, and only inclusion-minimal sets: any plan's own choice, followed
backwards, drops a superset, and whoever keeps more has paid less. For the same reason a pair is beaten by
another that pays no more once it has dropped what it keeps beyond it. In-place pairs count as if they always
worked, which is the less strict.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Ints
from memplan_solvers.search import backwards as bw
from memplan_solvers.search import backwards_state as tables
from memplan_solvers.search.engine import Engine
from memplan_solvers.search.layer import place_sets
from memplan_solvers.search.remaining_cost import Labels, ParetoFrontier
from memplan_solvers.search.state import SubproblemArrays
from memplan_solvers.search.subproblem import PROHIBITIVE, TINY

CHUNK = 64
"""Sets between two looks at the clock."""


@dataclass
class Half:
    """One half of the price.

    flat     the subproblem's arrays with `reload` for the price of a drop
    returns  whether what is dropped is back at its next touch
    rate     the least price of a byte dropped
    peaks    by number of executed ops, per set: the least peak on the way there
    least    likewise: what a way through that set pays of this half at least, in all
    points   likewise: the pairs, as a state is compared with them; without those on ways that pay `known` or more of both halves
    failed   below which price, with how many pairs, there were too many
    """

    flat: SubproblemArrays
    returns: bool
    rate: float
    peaks: list[Ints]
    least: list[Ints]
    points: list[Labels] = field(default_factory=list)
    known: int = 0
    failed: tuple[int, int] = (PROHIBITIVE, 0)

    @property
    def total(self) -> int:
        """What every way pays of this half at least."""
        return int(self.least[0][0])

    @property
    def pairs(self) -> int:
        """How many pairs are known."""
        return sum(len(points.cost) for points in self.points)


def warm() -> None:
    """Call every kernel of the search's bounds."""
    engine, unlimited = Engine(TINY), Limits(float("inf"))
    engine.tabulate(unlimited)
    Frontiers(engine).extend(100, unlimited, 100)


class Frontiers:
    """Both halves of an engine's price, known as far as was asked. The engine's sets must be listed
    (`Engine.tabulate`).
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.levels = [_level(engine.flat, words) for words in engine.sets]
        loads, stores = engine.root()
        self.halves = self._half(*_loads_alone(engine), loads), self._half(*_stores_alone(engine), stores)

    @property
    def total(self) -> int:
        """What every way pays at least."""
        return sum(half.total for half in self.halves)

    def extend(self, below: int, limits: Limits, most: int) -> int:
        """Give the engine what it needs to search below this price, at most `most` pairs a half; a bound on every way.

        A half that is too large, or not ready in time, stays unknown. Asking for little first is cheap, and
        proves a lot. Each half tells the other how much is left for it, set by set; the smaller one is asked
        first.
        """
        loads, stores = self.halves
        for half in sorted(self.halves, key=lambda half: half.pairs):
            if self.total < below and half.known < below:
                self._know(half, stores if half is loads else loads, below, limits, most)
        if self.total >= below:
            return below
        unknown = [self.engine.no_front.loads] * len(self.levels)
        points = [half.points if half.known >= below else unknown for half in self.halves]
        self.engine.known = below
        self.engine.fronts = [
            ParetoFrontier(level.words, level.slots, a, b)
            for level, a, b in zip(self.levels, *points, strict=True)
        ]
        return self.total

    def _half(self, flat: SubproblemArrays, returns: bool, rate: float, least: int) -> Half:
        peaks = [np.full(len(level.words), PROHIBITIVE, np.int64) for level in self.levels]
        peaks[0][:] = 0
        for k in range(self.engine.subproblem.n):
            bw.raise_peaks(flat, self.levels[k], peaks[k], self.levels[k + 1], peaks[k + 1])
        return Half(
            flat, returns, rate, peaks, [np.full(len(level.words), least, np.int64) for level in self.levels]
        )

    def _know(self, half: Half, other: Half, below: int, limits: Limits, most: int) -> None:
        if half.failed[0] <= below and most <= half.failed[1]:
            return
        found = self._pairs(half, [below - least for least in other.least], limits, most)
        if found is None:
            half.failed = below, most
            return
        if not half.returns:
            for level, points in zip(self.levels, found, strict=True):
                bw.take_off_stored(self.engine.flat, level, points)
        half.known, half.points = below, [_sorted(points) for points in found]

    def _pairs(self, half: Half, price_limits: list[Ints], limits: Limits, most: int) -> list[Labels] | None:
        """By number of executed ops the pairs that pay less than a set's limit with what the ops before cost at least."""
        subproblem, V = self.engine.subproblem, self.engine.V
        start = self.levels[-1].live.copy()
        points = [Labels(np.zeros(1, np.int64), np.ones(1, np.int64), start, np.zeros(1, np.int64))]
        terms = tables.HalfTerms(half.returns, subproblem.usable_capacity, half.rate)
        work, total = tables.work_space(1 << 12, V), 1
        for k in range(subproblem.n - 1, -1, -1):
            level, upper = self.levels[k], points[-1]
            above = tables.Above(self.levels[k + 1], upper)
            bounds = tables.Bounds(half.peaks[k], price_limits[k], half.least[k])
            count = len(level.words)
            made = tables.no_labels(count, 4 * len(upper.cost) + 64, V)
            at = 0
            while at < count:
                if limits.spent() or total + int(made.totals["labels"][0]) > most:
                    return None
                stop = min(count, at + CHUNK)
                at = bw.take_back(
                    half.flat, level, bounds, above, terms, tables.SetRange(at, stop), made, work
                )
                if at < stop:
                    work, made = tables.work_space(2 * len(work.cost), V), tables.enlarged(made)
            total += int(made.totals["labels"][0])
            points.append(tables.cut_short(made))
        return points[::-1]


def _loads_alone(engine: Engine) -> tuple[SubproblemArrays, bool, float]:
    """Stores are free."""
    return engine.flat._replace(extra=engine.flat.extra - engine.flat.saved), True, engine.subproblem.rate


def _stores_alone(engine: Engine) -> tuple[SubproblemArrays, bool, float]:
    """Loads are free. What needs no store takes up room at its touches only, what never leaves always."""
    subproblem = engine.subproblem
    extra, size, price = (
        (engine.flat.extra - engine.flat.saved),
        engine.flat.size.copy(),
        engine.flat.store.copy(),
    )
    rate = 1.0
    for s, z in enumerate(subproblem.size):
        if subproblem.reload[s] >= PROHIBITIVE:
            price[s] = PROHIBITIVE
        elif not price[s] or (subproblem.begun[s] and (subproblem.clean[s] or not subproblem.inside[s])):
            size[s] = price[s] = 0
            for i in subproblem.touches[s]:
                extra[i] += z
        elif z:
            rate = min(rate, subproblem.store[s] / z)
    return engine.flat._replace(extra=extra, size=size, reload=price), False, rate


def _level(flat: SubproblemArrays, words: Ints) -> tables.Sets:
    slots = np.full(1 << max(4, (2 * len(words)).bit_length()), -1, np.int32)
    place_sets(words, slots)
    live = np.zeros((len(words), (len(flat.size) + 63) // 64 or 1), np.int64)
    bw.find_live(flat, words, live)
    return tables.Sets(words, slots, live)


def _sorted(points: Labels) -> Labels:
    """Each set's pairs in the order of what they cost."""
    set_of = np.repeat(np.arange(len(points.first)), points.last - points.first)
    order = np.lexsort((points.cost, set_of))
    return points._replace(inside=np.ascontiguousarray(points.inside[order]), cost=points.cost[order])
