"""What the timed solvers share: the field that says which bound they prove."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.compiled import load
from memplan_solvers.greedy import Greedy
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.bounds import closed_bound
from memplan_solvers.latency.prefix import loaded_bound
from memplan_solvers.latency.uncompiled import assigned

BOUNDS = ("closed", "lp")


@dataclass(frozen=True)
class LatencySolver(Solver):
    """A solver for latency alone. bound: closed, in no time; or lp, the fluid program for order `program`."""

    supports: ClassVar[Capabilities] = Capabilities(("latency",), operands=("direct",))

    bound: str = "closed"

    def __post_init__(self) -> None:
        if self.bound not in BOUNDS:
            raise OptionError(f"solver '{self.name}': bound = '{self.bound}'", nearest(self.bound, BOUNDS))

    @property
    def kernels(self) -> str:
        """The compiled kernels that it cannot do without."""
        return "assign"

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """See `search`; where there are no kernels to search with, memory space assignment's plan, else the greedy one.

        Memory space assignment lets host serve what finds no room, so where ops use the scratchpad alone it is greedy's.
        """
        if load(self.kernels, limits):
            return self.search(problem, limits)
        if problem.target.direct and (found := assigned(problem, limits)):
            return replace(found, solver=self.spec, reason="assigned by msa, in plain Python")
        return replace(Greedy().solve(problem, limits), solver=self.spec)

    @abstractmethod
    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The plan, its kernels loaded."""

    def lower_bound(self, problem: Problem, timed: LatencyArrays, limits: Limits) -> float:
        """Seconds that no plan of the problem stays below; the program may take half of the time left."""
        closed = closed_bound(problem, timed)
        if not problem.target.direct:
            closed = max(closed, loaded_bound(problem))
        if self.bound == "closed" or problem.options.order == "free":
            return closed
        from memplan_solvers.latency.fluid import fluid_bound

        return max(closed, fluid_bound(problem, timed, 0.5 * limits.remaining_s))
