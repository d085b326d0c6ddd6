"""Executes a derived graph by kernels on whole tensors in which everything is garbage that a tile does not say it needs."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import ModelProto, helper, numpy_helper

from memplan.ir.boxes import Box, whole
from memplan.ir.graph import Graph
from memplan.onnx.dtypes import ELEMENT_TYPES
from memplan.tiling.calls import Call, calls

Array = NDArray[Any]
NUMBER = {dtype: number for number, (dtype, *_) in ELEMENT_TYPES.items()}


def session(proto: ModelProto) -> ort.InferenceSession:
    """The model without any optimisation, on one thread."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])


class Reference:
    """A model, the values of all its tensors for seeded inputs, and a kernel for each op on its own."""

    def __init__(self, proto: ModelProto, graph: Graph) -> None:
        self.proto, self.graph = proto, graph
        rng = np.random.default_rng(3)
        inputs = {
            t.name: garbage(t.dtype or "", t.shape or (), rng) for t in graph.tensors if t.kind == "input"
        }
        self.values = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer} | inputs
        self.nodes = {n.name: n for n in proto.graph.node}
        for op in graph.ops:
            self.values |= dict(zip(op.results, self.kernel(op.name, self.values), strict=True))

    def kernel(self, name: str, values: dict[str, Array]) -> list[Array]:
        """The results of one op for these operands."""
        return self._session(name).run(
            None, {x.name: values[x.name] for x in self._session(name).get_inputs()}
        )

    @lru_cache(None)  # noqa: B019
    def _session(self, name: str) -> ort.InferenceSession:
        node, tensor = self.nodes[name], self.graph.tensor
        infos = [
            [
                helper.make_tensor_value_info(x, NUMBER[tensor[x].dtype], tensor[x].shape)
                for x in dict.fromkeys(filter(None, names))
            ]
            for names in (node.input, node.output)
        ]
        inner = helper.make_graph([node], "one", *infos)
        return session(helper.make_model(inner, opset_imports=self.proto.opset_import, ir_version=8))


def garbage(dtype: str, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Random elements."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.standard_normal(shape).astype(kind)
    return rng.integers(0, 2 if kind.kind == "b" else 100, shape).astype(kind)


def slices(box: Box, frame: Box) -> tuple[slice, ...]:
    """The box within an array that holds `frame`."""
    return tuple(
        slice(first - begin, stop - begin) for (first, stop), (begin, _) in zip(box, frame, strict=True)
    )


def execute(reference: Reference, derived: Graph) -> dict[str, Array]:
    """What every tensor of the derived graph holds; AssertionError where a tile is not what the whole op computes there."""
    rng = np.random.default_rng(5)
    known = calls(reference.graph, derived)
    held = {t.name: reference.values[t.name] for t in derived.tensors if t.kind in ("input", "constant")}
    for op in derived.ops:
        if op.name in known:
            _tile(reference, known[op.name], held, rng)
        else:
            for name in op.inputs:
                np.testing.assert_array_equal(held[name], reference.values[name], op.name)
            held |= {name: reference.values[name] for name in op.results}
    return held


def _tile(reference: Reference, call: Call, held: dict[str, Array], rng: np.random.Generator) -> None:
    operands: dict[str, Array] = {}
    for number, (name, operand) in enumerate(zip(call.op.inputs, call.operands, strict=True)):
        tensor = reference.graph.tensor[name]
        follows = call.op.needs[number] if call.op.needs else ()
        constant = tensor.kind == "constant" and not any(follows)  # sizes and the like are no garbage
        array = operands.setdefault(
            name,
            reference.values[name].copy()
            if constant
            else garbage(tensor.dtype or "", tensor.shape or (), rng),
        )
        for piece in operand.pieces:
            part = tuple(
                (max(a, c), min(b, d)) for (a, b), (c, d) in zip(operand.box, piece.frame, strict=True)
            )
            array[slices(part, whole(array.shape))] = held[piece.name][slices(part, piece.frame)]
    for name, result, array in zip(
        call.op.results, call.results, reference.kernel(call.op.name, operands), strict=True
    ):
        inside = slices(result.box, whole(array.shape))
        np.testing.assert_array_equal(array[inside], reference.values[name][inside], call.op.name)
        shape = tuple(stop - first for first, stop in result.piece.frame)
        made = garbage(str(array.dtype), shape, rng) if result.before is None else held[result.before].copy()
        made[slices(result.box, result.piece.frame)] = array[inside]
        held[result.piece.name] = made
