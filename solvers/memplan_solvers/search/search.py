"""`search`: order and replacement at once, by a search over states, with a bound that is true whenever it stops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.base.errors import OptionError
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits, Progress
from memplan_solvers.compiled import load
from memplan_solvers.greedy import Greedy, greedy_start
from memplan_solvers.ilp.fixed_order import (
    MOST_GAPS,
    least_replacement,
    optimize_replacement,
    relaxed_replacement,
)
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.improve import Answer, Improver, better
from memplan_solvers.joins import best_joined
from memplan_solvers.place import place
from memplan_solvers.replace import POLICIES
from memplan_solvers.replace.allocate import allocate_on_demand
from memplan_solvers.replace.evict import evict_on_demand
from memplan_solvers.residency import Stretch, Walk, traffic
from memplan_solvers.search.decomposition import MOST_OPS_WHOLE, Decomposition
from memplan_solvers.search.subproblem import PROHIBITIVE, TINY, is_forced, subproblems

BEAM = 3_000_000
"""States of a level that go on at most."""

EFFORT = 200_000
"""States times ops that each subproblem may take in the first round; every round takes four times as many."""

LONG = 200
"""Ops beyond which a chain of them and the order at hand are looked at before any set of executed ops is."""

SEARCHING = 0.85
"""Share of the time that is left to searching; the rest is for addresses."""

TIGHTER = (0.99, 0.96, 0.92, 0.85)
"""Shares of the capacity searched where what was found has no addresses."""


@dataclass(frozen=True)
class Search(Improver):
    """Level by level over sets of executed ops, present storages and stored storages.

    beam  states of a level that go on at most
    """

    name: ClassVar[str] = "search"
    summary: ClassVar[str] = "order and spills at once, by search over states: beam, exact, and a true bound"
    supports: ClassVar[Capabilities] = Capabilities(("traffic",), join=True)

    beam: int = BEAM

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise OptionError(f"solver 'search': beam = {self.beam}", "at least one state has to go on")

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan found, with a bound for every plan that the options allow."""
        if problem.options.join:
            return self.improve(problem, limits, None)
        return self.improve(problem, limits, greedy_start(problem, limits))

    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """The better of `start` and the best way found, with a bound for every plan."""
        if problem.options.join:
            return best_joined(self, problem, limits, self.solve, self._bounds)
        free = int(problem.free_bound)
        settled = problem.capacity is None or (start is not None and start.value <= free)
        if settled or limits.spent() or not load("search", limits):
            return self.plan_of(problem, limits, start, free, "no plan was found in time")
        return _Solve(self, problem, limits, start).solve()

    def _bounds(self, problem: Problem, limits: Limits) -> Plan:
        """Of a problem that no machine poses the bound, and a plan that is none."""
        start = Greedy().best(problem, limits.share(0.2))
        return self.improve(problem, limits, None if start is None else start.answer)


def warm() -> None:
    """Call every kernel of the search but those of its bounds, see `frontier.py`."""
    from memplan_solvers.peak.met import enlarged
    from memplan_solvers.search.engine import Engine
    from memplan_solvers.search.layered_search import search_layers
    from memplan_solvers.search.least_peak import keeps_within

    engine = Engine(TINY)
    engine.root()
    search_layers(engine, PROHIBITIVE, Limits(float("inf")))
    keeps_within(engine.peaks.live, 0, 0)
    enlarged(engine.peaks.live.met)


