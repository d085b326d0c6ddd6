"""The subproblems of one problem, the best plan known through each, and what each costs at least."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.residency import Stretch, Walk
from memplan_solvers.search.bounds import windows_bound
from memplan_solvers.search.chain_bound import chain_bound
from memplan_solvers.search.direction import Direction
from memplan_solvers.search.frontier import Frontiers
from memplan_solvers.search.lns import PartialPlan, improve_windows
from memplan_solvers.search.set_tables import FEW
from memplan_solvers.search.subproblem import PROHIBITIVE, Subproblem

MOST_OPS_WHOLE = 1_500
"""Ops beyond which a subproblem is not searched as a whole, but in windows."""

Start = tuple[Walk, Sequence[Sequence[Stretch]]]

BEAM = 30
"""States of a layer that go on in the first pass through a subproblem."""

AHEAD = 3_000_000
"""States times ops of a turn from which on it is worth looking ahead and at windows."""

STEPS = 8
"""Shares of the gap of which the first step of a turn closes one while the bound is raised."""

LABELS = 4_000_000
"""Labels that a frontier may have in all."""

DIVISORS = 1, 16
"""What the effort is divided by for the direction that proved most, and for the other one."""

SHARE = 10
"""States times ops of a turn for each set of executed ops that is listed."""


class Bracket:
    """One subproblem: `plan` is the best known, `low` what every plan costs, `done` whether these are equal."""

    def __init__(self, subproblem: Subproblem, plan: PartialPlan | None) -> None:
        self.subproblem, self.plan = subproblem, plan
        self.low = 0
        self.done = plan is not None and plan.value == 0
        self.large = subproblem.n > MOST_OPS_WHOLE
        self._forwards = Direction(subproblem)
        self._directions = [self._forwards]  # the one that proved most first
        if subproblem.reversible:
            self._directions.append(Direction(subproblem, backwards=True))
        self._beam = 0  # the widest so far
        self._looked_at_chain = self._looked_ahead = False
        self._frontiers: Frontiers | None = None
        self._listed = 0  # sets up to which it is known whether there are no more
        self._settled: PartialPlan | None = None  # what windows do not improve

    @property
    def below(self) -> int:
        """What a better plan costs less than."""
        return PROHIBITIVE if self.plan is None else self.plan.value

    def spend_turn(self, limits: Limits, effort: int, beam: int, proving: bool) -> bool:
        """Spend about `effort` states times ops on better plans, by a beam of at most `beam`; twice that a
        step on the bound.

        False where there is no plan through.
        """
        wide = min(beam, max(BEAM, effort // max(self.subproblem.n, 1) ** 2))
        if not self.large and wide > self._beam:
            self._beam = wide
            if not self.search(limits, wide):
                return False
        if effort >= AHEAD and not self.done:
            if proving and not self._looked_ahead:
                self._looked_ahead = True
                self.look_ahead(limits.share(0.2))
            self.improve(limits.share(1 if self.large else 0.4))
        if proving:
            self.raise_bound(limits, 2 * effort)
        return True

    def exhausted(self, beam: int) -> bool:
        """Whether further turns with this beam do nothing new."""
        stuck = self.plan is self._settled if self.large else self._beam >= beam
        return self.done or stuck

    def look_ahead(self, limits: Limits) -> None:
        """Learn the bounds that need no sets of executed ops."""
        self.learn_chain(limits)
        if not self.done and self._frontiers is None:
            order: Sequence[int] = range(self.subproblem.n) if self.plan is None else self.plan.order
            self.learn(windows_bound(self.subproblem, order, limits))

    def learn_chain(self, limits: Limits) -> None:
        """Learn what one chain of ops lacks, once; of large subproblems it takes too much space."""
        if not (self._looked_at_chain or self.done or self.large):
            self._looked_at_chain = True
            self.learn(chain_bound(self.subproblem, limits))

    def search(self, limits: Limits, beam: int) -> bool:
        """One pass over the layers in each direction; False where there is no plan through."""
        compared = all(direction.proved for direction in self._directions)
        for divisor, direction in zip(DIVISORS, self._directions, strict=False):
            width = beam // divisor if compared else beam
            if width >= min(beam, BEAM) and self._pass(direction, self.below, limits, beam=width):
                return self.plan is not None
        if not compared:
            self._directions.sort(key=lambda direction: -direction.proved)
        return True

    def raise_bound(self, limits: Limits, effort: int) -> None:
        """Raise the lower bound: what costs little more than it is either found, and then the best, or proved
        not to exist.

        Far below the optimum few states cost so little: each step up is longer than the one before, until one fails.
        `effort` is states times ops, for every step up and each direction.
        """
        step = 0
        while self.plan is not None and not (self.done or limits.spent() or self.large):
            step = 2 * step or max(1, (self.below - self.low) // STEPS)
            if not self._reach(min(self.low + step, self.below), limits, effort):
                return

    def _reach(self, limit: int, limits: Limits, effort: int) -> bool:
        """Whether every plan is known to cost `limit` at least, or the best one to be found."""
        most = effort // max(self.subproblem.n, 1)
        self.extend_frontiers(limit, limits, effort)
        if self.low >= limit:
            return True
        if self._forwards.engine.known >= limit:
            self._prefer(self._forwards)
        for divisor, direction in zip(DIVISORS, list(self._directions), strict=False):
            if self._pass(direction, limit, limits, most=most // divisor):
                self._prefer(direction)
                return True
        return False

    def _pass(self, direction: Direction, below: int, limits: Limits, **widths: int) -> bool:
        """Search in one direction for what costs less than `below`; whether nothing was cut."""
        found, plan = direction.search(below, limits, **widths)
        self.plan = plan or self.plan
        self.learn(found.bound)
        return found.complete

    def _prefer(self, direction: Direction) -> None:
        self._directions.sort(key=lambda other: other is not direction)

    def extend_frontiers(self, below: int, limits: Limits, effort: int) -> None:
        """Loads and stores alone, for what costs less than `below`, where the sets are few and the pairs at
        most `effort`.
        """
        few = min(FEW, effort // SHARE)
        if self._frontiers is None and few > self._listed:
            self._listed = few
            if self._forwards.engine.tabulate(limits, few):
                self._frontiers = Frontiers(self._forwards.engine)
        if self._frontiers is not None:
            self.learn(self._frontiers.extend(below, limits, min(LABELS, effort)))

    def improve(self, limits: Limits) -> None:
        """Windows of the best plan solved again, unless that was done."""
        if self.plan is not None and self.plan is not self._settled:
            self.plan = improve_windows(self.plan, limits, self.low)
            self.learn(self.low)
            if not limits.spent():
                self._settled = self.plan

    def learn(self, bound: int) -> None:
        """Note a lower bound on every plan."""
        self.low = min(max(self.low, bound), self.below)
        self.done = self.low >= self.below


class Decomposition:
    """All subproblems, in the order of time; `start` is an order with its stretches of presence to begin with."""

    def __init__(self, subproblems: Sequence[Subproblem], problem: Problem, start: Start | None) -> None:
        self.problem = problem
        plans = [None] * len(subproblems) if start is None else _partial_plans(subproblems, problem, *start)
        self.brackets = [
            Bracket(subproblem, plan) for subproblem, plan in zip(subproblems, plans, strict=True)
        ]

    @property
    def value(self) -> int | None:
        """Traffic of the best plans through all subproblems, addresses unseen."""
        total = int(self.problem.free_bound)
        for bracket in self.brackets:
            if bracket.plan is None:
                return None
            total += bracket.plan.value
        return total

    def adopt(self, other: Decomposition) -> None:
        """Keep the other's plans through the same subproblems where they cost less."""
        for mine, theirs in zip(self.brackets, other.brackets, strict=True):
            if theirs.below < mine.below:
                mine.plan = theirs.plan
                mine.learn(mine.low)

    def answer(self) -> tuple[Walk, list[list[Stretch]]]:
        """The best plans as an order and stretches of presence; there must be one through every subproblem."""
        order: list[int] = []
        leaves: dict[int, list[int]] = {}
        for bracket in self.brackets:
            assert bracket.plan is not None
            for t, s in bracket.plan.evictions:
                leaves.setdefault(bracket.subproblem.storages[s], []).append(len(order) + t)
            order += [bracket.subproblem.ops[i] for i in bracket.plan.order]
        walk = Walk(self.problem, tuple(order))
        gaps = Gaps(walk, self.problem.capacity or 0)
        kept = [not any(g.before < t <= g.after for t in leaves.get(g.storage, ())) for g in gaps.gaps]
        return walk, gaps.stretches(kept)


def _partial_plans(
    subproblems: Sequence[Subproblem], problem: Problem, walk: Walk, stretches: Sequence[Sequence[Stretch]]
) -> list[PartialPlan | None]:
    """A plan, subproblem by subproblem: every order passes the cuts, so each subproblem has its own steps."""
    gaps = Gaps(walk, problem.capacity or 0)
    dropped = [g for g, kept in zip(gaps.gaps, gaps.choice(stretches), strict=True) if not kept]
    plans: list[PartialPlan | None] = []
    begin = 0
    for subproblem in subproblems:
        position = {i: k for k, i in enumerate(subproblem.ops)}
        number = {s: k for k, s in enumerate(subproblem.storages)}
        stop = begin + subproblem.n
        order = tuple(position[i] for i in walk.order[begin:stop])
        leaves = [
            (max(g.before + 1 - begin, 0), number[g.storage])
            for g in dropped
            if begin <= g.after < stop and g.storage in number
        ]
        plans.append(PartialPlan(subproblem, order, tuple(leaves)))
        begin = stop
    return plans
