"""What the timed solvers share: the field that says which bound they prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memplan.errors import OptionError, nearest
from memplan.problem import Problem
from memplan.solver import Budget, Solver
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.bounds import closed_bound

BOUNDS = ("closed", "lp")


@dataclass(frozen=True)
class LatencySolver(Solver):
    """A solver for latency alone. bound: closed, in no time; or lp, the fluid program for order `program`."""

    objectives: ClassVar[frozenset[str]] = frozenset({"latency"})

    bound: str = "closed"

    def __post_init__(self) -> None:
        if self.bound not in BOUNDS:
            raise OptionError(f"solver '{self.name}': bound = '{self.bound}'", nearest(self.bound, BOUNDS))

    def lower_bound(self, problem: Problem, timed: LatencyArrays, budget: Budget) -> float:
        """Seconds that no plan of the problem stays below; the program may take half of the time left."""
        closed = closed_bound(problem, timed)
        if self.bound == "closed" or problem.options.order == "free":
            return closed
        from memplan_solvers.latency.fluid import fluid_bound

        return max(closed, fluid_bound(problem, timed, 0.5 * budget.remaining_s))
