"""`search`: order and replacement at once, by a search over states, with a bound that is true whenever it stops."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

from memplan.errors import OptionError
from memplan.plan import Plan, Status
from memplan.problem import Problem
from memplan.solver import Budget
from memplan_solvers.greedy import Greedy
from memplan_solvers.ilp.fixed_order import polish
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.improve import Answer, Improver, better
from memplan_solvers.place import place
from memplan_solvers.residency import Walk
from memplan_solvers.search.piece import NEVER, Piece, pieces

BEAMS = (30, 300, 3_000, 30_000, 3_000_000)
"""States of a level that go on, one pass after the other, until nothing is cut or time is up."""

TIGHTER = (0.99, 0.97, 0.94, 0.9)
"""Shares of the capacity searched where what was found has no addresses."""


@dataclass(frozen=True)
class Search(Improver):
    """Level by level over sets of executed ops, present storages and stored storages.

    beam  states of a level that go on at most
    """

    name: ClassVar[str] = "search"
    summary: ClassVar[str] = "order and spills at once, by search over states: beam, exact, and a true bound"
    objectives: ClassVar[frozenset[str]] = frozenset({"traffic"})

    beam: int = BEAMS[-1]

    def __post_init__(self) -> None:
        if self.beam < 1:
            raise OptionError(f"solver 'search': beam = {self.beam}", "at least one state has to go on")

    def solve(self, problem: Problem, budget: Budget) -> Plan:
        """The best plan found, with a bound for every plan that the options allow."""
        found = Greedy().best(problem, replace(budget.share(0.5), progress=None))
        start = None if found is None else found.answer
        if start is not None:
            budget.report("greedy", start.value, problem.free_bound)
        return self.improve(problem, budget, start)

    def improve(self, problem: Problem, budget: Budget, start: Answer | None) -> Plan:
        """The better of `start` and the best way found, with a bound for every plan."""
        free = int(problem.free_bound)
        if problem.capacity is None or (start is not None and start.value <= free) or budget.spent():
            return self.plan_of(problem, budget, start, free, "no plan was found in time")
        before = budget.seconds
        compile_s()
        compiled = budget.seconds - before
        plan = _Run(self, problem, replace(budget, started=budget.started + compiled), start).solve()
        return replace(plan, seconds=max(budget.seconds - compiled, 1e-6))


@cache
def compile_s() -> float:
    """Seconds that compiling the search, or loading it, took: done on the first call, for all of the process."""
    from memplan_solvers.search.levels import Engine

    begin = time.monotonic()
    ops = tuple(range(4))
    tiny = Piece(
        capacity=3, ops=ops, storages=ops, size=(1, 1, 1, 1), reload=(1, 1, 1, 1), store=(1, 1, 1, 1),
        touched=((0,), (0, 1), (1, 2), (0, 1, 2)), extra=(0, 0, 1, 0), over={}, preds=((), (0,), (1,), (2,)),
        begun=(False, False, False, True), inside=(False, False, False, True), clean=(False,) * 4,
        closing=(False, False, False, True),
    )  # fmt: skip
    Engine(tiny).search(NEVER, Budget(), 10)
    return time.monotonic() - begin


class _Run:
    """One solve: pieces, passes, addresses."""

    def __init__(self, solver: Search, problem: Problem, budget: Budget, start: Answer | None) -> None:
        self.solver, self.problem, self.budget = solver, problem, budget
        self.best = start
        self.free = self.bound = int(problem.free_bound)

    def solve(self) -> Plan:
        assert self.problem.capacity is not None
        parts = pieces(self.problem)
        found = _Parts(parts, self)
        if not found.passes(self.solver.beam):
            return self.solver.no_answer(self.problem, self.budget, Status.INFEASIBLE, "no order can be served")
        why = ""
        if found.value is not None and (self.best is None or found.value < self.best.value):
            why = "fits by bytes; no addresses were found for it"
            self.repaired(found)
        if self.best is not None and self.best.value <= self.bound:
            why = ""
        plan = self.solver.plan_of(self.problem, self.budget, self.best, self.bound, why or "no plan was found in time")
        return plan if self.best is None else replace(plan, reason=why)

    def repaired(self, found: _Parts) -> None:
        """Addresses for what fits by bytes: other residencies for the same order, then a tighter capacity."""
        assert found.value is not None
        for order, stretches in found.answers():
            self.consider(polish(self.problem, order, self.budget.share(0.3), hint=stretches).answer)
            if self.best is not None and self.best.value <= found.value:
                return
        capacity = self.problem.capacity or 0
        for share in TIGHTER:
            if self.budget.spent():
                return
            tight = [replace(p, capacity=int(capacity * share)) for p in found.parts]
            again = _Parts(tight, self, proving=False)
            again.passes(3_000)
            if self.best is not None and again.value is not None and again.value >= self.best.value:
                return
            if self.best is not None and self.best.value <= found.value:
                return

    def consider(self, answer: Answer | None) -> None:
        """Keep an answer that is better."""
        before = self.best
        self.best = better(self.best, answer)
        if self.best is not before and self.best is not None:
            self.budget.report("search", self.best.value, self.bound)


class _Parts:
    """The pieces of one problem and what is known of each."""

    def __init__(self, parts: Sequence[Piece], run: _Run, proving: bool = True) -> None:
        from memplan_solvers.search.levels import Engine, Found

        self.parts, self.run, self.proving = list(parts), run, proving
        self.engines = [Engine(p) for p in parts]
        self.found: list[Found | None] = [None] * len(self.parts)
        self.low = [0] * len(self.parts)
        self.done = [False] * len(self.parts)
        self.packed_value: int | None = None

    @property
    def value(self) -> int | None:
        """Traffic of the best ways through all pieces, addresses unseen."""
        total = self.run.free
        for found in self.found:
            if found is None or found.value is None:
                return None
            total += found.value
        return total

    def passes(self, most: int) -> bool:
        """Search every piece, with wider and wider beams; False where one has no way through."""
        run = self.run
        for beam in [b for b in BEAMS if b < most] + [most]:
            for k, engine in enumerate(self.engines):
                if self.done[k]:
                    continue
                before = self.found[k]
                below = NEVER if before is None or before.value is None else before.value
                now = engine.search(below, run.budget, beam)
                if now.value is not None:
                    self.found[k] = now
                self.low[k] = max(self.low[k], now.bound)
                self.done[k] = now.complete
                if now.complete and self.found[k] is None:
                    return False
                if self.proving:
                    run.bound = run.free + sum(self.low)
                if run.budget.spent():
                    return True
            self.pack()
            if all(self.done):
                break
        return True

    def answers(self) -> list[tuple[tuple[int, ...], list[list[tuple[int, int]]]]]:
        """The order and the stretches of the best ways."""
        problem = self.run.problem
        order: list[int] = []
        evictions: list[tuple[int, int]] = []
        for piece, found in zip(self.parts, self.found, strict=True):
            if found is None or found.order is None:
                return []
            evictions += [(len(order) + t, piece.storages[s]) for t, s in found.evictions]
            order += [piece.ops[i] for i in found.order]
        walk = Walk(problem, tuple(order))
        gaps = Gaps(walk, problem.capacity or 0)
        leaves: dict[int, list[int]] = {}
        for t, s in evictions:
            leaves.setdefault(s, []).append(t)
        kept = [not any(g.before < t < g.after for t in leaves.get(g.storage, ())) for g in gaps.gaps]
        return [(walk.order, gaps.stretches(kept))]

    def pack(self) -> None:
        """Addresses for the best ways, if they are quickly found."""
        run, value = self.run, self.value
        if value is None or (run.best is not None and value >= run.best.value) or value == self.packed_value:
            return
        self.packed_value = value
        for order, stretches in self.answers():
            walk = Walk(run.problem, order)
            placed = place(walk, stretches, run.problem.capacity, run.budget.share(0.2))
            if placed.offsets is not None:
                run.consider(Answer(walk, placed.blocks, placed.offsets))
