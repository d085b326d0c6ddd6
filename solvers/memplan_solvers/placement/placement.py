"""`placement`: in which memory each storage lies over its whole life, and where, at the least cost of all accesses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

from memplan.problem.placeable import Placeable
from memplan.problem.places import compulsory
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.joins import best_joined
from memplan_solvers.moving import ANYWHERE
from memplan_solvers.placement.exact import EXACT_GAP, cheapest
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.layout import PlacementLayout
from memplan_solvers.placement.lives import Lives
from memplan_solvers.placement.program import PlacementProgram, crowds_of_any
from memplan_solvers.schedule.orders import orders

PATIENCE = 0.5
"""Share of the time within which orders are filled; the rest is for the integer program."""


@dataclass(frozen=True)
class Placement(Solver):
    """Every storage in one memory: inputs are loaded once at most, outputs stored once at most, nothing else is moved.

    The bound holds for every plan: where nothing can be moved and the order is the program's it is that of the integer
    program, which is often met; elsewhere what each op can do without decides.
    """

    name: ClassVar[str] = "placement"
    summary: ClassVar[str] = (
        "each tensor in one memory of several, by an integer program and the packer: proved for one order"
    )
    supports: ClassVar[Capabilities] = replace(ANYWHERE, objectives=("traffic",), operands=("direct",))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The cheapest placement found, with some ops joined or none."""
        if problem.options.join:
            return best_joined(self, problem, limits, self._decided)
        return self._decided(problem, limits)

    def _decided(self, problem: Problem, limits: Limits) -> Plan:
        """The cheapest placement found, with what is proved of all plans."""
        if (homeless := next((item for item in problem.placeables if not item.places), None)) is not None:
            status = Status.INFEASIBLE if is_still(problem) else Status.UNKNOWN
            return self.no_answer(problem, limits, status, _nowhere(problem, homeless))
        bound, free = _bound_for_any_order(problem, limits), compulsory(problem.placeables)
        if bound == inf:
            reason = "the memories are too small for what some op touches"
            return self.no_answer(problem, limits, Status.INFEASIBLE, reason)
        found = self._filled(problem, limits, bound + free)
        best = min((layout for _, layout in found if layout), key=lambda x: x.cost, default=None)
        for lives, layout in found:
            if limits.spent() or (best is not None and best.traffic <= bound * (1 + EXACT_GAP)):
                break
            exact = cheapest(lives, limits, layout, inf if best is None else best.cost)
            if exact.layout is not None and (best is None or exact.layout.cost < best.cost):
                best = exact.layout
            if is_still(problem) and problem.options.order == "program":
                bound = max(bound, exact.bound - free)
                if exact.impossible:
                    reason = "the memories are too small for what the program's order has alive at a time"
                    return self.no_answer(problem, limits, Status.INFEASIBLE, reason)
        if best is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, "no placement without spills was found")
        if bound < best.traffic <= bound * (1 + EXACT_GAP):
            bound = best.traffic
        limits.report("placement", best.traffic, bound)
        residencies, moves, inplace = best.parts()
        return self.answer(
            problem,
            limits,
            order=best.lives.order,
            residencies=residencies,
            moves=moves,
            inplace=inplace,
            bound=bound,
        )

    def _filled(
        self, problem: Problem, limits: Limits, enough: float
    ) -> list[tuple[Lives, PlacementLayout | None]]:
        """The orders with their cheapest fillings, the most promising first; ends at a cost of `enough`."""
        found, least = list[tuple[Lives, PlacementLayout | None]](), inf
        patience = limits.share(PATIENCE)
        for order in orders(problem):
            lives = Lives(problem, order)
            layout = best_filled(lives, limits, patience, enough)
            found.append((lives, layout))
            if layout is not None and layout.cost < least:
                least = layout.cost
                limits.report("filling", layout.traffic, problem.free_bound)
            if patience.spent() or least <= enough:
                break
        return sorted(found, key=lambda x: inf if x[1] is None else x[1].cost)


def is_still(problem: Problem) -> bool:
    """Whether every plan is a placement: nothing can be moved, and no donated buffer be handed on."""
    return problem.target.queues == 0 and not (problem.options.donate and problem.graph.updates)


def _bound_for_any_order(problem: Problem, limits: Limits) -> float:
    """A lower bound on the traffic of every plan: where nothing is moved, what an op touches fits together.

    Infinite where some op has no room for what it touches.
    """
    if not is_still(problem) or limits.spent():
        return problem.free_bound
    from memplan_solvers.ilp.mathopt import solve_mathopt

    choice = PlacementProgram(problem, list(crowds_of_any(problem)))
    if len(choice.program.rows) == len(problem.placeables):  # each op fits wherever its operands lie
        return problem.free_bound
    outcome = solve_mathopt(choice.program, limits.share(PATIENCE))
    if outcome.infeasible:
        return inf
    return max(problem.free_bound, choice.lower(outcome.bound) - compulsory(problem.placeables))


def _nowhere(problem: Problem, item: Placeable) -> str:
    """Why a storage has no place."""
    ops = ", ".join(f"'{problem.graph.ops[i].name}'" for i in item.touches[:4])
    where = f"at home in {item.home}" if item.is_given or item.is_output else "in one memory"
    return f"'{item.name}' ({item.nbytes} bytes) would have to lie {where}, which {ops} cannot all use"
