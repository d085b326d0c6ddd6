"""`latency_exact`: annealing, then the constraint program of a plan in program order; for small graphs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.judge.check.claims import TOLERANCE
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.arrays import UNPLACED, LatencyArrays, make_arrays
from memplan_solvers.latency.constraint_program import ConstraintProgram
from memplan_solvers.latency.layout import to_plan
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.solver import LatencySolver

MOST_TOUCHES = 90
"""Touches beyond which the constraint program is not tried."""


@dataclass(frozen=True)
class LatencyExact(LatencySolver):
    """Annealing first, then the constraint program: a better plan, or the proof that there is none.

    The proof covers order program, io host, one queue, and no op that may work in place; elsewhere the closed
    bound is given.
    """

    name: ClassVar[str] = "latency_exact"
    summary: ClassVar[str] = "the least latency of small graphs by constraint programming, with its proof"

    @property
    def kernels(self) -> str:
        """See `LatencySolver.kernels`."""
        return "anneal"

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan met, with the best bound proved."""
        timed = make_arrays(problem, limits)
        if timed is None:
            return self.no_answer(problem, limits, *UNPLACED)
        bound = self.lower_bound(problem, timed, limits)
        best = tuned(timed, limits.share(0.1), bound)
        best = Anneal(effort=100).improve(timed, best, limits.share(0.3), bound)
        if best.seconds > bound and _covers(problem, timed) and not limits.spent():
            model = ConstraintProgram(timed)
            proved = model.solve(limits)
            least, found = best.seconds, None
            if model.found:
                residencies, moves = model.answered(problem)
                found = self.answer(
                    problem, limits, order=tuple(range(problem.n)), residencies=residencies, moves=moves
                )
                least = min(least, timeline(problem.graph, found).latency_s)
            if model.exact and proved > least * (1 - TOLERANCE):
                proved = least  # equal, but for the rounding of floating-point sums
            bound = max(bound, min(proved, least))
            if found is not None and least < best.seconds:
                return replace(found, bound=bound)
        return to_plan(self, problem, limits, timed, best, bound)


def _covers(problem: Problem, timed: LatencyArrays) -> bool:
    """Whether the constraint program describes every plan of the problem."""
    pinned = any(s.pinned or s.offset is not None for s in problem.storages)
    options = problem.options
    return (
        options.order == "program"
        and options.io == "host"
        and not problem.overwriting
        and not pinned
        and timed.queues == 1
        and 0 < len(timed.touch) <= MOST_TOUCHES
    )
