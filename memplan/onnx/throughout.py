"""What of an ONNX program's graph holds at every size that ranges allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from memplan.ir.graph import Graph
from memplan.ir.grid import Grid
from memplan.ir.parts import Op
from memplan.ir.ranges import grown, planned_tensors, throughout, unproved
from memplan.onnx.bounds import TensorType
from memplan.onnx.family import FEW, Family


def held_throughout(
    graph: Graph,
    proto: Any,
    nodes: Sequence[Any],
    axes: Mapping[tuple[str, int], str],
    ranges: Mapping[str, tuple[int, int]],
    types: Mapping[str, TensorType],
    bounds: Mapping[str, object],
) -> Graph:
    """The graph, of the upper ends of `ranges`, without what does not hold for all sizes in them.

    `nodes` are all of the program's, in order, `axes` the names of the inputs' open dimensions, `types` what
    is known at the upper ends. GraphError where a tensor grows as a dimension shrinks, or where its size
    cannot be told for each.
    """
    grid = Grid(ranges)
    family = Family(grid, proto.opset_import, types)
    for name, (_, shape) in types.items():
        if name not in graph.producer:
            columns = [grid.columns.get(axes.get((name, k), "")) for k in range(len(shape))]
            family.sizes[name] = tuple(
                family.column(grid.full(size) if column is None else column)
                for column, size in zip(columns, shape, strict=True)
            )
    for name, array in _small(proto.graph):
        family.give(name, array)
    for node in nodes:
        family.follow(node, bounds)
    _refuse_growth(graph, family)
    sizes = family.sizes

    def joined(op: Op) -> bool:
        parts = sorted(op.joins, key=lambda join: join[1])
        return not any(family.codes[i].any() for part, _ in parts[:-1] for i in sizes[part])

    return replace(graph, ops=throughout(graph, lambda a, b: sizes[a] == sizes[b], joined))


def _small(graph: Any) -> Iterator[tuple[str, NDArray[Any]]]:
    """The stored tensors whose values can matter to a size."""
    for weight in graph.initializer:
        external = weight.data_location == onnx.TensorProto.EXTERNAL
        if not external and weight.data_type != onnx.TensorProto.STRING and np.prod(weight.dims) <= FEW:
            yield weight.name, onnx.numpy_helper.to_array(weight)


def _refuse_growth(graph: Graph, family: Family) -> None:
    """GraphError for the first tensor that grows as a dimension shrinks, or whose size is not told."""
    grid = family.grid
    for t in planned_tensors(graph):
        sizes = family.sizes.get(t.name)
        if sizes is None:
            raise unproved(graph, t.name, "shape inference does not tell its size throughout")
        columns = [family.columns[i] for i in sizes]
        if tuple(int(column[-1]) for column in columns) != t.shape:
            raise unproved(graph, t.name, "its size at the upper ends is told in two ways")
        elements = grid.product(columns)
        if (points := grid.fall(elements)) is not None:
            where = [f"{elements[p]:,} elements at {grid.words(p)}" for p in points]
            raise grown(graph, t.name, where)
