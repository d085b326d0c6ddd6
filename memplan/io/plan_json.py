"""Plan JSON, written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memplan.base.files import write_atomic
from memplan.io.lines import one_line_an_item
from memplan.problem.plan import Plan


def plan_text(plan: Plan) -> str:
    """The plan as JSON, a residency or move a line."""
    return one_line_an_item(plan_dict(plan), ("residencies", "moves"))


def write_plan(plan: Plan, path: str | Path) -> Path:
    """Write the plan as JSON, which `read_plan` reads back; nobody ever sees half a file.

    A capacity without limit is recorded as the plan's own peak.

    Args:
        plan: the plan.
        path: the file; its folder is made where it is not there.

    Returns:
        The path.

    Raises:
        MemplanError: the file cannot be written.
    """
    return write_atomic(Path(path), plan_text(plan))


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON types. A capacity without limit is recorded as the plan's own peak."""
    target = plan.target
    if target.scratchpad.capacity is None:
        align = target.scratchpad.alignment
        target = target.with_scratchpad(max(plan.metrics.peak, align, 1))
    d: dict[str, Any] = {
        "format": "memplan-plan",
        "version": 1,
        "graph": plan.graph,
        "graph_sha256": plan.graph_sha256,
        "target": target.to_dict(),
        "options": plan.options.to_dict(),
        "solver": plan.solver,
        "seed": plan.seed,
        "workers": plan.workers,
        "status": str(plan.status),
        "value": plan.value,
        "bound": plan.bound,
        "seconds": round(plan.seconds, 6),
        "total_seconds": round(plan.total_seconds, 6),
    }
    if plan.budget_proved is not None:
        d["budget_proved"] = plan.budget_proved
    if plan.reason:
        d["reason"] = plan.reason
    if plan.notes:
        d["notes"] = list(plan.notes)
    return d | {
        "schedule": list(plan.schedule),
        "residencies": [r._asdict() for r in plan.residencies],
        "moves": [m._asdict() for m in plan.moves],
        "aliases": dict(plan.aliases),
        "inplace": dict(plan.inplace),
        "metrics": plan.metrics._asdict(),
    }
