"""What a plan's numbers leave out."""

from __future__ import annotations

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan

NAMED = 8
"""How many ops of each kind a note names."""


def cost_notes(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """What a latency or a cost of computing leaves out: a sentence for each kind of op whose flops are unknown, with
    their number and names."""
    so = {"latency": "timed by bytes alone", "compute": "counted as none"}.get(plan.options.objective)
    unknown: dict[str, list[str]] = {}
    for op in graph.ops if so else ():
        if op.flops is None and not op.view:
            unknown.setdefault(op.kind, []).append(op.name)
    return tuple(
        f"{len(names)} {kind} of unknown flops, {so}: "
        + ", ".join(names[:NAMED])
        + (", …" if names[NAMED:] else "")
        for kind, names in unknown.items()
    )
