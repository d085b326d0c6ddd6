"""`recompute`: what executing ops again costs at least so that nothing has to be spilled."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, ClassVar

from memplan.base.errors import OptionError
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.compiled import load
from memplan_solvers.peak.search import minimum_peak_order
from memplan_solvers.recompute.addresses import Placed, materialise, place, place_harder
from memplan_solvers.recompute.cut_search import CutSearch, FreeCuts
from memplan_solvers.recompute.model import make_model
from memplan_solvers.schedule.orders import orders

if TYPE_CHECKING:
    from memplan_solvers.recompute.packable import Packable

LAST = 0.3
"""Share of the time that is kept for addresses, where one pass finds none."""

FREE_CUTS = 12
"""Ops at which one cut is looked at where the order is free."""

PROGRAMS = 4
"""Programs over ever more cuts that are solved beside the first cooling; twice as many each turn, as coolings grow."""

PEAK_SHARE, PEAK_EVALUATIONS = 0.25, 1e8
"""Share of the time, and evaluations of an op, for the order of the least peak with each op executed once."""

PACKING_SHARE, PACKINGS = 0.2, 8
"""Share of the time left in which a sequence that packs is looked for after each cooling, and sequences tried then, at most."""

PACKING_EFFORT, LAST_PACKINGS = 1000, 60
"""Rounds of annealing per op for each of them, at most, and how many are tried in the end."""

UNPACKED_SHARE, LOOSEST_SHARE = 0.6, 0.6
"""Shares of the time for them as long as none packs, and of what is left for that which leaves most free; the rest is for the
best sequence itself."""


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
        ("compute",), operands=("scratchpad",), inplace=False, recompute=True
    )

    effort: int = 100_000
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
        self.best: Placed | None = None  # fits by bytes
        self.answer: Placed | None = None  # has addresses, too
        self.packable: Packable | None = None
        self.starts: list[Sequence[int]] = []

    def plan(self) -> Plan:
        """The answer."""
        self._order_without_repeats()
        if self.best is None and not self.infeasible and any(self.model.repeats):
            self._search()
        self._place()
        if self.answer is None or self._too_dear(self._cost(self.answer)):
            return self._no_plan()
        residencies, moves = materialise(self.problem, self.answer)
        return self.solver.answer(
            self.problem,
            self.limits,
            order=self.answer.sequence,
            residencies=residencies,
            moves=moves,
            bound=self._in_objective(min(self.bound, self._cost(self.answer))),
        )

    def _no_plan(self) -> Plan:
        status, why = self._why_none()
        found = self.solver.no_answer(self.problem, self.limits, status, why)
        return replace(found, bound=self._in_objective(self.bound))

    def _why_none(self) -> tuple[Status, str]:
        """Whether it is proved that there is no plan, and why there is none, for people."""
        if self.infeasible:
            return Status.INFEASIBLE, "however ops are executed again, live bytes exceed the capacity"
        if self._too_dear(self.bound):
            least = f"{self._in_objective(self.bound):,.6g}"
            why = f"executing ops again costs {least} at least, more than the options allow"
            return Status.INFEASIBLE, why
        if self.answer is not None:
            return Status.UNKNOWN, "what was found that fits costs more than the options allow"
        if self.best is not None:
            return Status.UNKNOWN, "what was found that fits by bytes was not packed into the capacity"
        return Status.UNKNOWN, "no sequence of executions was found that fits"

    def _cost(self, placed: Placed) -> int:
        return self.model.extra_cost(placed.sequence)

    def _too_dear(self, extra: int) -> bool:
        limit, once = self.problem.options.cost_factor, sum(self.model.costs)
        return limit is not None and once + extra > Fraction(limit) * once * (1 + Fraction(1, 10**9))

    def _in_objective(self, cost: int) -> float:
        return float(cost * self.model.unit)

    def _order_without_repeats(self) -> None:
        """Take what is given to begin with, and an order in which each op is executed once, if there is one that fits."""
        number = {op.name: i for i, op in enumerate(self.problem.graph.ops)}
        for known in self.limits.start:
            self._offer([number[name] for name in known.schedule])
        for order in orders(self.problem):
            self.starts.append(order)
            if self._offer(order):
                return
        alike = replace(self.problem, options=replace(self.problem.options, objective="peak"))
        found = minimum_peak_order(
            alike, self.limits.share(PEAK_SHARE), self.model.capacity, evaluations=PEAK_EVALUATIONS
        )
        self.starts.append(found.order)
        self._offer(found.order)
        self.infeasible = found.bound > self.model.capacity and not any(self.model.repeats)

    def _offer(self, sequence: Sequence[int]) -> bool:
        """Take a sequence if it fits and is better, by bytes or with addresses; whether it fits."""
        if not self.model.fits(sequence):
            return False
        cost = self.model.extra_cost(sequence)
        is_new = self.best is None or self.best.sequence != tuple(sequence)
        if is_new and self._is_cheaper(cost):
            placed = place(self.problem, self.model, sequence, self.limits)
            if self.best is None or cost < self._cost(self.best):
                self.best = placed
            if placed.within(self.model.capacity):
                self.answer = placed
                self._report()
        return True

    def _is_cheaper(self, cost: int) -> bool:
        """Whether a sequence of that cost would be a better answer."""
        return self.answer is None or cost < self._cost(self.answer)

    def _report(self) -> None:
        value = None if self.answer is None else self._in_objective(self._cost(self.answer))
        self.limits.report("recompute", value, self._in_objective(self.bound))

    @property
    def _settled(self) -> bool:
        optimal = self.best is not None and self._cost(self.best) <= self.bound
        return self.infeasible or optimal or self._too_dear(self.bound)

    @property
    def _until_placing(self) -> Limits:
        """What is left for the search: time is kept for addresses as long as the best sequence has none."""
        if self.best is None or self.best is self.answer:
            return self.limits
        return replace(self.limits, time_limit_s=(1 - LAST) * self.limits.time_limit_s)

    def _search(self) -> None:
        """Coolings and programs in turns, each told what the other found, until nothing better exists or the effort is spent.

        Programs over cuts take turns with those for free orders. With two workers they are solved beside each cooling.
        """
        programs = CutSearch(self.model, self.solver.cuts)
        free = None if self.model.program_order else FreeCuts(self.model, FREE_CUTS)
        coolings = None
        if load("recompute", self.limits):
            from memplan_solvers.recompute.coolings import Coolings

            rounds = self.solver.effort * self.model.n
            coolings = Coolings(self.model, self.starts, rounds, self.limits.seed, self._offer)

        def solve(turn: int, known: Sequence[int] | None) -> list[list[int]]:
            if free is not None and not free.finished and (turn % 2 or programs.finished):
                free.step(self.limits)
                return []
            return programs.steps(PROGRAMS << turn, self.limits, known)

        turns = count()
        with ThreadPoolExecutor(1) as beside:
            while not (self._settled or self._until_placing.spent()):
                solving = beside.submit(solve, next(turns), coolings.in_program_order if coolings else None)
                if self.limits.workers == 1:
                    wait([solving])
                if coolings is not None and not coolings.finished:
                    coolings.cool(self._until_placing)
                    self._pack_near(PACKINGS, self.limits.share(PACKING_SHARE))
                for decoded in solving.result():
                    self._offer(decoded)
                if coolings is not None and solving.result():
                    coolings.begin(solving.result()[-1])
                proof = programs if free is None else free
                self._prove(proof.bound, proof.infeasible)
                idle = coolings is None or coolings.finished
                if idle and programs.finished and (free is None or free.finished):
                    return

    def _prove(self, bound: int, infeasible: bool) -> None:
        if bound > self.bound:
            self.bound = bound
            self._report()
        self.infeasible = self.infeasible or (infeasible and self.best is None)

    def _place(self) -> None:
        """Addresses for the best sequence, or for one near it that packs."""
        self._pack_near(LAST_PACKINGS, self.limits.share(UNPACKED_SHARE if self.answer is None else 1.0))
        loosest = self.packable.loosest if self.packable is not None else None
        for placed, share in ((loosest, LOOSEST_SHARE), (self.best, 1.0)):
            if placed is not None and self.answer is None:
                harder = place_harder(self.problem, placed, self.limits.share(share))
                self.answer = harder if harder.within(self.model.capacity) else None

    def _pack_near(self, tries: int, limits: Limits) -> None:
        """Where the best sequence has no places, take some near it that have, each better than the one before, of so many tried."""
        if self.best is None or self.best is self.answer or not load("recompute", limits):
            return
        from memplan_solvers.recompute.packable import Packable

        if self.packable is None:
            rounds = min(PACKING_EFFORT, self.solver.effort) * self.model.n
            self.packable = Packable(self.problem, self.model, rounds, limits.seed)
        for placed in self.packable.near(self.best.sequence, self._is_cheaper, tries, limits):
            self.answer = placed
            self._report()
            if self._cost(placed) <= self._cost(self.best):
                self.best = placed
                return
