"""The pieces of one problem, the best way known through each, and what each costs at least."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.problem import Problem
from memplan.solver import Budget
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.residency import Stretch, Walk
from memplan_solvers.search.bounds import windows_bound
from memplan_solvers.search.frontier import Frontiers
from memplan_solvers.search.layered_search import Engine
from memplan_solvers.search.lns import Way, improved
from memplan_solvers.search.piece import NEVER, Piece
from memplan_solvers.search.set_tables import FEW

LARGE = 1_500
"""Ops beyond which a piece is not searched as a whole, but in windows."""

Start = tuple[Walk, Sequence[Sequence[Stretch]]]

BEAM = 30
"""States of a level that go on in the first pass through a piece."""

LOOK = 3_000_000
"""States times ops of a turn from which on it is worth looking ahead and at windows."""

STEPS = 8
"""Shares of the gap that a climb takes one by one."""

POINTS = 1_000_000
"""Pairs that a frontier may have in all."""

SHARE = 10
"""States times ops of a turn for each set of executed ops that is listed."""


class Part:
    """One piece: `way` is the best known, `low` what every way costs, `done` whether these are equal."""

    def __init__(self, piece: Piece, way: Way | None) -> None:
        self.piece, self.way = piece, way
        self.low = 0
        self.done = way is not None and way.value == 0
        self.large = piece.n > LARGE
        self._engine: Engine | None = None
        self._beam = 0  # the widest so far
        self._looked = False
        self._frontiers: Frontiers | None = None
        self._listed = 0  # sets up to which it is known whether there are no more
        self._settled: Way | None = None  # what windows do not improve

    @property
    def below(self) -> int:
        """What a better way costs less than."""
        return NEVER if self.way is None else self.way.value

    @property
    def engine(self) -> Engine:
        """The piece's arrays, made when they are first needed."""
        if self._engine is None:
            self._engine = Engine(self.piece)
        return self._engine

    def turn(self, budget: Budget, effort: int, beam: int, proving: bool) -> bool:
        """Spend about `effort` states times ops on better ways, by a beam of at most `beam`; twice that a step on the bound.

        False where there is no way through.
        """
        wide = min(beam, max(BEAM, effort // max(self.piece.n, 1) ** 2))
        if not self.large and wide > self._beam:
            self._beam = wide
            if not self.search(budget, wide):
                return False
        if effort >= LOOK and not self.done:
            if proving and not self._looked and self._frontiers is None:
                self._looked = True
                order: Sequence[int] = range(self.piece.n) if self.way is None else self.way.order
                self.learn(windows_bound(self.piece, order, budget.share(0.2)))
            self.improve(budget.share(1 if self.large else 0.4))
        if proving:
            self.climb(budget, 2 * effort)
        return True

    def exhausted(self, beam: int) -> bool:
        """Whether further turns with this beam do nothing new."""
        stuck = self.way is self._settled if self.large else self._beam >= beam
        return self.done or stuck

    def search(self, budget: Budget, beam: int) -> bool:
        """One pass over the levels; False where there is no way through."""
        found = self.engine.search(self.below, budget, beam)
        if found.order is not None:
            self.way = Way(self.piece, found.order, found.evictions)
        self.learn(found.bound)
        return not (found.complete and self.way is None)

    def climb(self, budget: Budget, effort: int) -> None:
        """Raise the lower bound: what costs little more than it is either found, and then the best, or proved not to exist.

        Far below the optimum few states cost so little. `effort` is states times ops, for every step up.
        """
        while self.way is not None and not (self.done or budget.spent() or self.large):
            limit = self.low + max(1, (self.below - self.low) // STEPS)
            self.look(limit, budget, effort)
            if self.low >= limit:
                continue
            found = self.engine.search(limit, budget, most=effort // max(self.piece.n, 1))
            if found.order is not None:
                self.way = Way(self.piece, found.order, found.evictions)
            self.learn(found.bound)
            if not found.complete:
                break

    def look(self, below: int, budget: Budget, effort: int) -> None:
        """Loads and stores alone, for what costs less than `below`, where the sets are few and the pairs at most `effort`."""
        few = min(FEW, effort // SHARE)
        if self._frontiers is None and few > self._listed:
            self._listed = few
            if self.engine.tabulate(budget, few):
                self._frontiers = Frontiers(self.engine)
        if self._frontiers is not None:
            self.learn(self._frontiers.look(below, budget, min(POINTS, effort)))

    def improve(self, budget: Budget) -> None:
        """Windows of the best way solved again, unless that was done."""
        if self.way is not None and self.way is not self._settled:
            self.way = improved(self.way, budget, self.low)
            self.learn(self.low)
            if not budget.spent():
                self._settled = self.way

    def learn(self, bound: int) -> None:
        """Note a lower bound on every way."""
        self.low = min(max(self.low, bound), self.below)
        self.done = self.low >= self.below


class Parts:
    """All pieces, in the order of time; `start` is an order with its stretches of presence to begin with."""

    def __init__(self, pieces: Sequence[Piece], problem: Problem, start: Start | None) -> None:
        self.problem = problem
        ways = [None] * len(pieces) if start is None else _ways(pieces, problem, *start)
        self.parts = [Part(piece, way) for piece, way in zip(pieces, ways, strict=True)]

    @property
    def value(self) -> int | None:
        """Traffic of the best ways through all pieces, addresses unseen."""
        total = int(self.problem.free_bound)
        for part in self.parts:
            if part.way is None:
                return None
            total += part.way.value
        return total

    def answer(self) -> tuple[Walk, list[list[Stretch]]]:
        """The best ways as an order and stretches of presence; there must be one through every piece."""
        order: list[int] = []
        leaves: dict[int, list[int]] = {}
        for part in self.parts:
            assert part.way is not None
            for t, s in part.way.evictions:
                leaves.setdefault(part.piece.storages[s], []).append(len(order) + t)
            order += [part.piece.ops[i] for i in part.way.order]
        walk = Walk(self.problem, tuple(order))
        gaps = Gaps(walk, self.problem.capacity or 0)
        kept = [not any(g.before < t <= g.after for t in leaves.get(g.storage, ())) for g in gaps.gaps]
        return walk, gaps.stretches(kept)


def _ways(
    pieces: Sequence[Piece], problem: Problem, walk: Walk, stretches: Sequence[Sequence[Stretch]]
) -> list[Way | None]:
    """A plan, piece by piece: every order passes the cuts, so each piece has its own steps."""
    gaps = Gaps(walk, problem.capacity or 0)
    dropped = [g for g, kept in zip(gaps.gaps, gaps.choice(stretches), strict=True) if not kept]
    ways: list[Way | None] = []
    begin = 0
    for piece in pieces:
        position = {i: k for k, i in enumerate(piece.ops)}
        number = {s: k for k, s in enumerate(piece.storages)}
        stop = begin + piece.n
        order = tuple(position[i] for i in walk.order[begin:stop])
        leaves = [
            (max(g.before + 1 - begin, 0), number[g.storage])
            for g in dropped
            if begin <= g.after < stop and g.storage in number
        ]
        ways.append(Way(piece, order, tuple(leaves)))
        begin = stop
    return ways
