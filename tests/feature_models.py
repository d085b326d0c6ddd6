"""Small ONNX models, one per feature that the executor and the annotating emitter must bear."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from memplan.ir.model import Model
from memplan.onnx.read import model_from_proto

Info = tuple[str, int, list[int]]
F32, F16, I64, I32, BOOL, I4 = (
    TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL,
    TensorProto.INT4,
)  # fmt: skip


def proto(
    nodes: Sequence[Any],
    inputs: Sequence[Info],
    outputs: Sequence[Info],
    weights: dict[str, Any] | None = None,
    opset: int = 21,
    ir_version: int = 10,
) -> ModelProto:
    """A ModelProto; `weights` are arrays by name."""
    tensors = [numpy_helper.from_array(np.asarray(w), name) for name, w in (weights or {}).items()]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(*i) for i in inputs],
        [helper.make_tensor_value_info(*o) for o in outputs],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def load(model: ModelProto, name: str = "net", folder: str = ".") -> Model:
    """The model as the importer makes it."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return model_from_proto(copy, name, folder, {})


def _weight(*shape: int) -> Any:
    return np.random.default_rng(7).standard_normal(shape).astype(np.float32)


def _node(kind: str, reads: str, writes: str, **attributes: Any) -> Any:
    """A node from operand names separated by spaces, "-" where one is absent."""
    names = [["" if n == "-" else n for n in text.split()] for text in (reads, writes)]
    return helper.make_node(kind, names[0], names[1], **attributes)


def branches() -> ModelProto:
    """Convolutions in four parallel branches, so that small budgets spill."""
    nodes = [_node("Conv", "x w", "s", pads=[1, 1, 1, 1])]
    for i in range(4):
        nodes += [
            _node("Conv", f"s w{i}", f"a{i}"),
            _node("Relu", f"a{i}", f"b{i}"),
            _node("ReduceMean", f"b{i} axes", f"m{i}"),
            _node("Sub", f"b{i} m{i}", f"c{i}"),
        ]
    nodes += [
        _node("Add", "c0 c3", "d"),
        _node("Add", "c1 c2", "e"),
        _node("Mul", "d e", "f"),
        _node("Add", "f s", "y"),
    ]
    weights = {"w": _weight(8, 3, 3, 3), "axes": np.array([1])} | {
        f"w{i}": _weight(8, 8, 1, 1) for i in range(4)
    }
    return proto(nodes, [("x", F32, [1, 3, 9, 9])], [("y", F32, [1, 8, 9, 9])], weights)


def chain() -> ModelProto:
    """Elementwise ops in a row, one of them on two operands: in-place pairs."""
    nodes = [
        _node("MatMul", "x w", "a"),
        _node("Relu", "a", "b"),
        _node("Add", "b bias", "c"),
        _node("Tanh", "c", "d"),
        _node("Mul", "d d", "e"),
        _node("Sub", "e bias", "y"),
    ]
    weights = {"w": _weight(13, 13), "bias": _weight(13)}
    return proto(nodes, [("x", F32, [7, 13])], [("y", F32, [7, 13])], weights)


def views() -> ModelProto:
    """Views of views, of an input, and an output that is a view."""
    nodes = [
        _node("Reshape", "x s", "v"),
        _node("Relu", "v", "a"),
        _node("Flatten", "a", "f"),
        _node("MatMul", "f w", "b"),
        _node("Unsqueeze", "b axes", "u"),
        _node("Identity", "u", "i"),
        _node("Exp", "a", "e"),
        _node("ReduceSum", "e", "r", keepdims=0),
        _node("Add", "i r", "y"),
        _node("Squeeze", "y axes", "z"),
    ]
    weights = {"s": np.array([3, 2, 5]), "w": _weight(10, 4), "axes": np.array([0])}
    return proto(nodes, [("x", F32, [6, 5])], [("z", F32, [3, 4]), ("i", F32, [1, 3, 4])], weights)


def many_outputs() -> ModelProto:
    """Split, TopK with integer outputs, and outputs that nobody reads."""
    nodes = [
        _node("Split", "x", "a b c", axis=0, num_outputs=3),
        _node("TopK", "a k", "v i"),
        _node("TopK", "b k", "unused j"),
        _node("Gather", "c i", "g", axis=1),
        _node("Add", "v v", "y"),
        _node("Cast", "j", "z", to=F32),
    ]
    outputs = [("y", F32, [2, 3]), ("z", F32, [2, 3]), ("g", F32, [2, 2, 3]), ("i", I64, [2, 3])]
    return proto(nodes, [("x", F32, [6, 9])], outputs, {"k": np.array([3])})


