"""`recompute`: what executing ops again costs at least so that nothing has to be spilled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from memplan.base.errors import OptionError
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.compiled import load
from memplan_solvers.peak.search import minimum_peak_order
from memplan_solvers.recompute.addresses import Packed, materialise, pack
from memplan_solvers.recompute.coolings import Coolings
from memplan_solvers.recompute.cut_search import CutSearch, FreeCuts
from memplan_solvers.recompute.model import RecomputeModel, make_model
from memplan_solvers.schedule.orders import orders

LAST_S = 0.1
"""Share of the time that is kept for addresses."""

PROGRAM_SHARE = 0.25
"""Share of the time left that a program over cuts may take before annealing has its turn again."""

FREE_CUTS = 12
"""Ops at which one cut is looked at where the order is free."""

TIGHTER = 4
"""How often annealing is asked for less live bytes where what it found does not pack."""


@dataclass(frozen=True)
class Recompute(Solver):
    """Annealing over sequences of executions and programs over cuts, which help each other.

    effort  rounds of annealing per op; fewer if the time is up first
    cuts    programs over cuts that are solved at most; fewer if the time is up first
    """

    name: ClassVar[str] = "recompute"
    summary: ClassVar[str] = (
        "executes ops again so that nothing is spilled: annealing over executions, bounds by integer programs over cuts"
    )
    supports: ClassVar[Capabilities] = Capabilities(
        ("compute",), operands=("scratchpad",), pins=(), inplace=False, recompute=True
    )

    effort: int = 20_000
    cuts: int = 60

    def __post_init__(self) -> None:
        for field in ("effort", "cuts"):
            if getattr(self, field) < 0:
                raise OptionError(f"solver 'recompute': {field} = {getattr(self, field)}", "it is 0 or more")

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The cheapest plan found, or why there is none; see `Solver.solve`."""
        return _Run(self, problem, limits).plan()


class _Run:
    """One solve: the model, the best sequence so far, and what is proved of all."""

    def __init__(self, solver: Recompute, problem: Problem, limits: Limits) -> None:
        self.solver, self.problem, self.limits = solver, problem, limits
        self.model = make_model(problem)
        self.bound = 0
        self.infeasible = False
        self.best: Sequence[int] | None = None
        self.best_cost = 0
        self.packed: Packed | None = None
        self.starts: list[Sequence[int]] = []

    def plan(self) -> Plan:
        """The answer."""
        self._order_without_repeats()
        if self.best is None and not self.infeasible and any(self.model.repeats):
            self._search(self.limits.sooner(LAST_S * self.limits.remaining_s))
        if self.best is None or self._too_dear(self.bound):
            return self._no_plan()
        self._pack()
        if self.packed is None or self.packed.offsets is None:
            why = "what fits by bytes was not packed into the capacity"
            return self.solver.no_answer(self.problem, self.limits, Status.UNKNOWN, why)
        if self._too_dear(self.best_cost):
            why = "what fits costs more than the options allow"
            return self.solver.no_answer(self.problem, self.limits, Status.UNKNOWN, why)
        residencies, moves = materialise(self.problem, self.packed)
        return self.solver.answer(
            self.problem,
            self.limits,
            order=tuple(self.best),
            residencies=residencies,
            moves=moves,
            bound=self._in_objective(min(self.bound, self.best_cost)),
        )

    def _no_plan(self) -> Plan:
        answer = self.solver.no_answer
        if self.infeasible:
            why = "however ops are executed again, live bytes exceed the capacity"
            return answer(self.problem, self.limits, Status.INFEASIBLE, why)
        if self._too_dear(self.bound):
            why = f"executing ops again costs {self._in_objective(self.bound):,.6g} at least, more than the options allow"
            return answer(self.problem, self.limits, Status.INFEASIBLE, why)
        return answer(self.problem, self.limits, Status.UNKNOWN, "no sequence of executions was found that fits")

    def _too_dear(self, extra: int) -> bool:
        limit, once = self.problem.options.cost_factor, sum(self.model.costs)
        return limit is not None and once + extra > Fraction(limit) * once * (1 + Fraction(1, 10**9))

    def _in_objective(self, cost: int) -> float:
        return float(cost * self.model.unit)

    def _order_without_repeats(self) -> None:
        """Take an order in which each op is executed once, if there is one that fits."""
        for order in orders(self.problem):
            self.starts.append(order)
            if self._offer(order):
                return
        alike = replace(self.problem, options=replace(self.problem.options, objective="peak"))
        found = minimum_peak_order(alike, self.limits.share(0.2), goal=self.model.capacity, evaluations=2e7)
        self.starts.append(found.order)
        self._offer(found.order)
        self.infeasible = found.bound > self.model.capacity and not any(self.model.repeats)

    def _offer(self, sequence: Sequence[int]) -> bool:
        """Take a sequence that fits and is better; whether it fits."""
        if not self.model.fits(sequence):
            return False
        cost = self.model.extra_cost(sequence)
        if self.best is None or cost < self.best_cost:
            self.best, self.best_cost = tuple(sequence), cost
            self._report()
        return True

    def _report(self) -> None:
        value = None if self.best is None else self._in_objective(self.best_cost)
        self.limits.report("recompute", value, self._in_objective(self.bound))

    @property
    def _settled(self) -> bool:
        return self.infeasible or (self.best is not None and self.best_cost <= self.bound)

    def _search(self, limits: Limits) -> None:
        """Coolings and programs in turns, each told what the other found, until nothing better exists or the effort is spent."""
        programs = CutSearch(self.model, self.solver.cuts)
        free = None if self.model.program_order else FreeCuts(self.model, FREE_CUTS)
        coolings = self._coolings(self.model, self.starts, limits) if load("recompute", limits) else None
        while not (self._settled or limits.spent()):
            if not programs.finished:
                known = coolings.in_program_order if coolings else None
                decoded = programs.step(limits.share(PROGRAM_SHARE), known)
                if decoded is not None:
                    self._offer(decoded)
                    if coolings is not None:
                        coolings.begin(decoded)
                if free is None:
                    self._prove(programs.bound, programs.infeasible)
            if free is not None and not free.finished:
                free.step(limits.share(PROGRAM_SHARE))
                self._prove(free.bound, free.infeasible)
            if coolings is not None and not (self._settled or coolings.finished):
                coolings.cool()
            elif programs.finished and (free is None or free.finished):
                return

    def _coolings(self, model: RecomputeModel, starts: Sequence[Sequence[int]], limits: Limits) -> Coolings:
        return Coolings(model, starts, self.solver.effort * model.n, limits, self._offer)

    def _prove(self, bound: int, infeasible: bool) -> None:
        if bound > self.bound:
            self.bound = bound
            self._report()
        self.infeasible = self.infeasible or (infeasible and self.best is None)

    def _pack(self) -> None:
        """Addresses for the best sequence; where there are none, for others with less live bytes."""
        assert self.best is not None
        least = self.model.capacity
        for _ in range(TIGHTER):
            self.packed = pack(self.problem, self.model, self.best, self.limits.share(0.5))
            if self.packed.offsets is not None or self.limits.spent():
                return
            least -= max(1, self.packed.peak - self.model.capacity)
            tighter = replace(self.model, capacity=least)
            coolings = self._coolings(tighter, self.starts, self.limits.share(0.5))
            self.best = None
            while not (coolings.finished or self.limits.spent()):
                coolings.cool()
            if self.best is None:
                return
