"""A solver's answer judged: checked, its metrics, value and status filled in."""

from __future__ import annotations

from dataclasses import replace

from memplan.base.errors import InvalidPlanError
from memplan.ir.graph import Graph
from memplan.judge.check.check import check as check_rules
from memplan.judge.check.claims import proved_status, slack
from memplan.judge.check.violation import Violation
from memplan.judge.notes import cost_notes
from memplan.judge.simulate import simulate as simulate_plan
from memplan.problem.plan import Plan, Status


def evaluate(graph: Graph, found: Plan) -> Plan:
    """The plan with its metrics, value and status filled in, checked: InvalidPlanError if a rule breaks."""
    if found.status in (Status.INFEASIBLE, Status.UNKNOWN):
        return found
    refuse(check_rules(graph, found, claims=False))
    metrics = simulate_plan(graph, found)
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
        raise InvalidPlanError("the plan is not valid:\n  " + "\n  ".join(shown + more))