def recurrent() -> ModelProto:
    """LSTM and GRU with absent optional inputs and outputs, and sequence lengths."""
    nodes = [
        _node("LSTM", "x W R - lens", "a h -", hidden_size=4),
        _node("Squeeze", "a one", "b"),
        _node("GRU", "b W2 R2", "- y", hidden_size=3),
        _node("Relu", "h", "z"),
    ]
    weights = {
        "W": _weight(1, 16, 5),
        "R": _weight(1, 16, 4),
        "one": np.array([1]),
        "W2": _weight(1, 9, 4),
        "R2": _weight(1, 9, 3),
    }
    inputs = [("x", F32, [6, 2, 5]), ("lens", I32, [2])]
    return proto(nodes, inputs, [("y", F32, [1, 2, 3]), ("z", F32, [1, 2, 4])], weights, opset=14)


def control_flow() -> ModelProto:
    """An If and a Loop whose bodies read outer activations, constants and the input."""

    def info(name: str, kind: int, shape: list[int]) -> Any:
        return helper.make_tensor_value_info(name, kind, shape)

    yes = helper.make_graph([_node("Mul", "a w", "t")], "yes", [], [info("t", F32, [3, 4])])
    no = helper.make_graph([_node("Sub", "x a", "e")], "no", [], [info("e", F32, [3, 4])])
    body = helper.make_graph(
        [_node("Add", "state a", "grown"), _node("Mul", "grown half", "next"), _node("Identity", "go", "on")],
        "body",
        [info("i", I64, []), info("go", BOOL, []), info("state", F32, [3, 4])],
        [info("on", BOOL, []), info("next", F32, [3, 4])],
        [numpy_helper.from_array(np.float32(0.5), "half")],
    )
    nodes = [
        _node("Relu", "x", "a"),
        _node("If", "cond", "b", then_branch=yes, else_branch=no),
        _node("Loop", "trips - b", "c", body=body),
        _node("Exp", "c", "y"),
    ]
    inputs = [("x", F32, [3, 4]), ("cond", BOOL, []), ("trips", I64, [])]
    return proto(nodes, inputs, [("y", F32, [3, 4])], {"w": _weight(4)})


def quantised() -> ModelProto:
    """uint8, int8, int32 and packed 4-bit tensors as activations."""
    nodes = [
        _node("QuantizeLinear", "x s z", "q"),
        _node("MatMulInteger", "q w z", "i"),
        _node("Cast", "i", "f", to=F32),
        _node("QuantizeLinear", "f s4 z4", "n"),
        _node("DequantizeLinear", "n s4 z4", "y"),
    ]
    weights = {
        "s": np.float32(0.02),
        "z": np.uint8(128),
        "s4": np.float32(300.0),
        "w": np.random.default_rng(3).integers(-9, 9, (7, 5)).astype(np.int8),
    }
    model = proto(nodes, [("x", F32, [3, 7])], [("y", F32, [3, 5]), ("n", I4, [3, 5])], weights)
    model.graph.initializer.append(TensorProto(name="z4", data_type=I4, raw_data=b"\x00"))
    return model


def small_types() -> ModelProto:
    """float16, booleans, int64 and a tensor without elements."""
    nodes = [
        _node("Cast", "x", "h", to=F16),
        _node("Mul", "h h", "hh"),
        _node("Greater", "x m", "mask"),
        _node("Not", "mask", "other"),
        _node("Where", "other hh h", "w"),
        _node("Cast", "other", "n", to=I64),
        _node("ReduceSum", "n", "total", keepdims=0),
        _node("Slice", "x zero zero", "empty"),
        _node("Concat", "empty x", "y", axis=0),
    ]
    outputs = [("w", F16, [5, 3]), ("total", I64, []), ("y", F32, [5, 3])]
    return proto(nodes, [("x", F32, [5, 3])], outputs, {"m": _weight(3), "zero": np.array([0])})


def folded() -> ModelProto:
    """Nodes on constants alone: they are not planned, but their values are read."""
    nodes = [
        _node("Transpose", "w", "wt"),
        helper.make_node("Constant", [], ["two"], value_float=2.0),
        _node("Mul", "wt two", "scaled"),
        _node("MatMul", "x scaled", "a"),
        _node("Relu", "a", "y"),
    ]
    return proto(nodes, [("x", F32, [4, 640])], [("y", F32, [4, 30])], {"w": _weight(30, 640)})


def old() -> ModelProto:
    """IR version 3: initializers are listed among the inputs and are constants all the same."""
    nodes = [_node("MatMul", "x w", "a"), _node("Relu", "a", "y")]
    inputs = [("x", F32, [3, 640]), ("w", F32, [640, 64])]
    return proto(nodes, inputs, [("y", F32, [3, 64])], {"w": _weight(640, 64)}, opset=9, ir_version=3)


FEATURES: dict[str, Callable[[], ModelProto]] = {
    make.__name__: make
    for make in (
        branches,
        chain,
        views,
        many_outputs,
        recurrent,
        control_flow,
        quantised,
        small_types,
        folded,
        old,
    )
}
