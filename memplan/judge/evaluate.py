"""A solver's answer judged: checked, its metrics, value and status filled in."""

from __future__ import annotations

from dataclasses import replace

from memplan.base.errors import InvalidPlanError
from memplan.base.garbage import collection_paused
from memplan.ir.graph import Graph
from memplan.judge.check.check import broken
from memplan.judge.check.claims import proved_status, slack
from memplan.judge.check.violation import Violation
from memplan.judge.notes import cost_notes
from memplan.judge.simulate import simulate
from memplan.problem.plan import Plan, Status

TOUCH_S = 2e-5
"""Seconds that judging a plan takes for each operand of each op, at most: measured from 7e-6 (10,000 ops, little
spilled) to 2e-5 (100,000 ops, nearly everything is).
"""


def judging_seconds(graph: Graph) -> float:
    """About how long `evaluate` takes for a plan of the graph: counted, so that it is the same each time."""
    return TOUCH_S * sum(len(op.inputs) + len(op.outputs) for op in graph.ops)


@collection_paused()
def evaluate(graph: Graph, found: Plan) -> Plan:
    """The plan with its metrics, value and status filled in, checked: InvalidPlanError if a rule breaks."""
    if found.status in (Status.INFEASIBLE, Status.UNKNOWN):
        return found
    violations, copies = broken(graph, found)
    refuse(violations)
    metrics = simulate(graph, found, copies)
    value = metrics.value(found.options.objective)
    if not found.bound <= value * (1 + slack(value)):
        claim = f"solver '{found.solver}' claims the bound {found.bound} above the value {value}"
        raise InvalidPlanError(claim, "this is a bug in the solver")
    whole = found.options.objective != "latency" and float(found.bound).is_integer()
    bound = int(found.bound) if whole else found.bound
    notes = cost_notes(graph, found)
    return replace(
        found, metrics=metrics, value=value, bound=bound, status=proved_status(value, bound), notes=notes
    )


def refuse(violations: list[Violation]) -> None:
    """Raise InvalidPlanError with the first few violations, if there are any."""
    if violations:
        shown = [str(v) for v in violations[:10]]
        more = [f"and {len(violations) - 10} more"] if len(violations) > 10 else []
        hint = "name the model that was planned, or plan this one" if violations[0].rule == "graph" else ""
        raise InvalidPlanError("the plan is not valid:\n  " + "\n  ".join(shown + more), hint)
