"""The sizes of an ONNX program's tensors at every size that ranges allow.

Nothing is known here of any operator: for each node, ONNX's own shape inference and reference kernels are asked at each
combination of operand sizes that occurs, once for all nodes that differ in names alone. So whatever is
found to hold for all of them is proved.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator

from memplan.ir.grid import Column, Grid
from memplan.onnx.bounds import TensorType
from memplan.onnx.shapes import typed
from memplan.onnx.sizes import RANDOM_KINDS
from memplan.onnx.uses import captured, subgraphs

FEW = 32
"""Elements up to which a tensor's values are followed: shapes, axes, paddings."""

SHAPE_KINDS = frozenset({"Shape", "Size"})
"""Kinds that read nothing of their operand but its size."""

Ids = tuple[int, ...]
"""Columns, by number: the sizes of a tensor's axes, or the values of its elements."""


class _Value(NamedTuple):
    """The elements of a small tensor at each point."""

    shape: tuple[int, ...]
    ids: Ids


class _Result(NamedTuple):
    """What one output of a node is: sizes, and values where they are followed."""

    sizes: Ids
    value: _Value | None


class Family:
    """The columns of sizes and values of tensors, by name, filled node by node in program order."""

    def __init__(self, grid: Grid, opsets: Sequence[Any], types: Mapping[str, TensorType]) -> None:
        self.grid, self.opsets, self.types = grid, list(opsets), types
        self.columns: list[Column] = []
        self.codes: list[NDArray[np.int64]] = []
        self.number: dict[tuple[str, bytes], int] = {}
        self.sizes: dict[str, Ids] = {}
        self.values: dict[str, _Value] = {}
        self.known: dict[Any, list[_Result | None]] = {}

    def column(self, values: Column) -> int:
        """The number of a column, the same for equal ones."""
        key = values.dtype.str, values.tobytes()
        if key not in self.number:
            self.number[key] = len(self.columns)
            self.columns.append(values)
            self.codes.append(np.unique(values, return_inverse=True)[1])
        return self.number[key]

    def constant(self, shape: Sequence[int]) -> Ids:
        """The columns of sizes that are the same everywhere."""
        return tuple(self.column(self.grid.full(size)) for size in shape)

    def varies(self, name: str) -> bool:
        """Whether the tensor's size, or a value that follows from sizes, is not the same everywhere."""
        value = self.values.get(name)
        ids = self.sizes[name] + (value.ids if value else ())
        return any(self.codes[i].any() for i in ids)

    def give(self, name: str, array: NDArray[Any]) -> None:
        """Take in a stored tensor whose values matter."""
        values: list[Column] = [np.full(self.grid.points, x, array.dtype) for x in array.reshape(-1)]
        self.values[name] = _Value(array.shape, tuple(map(self.column, values)))

    def follow(self, node: Any, bounds: Mapping[str, object]) -> None:
        """Take in the outputs of a node as far as they can be told; what is bounded has its bound everywhere."""
        reads = [name for name in (*node.input, *captured(node)) if name]
        outputs = [name for name in node.output if name]
        told: list[_Result | None] = [None] * len(node.output)
        if all(name in self.sizes and name in self.types for name in reads):
            varied = any(map(self.varies, reads))
            if next(subgraphs(node), None) is None:
                key = self._key(node)
                if key not in self.known:
                    self.known[key] = self._told(node)
                told = self.known[key]
            elif varied:
                return
            if not varied:  # whatever inference knew of it, a run or a bound told the rest
                for name in outputs:
                    if name in self.types:
                        self.sizes[name] = self.constant(self.types[name][1])
        for name, result in zip(node.output, told, strict=True):
            if name and result is not None:
                self.sizes.setdefault(name, result.sizes)
                if result.value is not None:
                    self.values[name] = result.value
        for name in outputs:
            if name in bounds:
                self.sizes[name] = self.constant(self.types[name][1])

    def _key(self, node: Any) -> Any:
        """What a node is known by when its like is met again."""
        bare = onnx.NodeProto()
        bare.CopyFrom(node)
        for field in ("name", "doc_string", "input", "output", "metadata_props"):
            bare.ClearField(field)
        operands = tuple(
            (self.types[x][0], self.sizes[x], self.values.get(x)) if x else None for x in node.input
        )
        return bare.SerializeToString(deterministic=True), operands, len(node.output)

    def _told(self, node: Any) -> list[_Result | None]:
        """The outputs of a node without bodies, None for each whose size inference does not tell."""
        names = dict.fromkeys(x for x in node.input if x)
        ids = dict.fromkeys(
            i for x in names for i in (*self.sizes[x], *(self.values[x].ids if x in self.values else ()))
        )
        code = np.zeros(self.grid.points, np.int64)
        for i in ids:
            if self.codes[i].any():
                code = np.unique(code * (int(self.codes[i].max()) + 1) + self.codes[i], return_inverse=True)[
                    1
                ]
        _, first, inverse = np.unique(code, return_index=True, return_inverse=True)
        shapes = self._inferred(node, list(names), first)
        found: list[_Result | None] = []
        for rows in shapes:
            if rows is None:
                found.append(None)
            else:
                found.append(_Result(tuple(self.column(axis[inverse]) for axis in rows.T), None))
        if (arrays := self._computed(node, list(names), first, shapes)) is not None:
            for k, array in enumerate(arrays):
                result = found[k]
                if result is not None:
                    flat = array.reshape(len(first), -1)[inverse]
                    value = _Value(
                        array.shape[1:], tuple(self.column(np.ascontiguousarray(x)) for x in flat.T)
                    )
                    found[k] = _Result(result.sizes, value)
        return found

    def _shape(self, name: str, point: Any) -> tuple[int, ...]:
        return tuple(int(self.columns[i][point]) for i in self.sizes[name])

    def _held(self, name: str, point: Any) -> NDArray[Any]:
        """The value of a tensor that is followed."""
        value = self.values[name]
        flat = [self.columns[i][point] for i in value.ids]
        dtype: Any = onnx.helper.tensor_dtype_to_np_dtype(self.types[name][0])
        return np.array(flat, dtype).reshape(value.shape)

    def _inferred(self, node: Any, names: list[str], points: NDArray[Any]) -> list[NDArray[np.int64] | None]:
        """Per output its shape at each of the points, a row each; None where inference leaves one open, or
        ranks differ.
        """
        batch = onnx.ModelProto(ir_version=8, opset_import=self.opsets)
        graph = batch.graph
        graph.name = "points"
        operands = {name: self._operands(graph, name, points) for name in names}
        for k in range(len(points)):
            own = graph.node.add()
            own.CopyFrom(node)
            own.name = ""
            own.input[:] = [operands[x][k] if x else "" for x in node.input]
            own.output[:] = [f"{k}>{i}" if x else "" for i, x in enumerate(node.output)]
        try:
            inferred = onnx.shape_inference.infer_shapes(batch, data_prop=True).graph.value_info
        except Exception:  # C++ exceptions of several kinds: operands that the op cannot take
            return [None] * len(node.output)
        shapes = {v.name: _static_shape(v.type) for v in inferred}
        found: list[NDArray[np.int64] | None] = []
        for i in range(len(node.output)):
            rows = [shapes.get(f"{k}>{i}") for k in range(len(points))]
            known = [row for row in rows if row is not None]
            alike = len(known) == len(rows) and len({len(row) for row in known}) == 1
            found.append(np.array(known, np.int64).reshape(len(rows), -1) if alike else None)
        return found

    def _operands(self, graph: Any, name: str, points: NDArray[Any]) -> list[str]:
        """The names under which a tensor is declared in `graph` at each of the points, alike where it is alike."""
        value = self.values.get(name)
        rows = np.stack(
            [self.codes[i][points] for i in (value.ids if value else self.sizes[name])] or [points * 0]
        )
        _, first, inverse = np.unique(rows, axis=1, return_index=True, return_inverse=True)
        for k, point in enumerate(points[first]):
            if value:
                graph.initializer.append(onnx.numpy_helper.from_array(self._held(name, point), f"{k}<{name}"))
            else:
                graph.input.append(typed(f"{k}<{name}", self.types[name][0], self._shape(name, point)))
        return [f"{k}<{name}" for k in inverse.reshape(-1)]

    def _computed(
        self, node: Any, names: list[str], points: NDArray[Any], shapes: list[NDArray[np.int64] | None]
    ) -> list[NDArray[Any]] | None:
        """Per output its elements at each of the points, where they follow from what is known and are few."""
        reads_sizes = node.op_type in SHAPE_KINDS
        if node.op_type in RANDOM_KINDS or not (reads_sizes or all(x in self.values for x in names)):
            return None
        if any(rows is None or (rows != rows[0]).any() or rows[0].prod() > FEW for rows in shapes):
            return None
        if any(name not in self.types for name in node.output):
            return None
        inputs = [typed(x, self.types[x][0], [None] * len(self.sizes[x])) for x in names]  # type: ignore[list-item]
        outputs = [onnx.helper.make_tensor_value_info(x, self.types[x][0], None) for x in node.output]
        graph = onnx.helper.make_graph([node], "one", inputs, outputs)
        try:
            kernel = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=self.opsets))
            rows = [kernel.run(None, self._fed(names, reads_sizes, point)) for point in points]
            return [np.stack([np.asarray(list(row)[i]) for row in rows]) for i in range(len(node.output))]
        except Exception:  # a form of the op that the reference kernels do not know
            return None

    def _fed(self, names: list[str], reads_sizes: bool, point: Any) -> dict[str, Any]:
        if reads_sizes:
            return {x: np.broadcast_to(np.float32(0), self._shape(x, point)) for x in names}
        return {x: self._held(x, point) for x in names}


def _static_shape(type_proto: Any) -> tuple[int, ...] | None:
    tensor = type_proto.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(d.dim_value for d in tensor.shape.dim)
