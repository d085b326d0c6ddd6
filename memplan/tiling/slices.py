"""Tiles cut once more, along the channels: an op that works on each of them alone copies a part of its operands at once."""

from __future__ import annotations

from memplan.ir.boxes import Box
from memplan.ir.graph import Graph
from memplan.ir.needs import cut_axes
from memplan.ir.parts import Access, Op
from memplan.tiling.calls import renames


def slice_axis(graph: Graph, op: Op) -> int | None:
    """The axis of the op's one result along which its tiles can be cut into slices; None where there is none.

    It is the first axis longer than 1, so that a slice lies in one piece within a tile's row-major chunk; each operand
    that is no constant follows it one to one, so that a slice reads no more than its share of it.
    """
    if len(op.results) > 1 or renames(graph, op):
        return None
    shape = graph.tensor[op.results[0]].shape or ()
    axis = next((k for k, size in enumerate(shape) if size > 1), None)
    if axis is None or axis not in cut_axes(op):
        return None
    read = [n for n, name in enumerate(op.inputs) if graph.tensor[name].kind != "constant"]
    return axis if read and all(Access(axis) in op.needs[n] for n in read) else None


def slices(graph: Graph, op: Op, box: Box, count: int) -> list[Box]:
    """The box of the op's result in at most so many slices, all but the last of the same size; the box where it has none."""
    axis = slice_axis(graph, op)
    if axis is None:
        return [box]
    first, stop = box[axis]
    size = -(-(stop - first) // count)
    return [(*box[:axis], (at, min(at + size, stop)), *box[axis + 1 :]) for at in range(first, stop, size)]
