"""Plans for targets of any memories: each storage in one place, or moved on demand, whichever costs less.

Where latency is minimised, a byte costs the seconds that its memory needs for it, and copies are put beside the ops.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

from memplan.judge.copies import Copies
from memplan.judge.cost import accessed
from memplan.judge.plan_view import PlanView
from memplan.judge.timeline import timeline
from memplan.machine.two_level import beyond_two_level
from memplan.problem.places import compulsory
from memplan.problem.plan import InPlace, Move, Plan, Residency
from memplan.problem.problem import Problem
from memplan.solving.capabilities import PINNED, Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.beside_ops import beside_ops
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.lives import Lives
from memplan_solvers.replace.memories import ResidencyPolicy, moved_on_demand
from memplan_solvers.schedule.orders import orders

BRIEF = (0, 1, 4, -1)
"""Steps within which who is done with lies apart from the others, in the order in which they are tried."""


PATIENCE = 0.4
"""Share of the remaining time within which an order's placements are looked at; the rest is for moves."""

HASTES = (1.0, 2.0, 8.0)
"""How many times its own seconds each copy is given, as far as there is space: one plan for each."""

ANYWHERE = Capabilities(
    ("traffic", "latency"), memories="any", accesses=True, queues=None, pins=tuple(PINNED)
)
"""What heuristics that know any memories plan for."""


def beyond_scratchpad(problem: Problem) -> bool:
    """Whether accesses are counted, or seconds, on a target whose plans place storages in any of its memories.

    Seconds are on all targets but scratchpad machines, accesses also where ops use the backing memory of one.
    """
    objective, beyond = problem.options.objective, bool(beyond_two_level(problem.target))
    return (objective == "latency" and beyond) or (
        objective == "traffic" and (beyond or problem.target.direct)
    )


def stepped(problem: Problem) -> Problem:
    """The problem of the step model whose cheap plans are fast: a byte costs the seconds of its memory's bandwidth."""
    memories = tuple(
        m if m.bandwidth is None else replace(m, byte_cost=1 / m.bandwidth) for m in problem.target.memories
    )
    target = replace(problem.target, memories=memories)
    return replace(problem, target=target, options=replace(problem.options, objective="traffic"))


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
        """Keep the plan made of these if it is cheaper, its copies beside its ops where these take time."""
        plan = self.solver.answer(
            self.problem,
            self.limits,
            order=list(order),
            residencies=residencies,
            moves=moves,
            inplace=inplace,
        )
        if self.problem.options.objective == "traffic":
            self._keep(plan, accessed(Copies(PlanView(self.problem.graph, plan))))
            return
        for timed in (plan, *beside_ops(self.problem.graph, plan, HASTES)):
            self._keep(timed, timeline(self.problem.graph, timed).latency_s)

    def _keep(self, plan: Plan, value: float) -> None:
        if value < self.value:
            self.plan, self.value = plan, value
            self.limits.report(self.solver.name, value, self.problem.free_bound)


def best_moving(solver: Solver, problem: Problem, limits: Limits) -> Plan | None:
    """The cheapest plan of these heuristics over all orders, in the solver's name; None where none finds a plan."""
    best = _Best(solver, problem, limits)
    timeless = stepped(problem) if problem.options.objective == "latency" else problem
    for order in orders(problem):
        lives = Lives(timeless, order)
        if all(item.places for item in timeless.placeables):
            enough = timeless.free_bound + compulsory(timeless.placeables)
            layout = best_filled(lives, limits, limits.share(PATIENCE), enough)
            if layout is not None:
                best.take(order, *layout.parts())
        fetching = (False,) if timeless is problem else (False, True)
        policies = product((True, False), BRIEF, fetching) if problem.target.queues else ()
        for policy in map(ResidencyPolicy._make, policies):
            if best.is_enough:
                break
            state = moved_on_demand(lives, policy, limits.spent)
            if state is not None:
                best.take(order, state.residencies, state.moves, state.inplace)
        if best.is_enough:
            break
    return best.plan
