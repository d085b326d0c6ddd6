"""`placement`: in which memory each storage lies over its whole life, and where, at the least cost of all accesses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memplan.problem.places import Placeable, compulsory
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.moving import ANYWHERE
from memplan_solvers.placement.exact import EXACT_GAP, cheapest
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.layout import Layout
from memplan_solvers.placement.lives import Lives
from memplan_solvers.placement.program import Choice, crowds_of_any
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
    supports: ClassVar[Capabilities] = ANYWHERE

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The cheapest placement found, with what is proved of all plans."""
        if (homeless := next((item for item in problem.placeables if not item.places), None)) is not None:
            status = Status.INFEASIBLE if is_still(problem) else Status.UNKNOWN
            return self.no_answer(problem, limits, status, _nowhere(problem, homeless))
        bound, free = _bound_for_any_order(problem, limits), compulsory(problem.placeables)
        best, first = self._filled(problem, limits, bound + free)
        start = best.lives if best is not None else first
        if start is not None and not (best is not None and best.traffic <= bound * (1 + EXACT_GAP)):
            found = cheapest(start, limits, best)
            best = found.layout
            if is_still(problem) and problem.options.order == "program":
                bound = max(bound, found.bound - free)
                if found.impossible:
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

    def _filled(self, problem: Problem, limits: Limits, enough: float) -> tuple[Layout | None, Lives | None]:
        """The cheapest filling of all orders, and the first order, for which the program is solved where there is none."""
        best, first = None, None
        patience = limits.share(PATIENCE)
        for order in orders(problem):
            lives = Lives(problem, order)
            first = first or lives
            found = best_filled(lives, limits.seed, patience.spent, enough)
            if found is not None and (best is None or found.cost < best.cost):
                best = found
                limits.report("filling", best.traffic, problem.free_bound)
            if patience.spent() or (best is not None and best.cost <= enough):
                break
        return best, first


def is_still(problem: Problem) -> bool:
    """Whether every plan is a placement: nothing can be moved, and no donated buffer be handed on."""
    return problem.target.queues == 0 and not (problem.options.donate and problem.graph.updates)


def _bound_for_any_order(problem: Problem, limits: Limits) -> float:
    """A lower bound on the traffic of every plan: where nothing is moved, what an op touches fits together."""
    if not is_still(problem) or limits.spent():
        return problem.free_bound
    from memplan_solvers.ilp.mathopt import solve_mathopt

    choice = Choice(problem, list(crowds_of_any(problem)))
    if len(choice.program.rows) == len(problem.placeables):  # each op fits wherever its operands lie
        return problem.free_bound
    outcome = solve_mathopt(choice.program, limits.share(PATIENCE))
    return max(problem.free_bound, choice.lower(outcome.bound) - compulsory(problem.placeables))


def _nowhere(problem: Problem, item: Placeable) -> str:
    """Why a storage has no place."""
    ops = ", ".join(f"'{problem.graph.ops[i].name}'" for i in item.touches[:4])
    where = f"at home in {item.home}" if item.is_given or item.is_output else "in one memory"
    return f"'{item.name}' ({item.nbytes} bytes) would have to lie {where}, which {ops} cannot all use"
