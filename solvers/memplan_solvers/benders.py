"""`benders`: a program chooses what to spill, the search for the least peak says whether the rest has an order.

Logic-based Benders decomposition (Hooker and Ottosson 2003), used for its bound. Let R be the storages that a
plan spills.
Each of them is loaded again at least once, and stored before if host has no copy: that many bytes the plan moves at
least. Each is present at its touches, everything else from its first touch to its last. So the plan's order keeps the
live bytes of a relaxed problem, in which the storages of R count at their touches alone, within the capacity. Where
the search proves that the relaxed problem of R has no such order, every plan spills something outside R. The smaller
the complement of R, the stronger that is: it is shrunk to a core, a set of which no two or three can go
without another.

The program (least bytes such that every core known is hit) gives a lower bound and the next R. When the relaxed
problem of its R has an order, nothing more can be learnt from sets alone: storages that are loaded more than
once remain.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan_solvers.compiled import load
from memplan_solvers.greedy import greedy_start
from memplan_solvers.ilp.fixed_order import optimize_replacement
from memplan_solvers.ilp.linear import Linear
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.improve import Answer, Improver, better
from memplan_solvers.peak.live import LiveModel, live_model

PATIENCE = 2_000_000
"""Evaluations of an op that one question to the search may take, some 0.1 s; a tenth of it while a core is shrunk."""

MOST_OPS = 5_000
"""Ops beyond which nothing is asked."""


@dataclass(frozen=True)
class Benders(Improver):
    """The bound is the program's; the orders that the relaxed problems have become plans by the best
    replacement found for them.
    """

    name: ClassVar[str] = "benders"
    summary: ClassVar[str] = (
        "what to spill by an integer program, orders by the search for the least peak; a bound for nets with cells"
    )
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The better of the greedy plan and those of the orders found, with the program's bound."""
        return self.improve(problem, limits, greedy_start(problem, limits))

    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """The better of `start` and the plans of the orders found, with the program's bound."""
        free = int(problem.free_bound)
        settled = start is not None and start.value <= free
        anywhere = problem.target.direct
        if (
            settled
            or anywhere
            or problem.capacity is None
            or problem.n > MOST_OPS
            or limits.spent()
            or not load("peak", limits)
        ):
            return self.plan_of(problem, limits, start, free, "no plan was found in time")
        run = _Run(problem, limits, start)
        impossible = run.solve() and start is None
        if impossible:
            return self.no_answer(
                problem, limits, Status.INFEASIBLE, "no order can be served, whatever is spilled"
            )
        return self.plan_of(problem, limits, run.best, run.bound, "no plan was found in time")


@dataclass
class _Run:
    """Cores found so far, and what they prove. Storages are numbered as in the live model."""

    problem: Problem
    limits: Limits
    best: Answer | None
    model: LiveModel = field(init=False)
    cost: dict[int, int] = field(init=False)
    bound: int = field(init=False)
    cores: list[list[int]] = field(default_factory=list)
    nodes: int = 0

    def __post_init__(self) -> None:
        self.model, self.bound = live_model(self.problem), int(self.problem.free_bound)
        self.cost = {}
        for k, s in enumerate(self.model.storages):
            storage = self.problem.storages[s]
            if not storage.pinned:
                self.cost[k] = storage.nbytes * (1 if storage.in_host or storage.is_output else 2)

    def solve(self) -> bool:
        """Alternate between cores and program while either learns something; whether there is no plan at all."""
        spilled: frozenset[int] = frozenset()
        while not self._done():
            before = len(self.cores)
            if self._disjoint(spilled):
                return True
            if len(self.cores) == before:
                return False
            program = Linear(constant=int(self.problem.free_bound))
            chosen = {k: program.binary(cost) for k, cost in self.cost.items()}
            for core in self.cores:
                program.add([(chosen[k], 1) for k in core], low=1)
            found = solve_mathopt(program, self.limits)
            if found.bound is not None:
                self.bound = max(self.bound, found.bound)
                self.limits.report(
                    "benders", None if self.best is None else self.best.value, self.bound, self.nodes
                )
            if found.x is None:
                return False
            spilled = frozenset(k for k, v in chosen.items() if found.x[v] or not self.cost[k])
        return False

    def _done(self) -> bool:
        return self.limits.spent() or (self.best is not None and self.best.value <= self.bound)

    def _disjoint(self, spilled: frozenset[int]) -> bool:
        """Add cores that share no storage, until what is left has an order; whether one was empty.

        Each of them costs a plan its cheapest storage at least, and since they share none these add up.
        """
        least = int(self.problem.free_bound)
        while True:
            order = self._order(spilled, PATIENCE)
            if order is not None:
                self._consider(order, spilled)
                return False
            core = self._shrunk([k for k in self.cost if k not in spilled])
            if not core:
                return True
            self.cores.append(core)
            least += min(self.cost[k] for k in core)
            self.bound = max(self.bound, least)
            spilled |= frozenset(core)
            if self._done():
                return False

    def _order(self, spilled: Iterable[int], patience: int) -> tuple[int, ...] | None:
        """An order where these are spilled, () where none was found in time, None where there is proved to be none."""
        from memplan_solvers.peak.directions import Directions

        search = Directions(relaxed(self.model, frozenset(spilled)))
        outcome = search.within(self.problem.capacity or 0, self.limits, patience)
        self.nodes += search.nodes
        return None if isinstance(outcome, int) else outcome

    def _shrunk(self, core: list[int]) -> list[int]:
        """A small part of the core that still cannot be kept as a whole: neighbours go together, the cheapest last."""
        size = max(1, len(core) // 2)
        while core:
            if size == 1:
                core.sort(key=lambda k: (self.cost[k], k))  # what is left first is what the bound would be
            i = 0
            while i < len(core):
                if self.limits.spent():
                    return core
                part = core[:i] + core[i + size :]
                if self._order(self.cost.keys() - set(part), PATIENCE // 10) is None:
                    core = part
                else:
                    i += size
            if size == 1:
                break
            size //= 2
        return core

    def _consider(self, order: Sequence[int], spilled: frozenset[int]) -> None:
        """Make a plan of the order, if it may beat the best one."""
        least = int(self.problem.free_bound) + sum(self.cost.get(k, 0) for k in spilled)
        if (
            not order
            or self.problem.options.order == "program"
            or (self.best is not None and least >= self.best.value)
        ):
            return
        before = self.best
        self.best = better(
            self.best, optimize_replacement(self.problem, order, self.limits.share(0.2)).answer
        )
        if self.best is not before and self.best is not None:
            self.limits.report("benders", self.best.value, self.bound, self.nodes)


def relaxed(model: LiveModel, spilled: frozenset[int]) -> LiveModel:
    """The model in which the `spilled` storages count at their touches alone.

    An op that may work in place on one of them, or write one, saves those bytes in any case: it may in a plan that
    spills them.
    """
    extra, over = list(model.extra), dict(model.over)
    touched = []
    for i, storages in enumerate(model.touched):
        kept = tuple(s for s in storages if s not in spilled)
        if len(kept) != len(storages):
            extra[i] += sum(model.size[s] for s in storages if s in spilled)
            if i in over:
                extra[i] -= over.pop(i)[0]
        touched.append(kept)
    return replace(model, touched=tuple(touched), extra=tuple(extra), over=over)
