"""What a tiling costs beside bytes: what is computed again, and whether the results stay the same bit for bit."""

from __future__ import annotations

from memplan.ir.boxes import volume, whole
from memplan.ir.graph import Graph
from memplan.ir.parts import Access, Op

INTEGERS = ("int", "uint", "bool")
"""How names of types begin whose sums are the same in any order."""

EXACT = ("by type", "by rule", "no")
"""Whether tiles compute what the whole computes, to the bit: since all that is added up are integers; since each element
of the results is computed by itself, of operands that are the same; or nobody knows, as where floats are added up in
windows, which some kernels do in another order for another shape."""


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


def exactness(graph: Graph, derived: Graph) -> str:
    """Which of EXACT holds for all tiles of the graph derived from `graph`."""
    tiled = {op.tile[0] for op in derived.ops if op.tile is not None}
    return max(
        (_exactness(graph, op) for op in graph.ops if op.name in tiled), key=EXACT.index, default=EXACT[0]
    )


def _exactness(graph: Graph, op: Op) -> str:
    if all((graph.tensor[name].dtype or "").startswith(INTEGERS) for name in op.results):
        return "by type"
    itself = all(
        access is None or access == Access(access.axis) for operand in op.needs for access in operand
    )
    return "by rule" if itself else "no"