class _Solve:
    """One solve: subproblems, passes, addresses."""

    def __init__(self, solver: Search, problem: Problem, limits: Limits, start: Answer | None) -> None:
        self.solver, self.problem, self.told, self.states = solver, problem, limits.progress, 0
        self.limits = replace(limits, progress=limits.progress and self.tell)
        self.best = start
        self.free = self.bound = int(problem.free_bound)

    def solve(self) -> Plan:
        start = None if self.best is None else (self.best.walk, self.best.stretches)
        found = Decomposition(subproblems(self.problem), self.problem, start)
        if self.problem.n > LONG and self.best is not None:
            for bracket in found.brackets:
                bracket.learn_chain(self.limits.share(0.1))
            self.bound = max(self.bound, self.free + sum(bracket.low for bracket in found.brackets))
            if self.problem.n > MOST_OPS_WHOLE or self.best.value < 2 * self.bound:
                found.adopt(self.replaced(found))
        share = SEARCHING if self.problem.n <= MOST_OPS_WHOLE else SEARCHING / 2
        if not self.passes(found, self.limits.share(share), self.solver.beam, proving=True):
            return self.solver.no_answer(
                self.problem, self.limits, Status.INFEASIBLE, "no order can be served"
            )
        self.pack(found)
        why = ""
        if found.value is not None and (self.best is None or found.value < self.best.value):
            why = f"{found.value} bytes of traffic fit by bytes; no addresses were found for them"
            self.repaired(found)
        if self.best is not None and (self.best.value <= self.bound or self.best.value == found.value):
            why = ""
        plan = self.solver.plan_of(
            self.problem, self.limits, self.best, self.bound, why or "no plan was found in time"
        )
        return plan if self.best is None else replace(plan, reason=why)

    def passes(self, found: Decomposition, limits: Limits, beam: int, proving: bool) -> bool:
        """Search every subproblem, harder and harder, the time shared by what they may still win; False where one has no way."""
        effort = EFFORT
        while not all(bracket.exhausted(beam) for bracket in found.brackets):
            before = found.value
            brackets = [bracket for bracket in found.brackets if not bracket.exhausted(beam)]
            for k, bracket in enumerate(brackets):
                most = sum(p.below - p.low for p in brackets[k:])
                share = (bracket.below - bracket.low) / most
                if not bracket.spend_turn(limits.share(share), effort, beam, proving):
                    return False
                if proving:
                    self.bound = max(self.bound, self.free + sum(p.low for p in found.brackets))
                if limits.spent():
                    return True
            if found.value != before:
                self.pack(found, 0.1)
            effort *= 4
        return True

    def replaced(self, found: Decomposition) -> Decomposition:
        """The same order with the best replacement by bytes for it, which windows of a long one do not find.

        Where no other order is possible its bound holds for every plan. That of a tighter capacity is easier to place.
        """
        problem, (walk, best) = self.problem, found.answer()
        gaps = Gaps(walk, problem.byte_limit)
        if len(gaps.gaps) > MOST_GAPS:
            return found
        forced = not problem.inplace_pairs and is_forced(problem)
        for share in (1.0, *TIGHTER[:3]):
            tight = Gaps(walk, int(problem.byte_limit * share))
            if max(tight.base) > tight.capacity or self.limits.spent():
                break
            kept, bound = relaxed_replacement(tight, self.limits.share(0.5))
            if kept is not None:
                self.allocate(walk, kept)
                best = min(best, kept, key=lambda stretches: traffic(problem, stretches))
            if forced and share == 1.0 and bound is not None:
                self.bound = max(self.bound, bound)
        best, bound = least_replacement(gaps, self.limits.share(0.6 if forced else 0.2), best)
        if forced and bound is not None:
            self.bound = max(self.bound, bound)
        self.allocate(walk, best)
        return Decomposition([bracket.subproblem for bracket in found.brackets], problem, (walk, best))

    def pack(self, found: Decomposition, share: float = 0.5) -> None:
        """Addresses for the best ways, if they are better than what there is: as they are, else at a price."""
        value = found.value
        if value is None or (self.best is not None and value >= self.best.value):
            return
        walk, stretches = found.answer()
        placed = place(walk, stretches, self.problem.capacity, self.limits.share(share))
        if placed.offsets is not None:
            self.consider(Answer(walk, placed.blocks, placed.offsets))
        else:
            self.allocate(walk, stretches)

    def allocate(self, walk: Walk, stretches: Sequence[Sequence[Stretch]]) -> None:
        """Addresses at a price for what fits by bytes, or for its order alone: more leaves where no hole is large enough."""
        rank = POLICIES["cost"]
        assert rank is not None and self.problem.capacity is not None
        for planned in (stretches, ()):
            allocated = allocate_on_demand(walk, self.problem.capacity, rank, self.limits.spent, planned)
            self.consider(None if allocated is None else Answer(walk, *allocated))

    def repaired(self, found: Decomposition) -> None:
        """Addresses for what fits by bytes: other residencies for the same order, then a tighter capacity."""
        problem, least = self.problem, found.value
        assert least is not None and problem.capacity is not None
        walk, stretches = found.answer()
        if problem.n <= MOST_OPS_WHOLE:
            self.consider(
                optimize_replacement(problem, walk.order, self.limits.share(0.3), hint=stretches).answer
            )
        for share in TIGHTER:
            if self.limits.spent() or (self.best is not None and self.best.value <= least):
                return
            capacity = int(problem.capacity * share)
            tight = [replace(bracket.subproblem, capacity=capacity) for bracket in found.brackets]
            evicted = evict_on_demand(walk, capacity, POLICIES["cost"], self.limits.spent)
            again = Decomposition(tight, problem, None if evicted is None else (walk, evicted))
            if not self.passes(again, self.limits.share(0.5), 300, proving=False):
                return
            self.pack(again)

    def tell(self, news: Progress) -> None:
        """Pass on what a pass over some levels reports, its states, with those before it and what is known by then."""
        self.states += news.nodes or 0
        value = None if self.best is None else self.best.value
        if self.told is not None:
            self.told(news._replace(value=value, bound=self.bound, nodes=self.states))

    def consider(self, answer: Answer | None) -> None:
        """Keep an answer that is better."""
        before = self.best
        self.best = better(self.best, answer)
        if self.best is not before and self.best is not None:
            self.limits.report("search", self.best.value, self.bound)
