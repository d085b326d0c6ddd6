"""Plans for targets of any memories: each storage in one place, or moved on demand, whichever costs less."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from memplan.judge.copies import Copies
from memplan.judge.cost import accessed
from memplan.judge.plan_view import PlanView
from memplan.machine.two_level import beyond_two_level
from memplan.problem.places import compulsory
from memplan.problem.plan import InPlace, Move, Plan, Residency
from memplan.problem.problem import Problem
from memplan.solving.capabilities import PINNED, Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.lives import Lives
from memplan_solvers.replace.memories import ResidencyPolicy, moved_on_demand
from memplan_solvers.schedule.orders import orders

BRIEF = (0, 1, 4, -1)
"""Steps within which who is done with lies apart from the others, in the order in which they are tried."""


PATIENCE = 0.4
"""Share of the remaining time within which an order's placements are looked at; the rest is for moves."""

ANYWHERE = Capabilities(("traffic",), memories="any", accesses=True, queues=None, pins=tuple(PINNED))
"""What heuristics that know any memories plan for."""


def beyond_scratchpad(problem: Problem) -> bool:
    """Whether bytes are counted on a target that is more than a scratchpad in which all operands must be."""
    target = problem.target
    return problem.options.objective == "traffic" and bool(beyond_two_level(target) or target.direct)


@dataclass
class _Best:
    """The cheapest plan so far, under the name of a solver."""

    solver: Solver
    problem: Problem
    limits: Limits
    plan: Plan | None = None
    value: float = float("inf")

    @property
    def is_enough(self) -> bool:
        """Whether it is the best there is, or the time is up."""
        return self.value <= max(self.problem.free_bound, self.limits.bound) or self.limits.spent()

    def take(
        self, order: Sequence[int], residencies: list[Residency], moves: list[Move], inplace: list[InPlace]
    ) -> None:
        """Keep the plan made of these if it is cheaper."""
        plan = self.solver.answer(
            self.problem,
            self.limits,
            order=list(order),
            residencies=residencies,
            moves=moves,
            inplace=inplace,
        )
        value = accessed(Copies(PlanView(self.problem.graph, plan)))
        if value < self.value:
            self.plan, self.value = plan, value
            self.limits.report(self.solver.name, value, self.problem.free_bound)


def best_moving(solver: Solver, problem: Problem, limits: Limits) -> Plan | None:
    """The cheapest plan of these heuristics over all orders, in the solver's name; None where none finds a plan."""
    best = _Best(solver, problem, limits)
    for order in orders(problem):
        lives = Lives(problem, order)
        if all(item.places for item in problem.placeables):
            enough = problem.free_bound + compulsory(problem.placeables)
            layout = best_filled(lives, limits, limits.share(PATIENCE), enough)
            if layout is not None:
                best.take(order, *layout.parts())
        for directly, brief in product((True, False), BRIEF) if problem.target.queues else ():
            if best.is_enough:
                break
            state = moved_on_demand(lives, ResidencyPolicy(directly, brief), limits.spent)
            if state is not None:
                best.take(order, state.residencies, state.moves, state.inplace)
        if best.is_enough:
            break
    return best.plan
