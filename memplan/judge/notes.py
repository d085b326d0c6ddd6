"""What a plan's numbers leave out."""

from __future__ import annotations

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan

NAMED = 8
"""How many ops of each kind a note names."""


def cost_notes(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """What a latency leaves out: a sentence for each kind of op whose flops are unknown, with their number and names."""
    unknown: dict[str, list[str]] = {}
    for op in graph.ops if plan.options.objective == "latency" else ():
        if op.flops is None and not op.view:
            unknown.setdefault(op.kind, []).append(op.name)
    return tuple(
        f"{len(names)} {kind} of unknown flops, timed by bytes alone: "
        + ", ".join(names[:NAMED])
        + (", …" if names[NAMED:] else "")
        for kind, names in unknown.items()
    )
