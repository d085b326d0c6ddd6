"""What a tiling costs beside bytes: what is computed again."""

from __future__ import annotations

from memplan.ir.boxes import volume, whole
from memplan.ir.graph import Graph


def mac_factor(graph: Graph, derived: Graph) -> float:
    """What all ops of the graph derived from `graph` compute, as a multiple of what those of `graph` do; 1 where nobody
    knows what they cost."""
    original = {op.name: op for op in graph.ops}
    cost = sum(op.flops or 0 for op in graph.ops)
    again = 0.0
    for op in derived.ops:
        if op.tile is None:
            again += op.flops or 0
        else:
            of = original[op.tile[0]]
            everything = volume(whole(graph.tensor[of.results[0]].shape or ()))
            again += (of.flops or 0) * volume(op.tile[1]) / max(everything, 1)
    return again / cost if cost else 1.0
