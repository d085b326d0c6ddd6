"""Graph JSON and plan JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan


def graph_text(graph: Graph) -> str:
    """The graph as JSON, a tensor or op a line."""
    return _lines(graph.to_dict(), ("tensors", "ops"))


def plan_text(plan: Plan) -> str:
    """The plan as JSON, a residency or move a line."""
    return _lines(plan_dict(plan), ("residencies", "moves"))


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


def without_times(plan: Plan) -> Plan:
    """The plan with its timing fields zeroed: equal plans stay equal from run to run."""
    return replace(plan, seconds=0.0, total_seconds=0.0)


def _lines(d: dict[str, Any], long: tuple[str, ...]) -> str:
    """JSON with one line per key, and per item of the `long` lists."""
    encode = json.JSONEncoder(separators=(", ", ": ")).encode
    parts = []
    for key, value in d.items():
        if key in long and value:
            rows = ",\n  ".join(map(encode, value))
            parts.append(f"{encode(key)}: [\n  {rows}\n]")
        else:
            parts.append(f"{encode(key)}: {encode(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
