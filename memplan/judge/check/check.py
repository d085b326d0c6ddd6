"""The rules a plan must obey, decided from the graph, the target, the options and the plan alone.

Shares no code with a solver. O(n log n) in residencies, moves and operands.
"""

from __future__ import annotations

from memplan.base.errors import OptionError, PlanError
from memplan.base.garbage import collection_paused
from memplan.ir.graph import Graph
from memplan.judge.check.claims import claims as recomputed
from memplan.judge.check.forms import forms
from memplan.judge.check.inplace import inplace
from memplan.judge.check.joined import joinable, joined
from memplan.judge.check.operands import operands
from memplan.judge.check.origins import moves, origins
from memplan.judge.check.outputs import outputs
from memplan.judge.check.pins import pins
from memplan.judge.check.policies import policies
from memplan.judge.check.schedule import schedule
from memplan.judge.check.space import space
from memplan.judge.check.tiles import tiles
from memplan.judge.check.violation import Violation
from memplan.judge.copies import Copies
from memplan.judge.plan_view import PlanView
from memplan.problem.plan import Plan, Status, graph_mismatch, planned_graph

RULES = (joined, inplace, space, origins, moves, operands, outputs, policies, pins)
"""What is decided once the plan's schedule, names and ranges are sound."""


@collection_paused()
def check(graph: Graph, plan: Plan, *, claims: bool = True) -> list[Violation]:
    """Everything that is wrong with the plan; with `claims`, also numbers that do not recompute, or only that the
    plan was made for another graph.

    Never raises on a malformed plan. Where the schedule or the names are unusable, the rules that
    need them are left out.
    """
    if claims and (wrong := graph_mismatch(graph, plan)):
        return [Violation("graph", wrong)]
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        parts = (plan.schedule, plan.residencies, plan.moves, plan.inplace, plan.joined)
        return [Violation("status", f"a plan that is {plan.status} carries a schedule")] if any(parts) else []
    if plan.tiling:
        try:
            derived = planned_graph(graph, plan)
        except (OptionError, PlanError) as error:
            return [Violation("tiles", error.message)]
        if wrong_tiles := list(tiles(graph, derived)):
            return wrong_tiles
        graph = derived
    found, copies = broken(graph, plan)
    return found or (recomputed(copies) if claims and copies else [])


def broken(graph: Graph, plan: Plan) -> tuple[list[Violation], Copies | None]:
    """The rules that a schedule, what it places and what it moves break, claims apart; and the copies that it makes,
    None where its names or ranges are unusable."""
    found = [*schedule(graph, plan), *forms(graph, plan), *joinable(graph, plan)]
    if found:
        return found, None
    view = PlanView(graph, plan)
    copies = Copies(view)
    return [violation for rule in RULES for violation in rule(view, copies)], copies
