"""`ilp`: COSMA's integer program with free solvers, from the best heuristic's plan on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.greedy import Greedy
from memplan_solvers.ilp.addresses import big_m, no_overlap
from memplan_solvers.ilp.answer import hint_of, placed_peak, read
from memplan_solvers.ilp.cpsat import solve_cpsat
from memplan_solvers.ilp.fixed_order import optimize_replacement
from memplan_solvers.ilp.formulation import Formulation, OutOfTimeError, Window
from memplan_solvers.ilp.linear import LinearOutcome
from memplan_solvers.ilp.mathopt import BACKENDS, solve_mathopt
from memplan_solvers.ilp.steps import Steps
from memplan_solvers.improve import Answer, Improver, better

MOST_VARIABLES = 60_000
"""Variables beyond which the whole program is not built: it would not be solved either."""

MOST_PLACES = 4_000
"""Storages times steps beyond which addresses are not modelled."""

SPLIT_OPS = 12
"""Ops that one window of the divide-and-conquer re-orders; windows overlap by half."""


@dataclass(frozen=True)
class Ilp(Improver):
    """The paper's program: joint, with a fixed schedule (COSMA-FS), or for the peak (MPMF).

    The objective chooses between traffic and MPMF, the option order=program the fixed schedule.

    gap        relative gap at which to stop
    backend    cpsat (exact arithmetic), highs, scip or gurobi
    mode       joint, or fixed: the best heuristic's schedule (COSMA-FS)
    addresses  model addresses where an answer for the bytes alone cannot be placed
    split      auto: where the program is too large, re-solve windows of the best plan's order one by
               one, the rest of the order fixed, until time runs out. This divide-and-conquer is ours;
               the paper's own is not public. It proves nothing
    """

    name: ClassVar[str] = "ilp"
    summary: ClassVar[str] = (
        "COSMA's integer program (CP-SAT, HiGHS, SCIP, Gurobi): schedule, spills, addresses"
    )

    gap: float = 0.0
    backend: str = "cpsat"
    mode: str = "joint"
    addresses: bool = True
    split: str = "off"

    def __post_init__(self) -> None:
        known = {"backend": ("cpsat", *BACKENDS), "mode": ("joint", "fixed"), "split": ("off", "auto")}
        for field, words in known.items():
            if getattr(self, field) not in words:
                raise OptionError(
                    f"solver 'ilp': {field} = '{getattr(self, field)}'", nearest(getattr(self, field), words)
                )
        if not 0 <= self.gap < 1:
            raise OptionError(f"solver 'ilp': gap = {self.gap}", "a relative gap in [0, 1), such as 0.01")

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best of the heuristic's plan, its replacement optimized, and the program's, with the program's
        proven bound.
        """
        found = Greedy().best(problem, limits.quiet())
        start = None if found is None else found.answer
        if start is not None:
            limits.report("greedy", start.value, problem.free_bound)
            if start.value > problem.free_bound and problem.options.objective == "traffic":
                start = better(
                    start, optimize_replacement(problem, start.walk.order, limits.share(0.2)).answer
                )
        return self.improve(problem, limits, start)

    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """The better of `start` and the program's plan, with the program's proven bound."""
        bound = int(problem.free_bound)
        if (start is not None and start.value <= bound) or limits.spent():
            return self.plan_of(problem, limits, start, bound, "the time is up")
        steps = Steps(problem)
        fixed = self.mode == "fixed" or problem.options.order == "program"
        windows: list[Window] = steps.windows
        if fixed:
            order = start.walk.order if start is not None else range(problem.n)
            place = {i: t for t, i in enumerate(i for i in order if i in steps.number)}
            windows = [(place[i], place[i]) for i in steps.ops]
        if _variables(problem, steps, windows) > MOST_VARIABLES:
            if self.split == "auto" and start is not None and not fixed:
                start = self._split(problem, limits, steps, start)
            return self.plan_of(problem, limits, start, bound, "the program is too large to be built")
        proves = not fixed or problem.options.order == "program"
        try:
            best, proved, empty = self._program(problem, limits, steps, windows, start, placing=False)
            if proves and empty:
                return self.no_answer(problem, limits, Status.INFEASIBLE, "the program has no solution")
            bound = max(bound, proved) if proves else bound
            places = len(steps.ops) * len(problem.storages)
            open_ = best is None or best.value > proved
            if self.addresses and open_ and places <= MOST_PLACES and not problem.inplace_pairs:
                best, proved, empty = self._program(problem, limits, steps, windows, best, placing=True)
                if proves and empty:
                    return self.no_answer(problem, limits, Status.INFEASIBLE, "no placement exists")
                bound = max(bound, proved) if proves else bound
        except OutOfTimeError:
            best = start
        return self.plan_of(problem, limits, best, bound, "no plan was found in time")

    def _program(
        self,
        problem: Problem,
        limits: Limits,
        steps: Steps,
        windows: Sequence[Window],
        start: Answer | None,
        placing: bool,
        within: Window | None = None,
    ) -> tuple[Answer | None, int, bool]:
        """The better of `start` and the program's answer, its bound, and whether it is proved empty.

        With `within`, what is resident at other steps stays as `start` has it.
        """
        f = Formulation(problem, steps, windows, limits)
        hint = hint_of(f, start)
        if within is not None and hint is not None:
            f.freeze(hint, within)
        if placing and self.backend != "cpsat":
            big_m(f)
            hint = None
        outcome = self._solve(f, limits, hint, placing)
        # Only exact arithmetic may prove that there is no plan.
        if outcome.infeasible:
            return start, int(problem.free_bound), start is None and self.backend == "cpsat"
        bound = int(problem.free_bound) if outcome.bound is None else outcome.bound
        best = start
        if outcome.x is not None:
            order, stretches = read(f, outcome.x)
            if problem.options.objective == "peak":
                goal = f.linear.value(outcome.x) if placing else bound
                found = placed_peak(problem, order, goal, limits)
            else:
                replacement = optimize_replacement(problem, order, limits, hint=stretches)
                found = replacement.answer
            best = better(start, found)
            if best is not None:
                limits.report("ilp", best.value, bound, outcome.nodes)
        return best, bound, False

    def _solve(self, f: Formulation, limits: Limits, hint: list[int] | None, placing: bool) -> LinearOutcome:
        if self.backend != "cpsat":
            hint = hint if hint is not None and f.linear.holds(hint) else None
            return solve_mathopt(f.linear, limits, self.backend, hint, self.gap)
        return solve_cpsat(
            f.linear,
            limits,
            hint,
            self.gap,
            no_overlap(f) if placing else None,
            lambda value, bound, nodes: limits.report("ilp", value, max(0.0, bound), nodes),
        )

    def _split(self, problem: Problem, limits: Limits, steps: Steps, start: Answer) -> Answer:
        """`start` improved window by window, in rounds, until a round changes nothing or time runs out."""
        while not limits.spent():
            before = start.value
            for first in range(0, len(steps.ops), SPLIT_OPS // 2):
                order = [steps.number[i] for i in start.walk.order if i in steps.number]
                windows: list[Window] = [(0, 0)] * len(order)
                stop = min(first + SPLIT_OPS, len(order)) - 1
                for t, k in enumerate(order):
                    windows[k] = (first, stop) if first <= t <= stop else (t, t)
                try:
                    part = replace(
                        limits.share(0.1), progress=None
                    )  # what holds for a window is no bound of the whole
                    found, _, _ = self._program(
                        problem, part, steps, windows, start, placing=False, within=(first, stop)
                    )
                except OutOfTimeError:
                    found = None
                start = better(start, found) or start
                if limits.spent() or start.value <= problem.free_bound:
                    return start
            if start.value == before:
                break
        return start


def _variables(problem: Problem, steps: Steps, windows: Sequence[Window]) -> int:
    """About how many variables the program would have."""
    total = sum(hi - lo + 1 for lo, hi in windows)
    for s in range(len(problem.storages)):
        touches = [*steps.uses[s], *([steps.producer[s]] if steps.producer[s] >= 0 else [])]
        if touches:  # a returned input may be touched by nobody
            total += 3 * (max(windows[k][1] for k in touches) - min(windows[k][0] for k in touches) + 1)
    return total
