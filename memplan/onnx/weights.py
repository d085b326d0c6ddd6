"""The constants of a model: stored ones as they are, absent ones seeded so that activations stay finite.

A weight whose external data is missing is drawn by the role its readers give it: normal with variance
1 / fan-in for the operands of matrix products and recurrences (LeCun) and 2 / fan-in for convolutions, which
a rectifier mostly follows (He), so that variance is kept through a layer; scales and variances near 1, biases
and means near 0, quantised weights over the range of their type. Weights that the file itself makes, such as
ConstantOfShape, are part of the model's meaning and stay what they are.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memplan.base.errors import ExecutionError
from memplan.onnx.uses import Use, attribute, index, sinks, subgraphs
from memplan.onnx.values import Value, read_tensor, value_of

Draw = Callable[[np.random.Generator, tuple[int, ...]], NDArray[Any]]

NEAR_ONE = {
    ("BatchNormalization", 1), ("BatchNormalization", 4), ("LayerNormalization", 1), ("Mul", 0), ("Mul", 1),
    ("InstanceNormalization", 1), ("GroupNormalization", 1), ("RMSNormalization", 1), ("Div", 1), ("Pow", 0),
    ("Pow", 1), ("Sqrt", 0), ("Reciprocal", 0), ("Log", 0), ("SkipLayerNormalization", 2),
}  # fmt: skip
NEAR_ZERO = {
    ("BatchNormalization", 2), ("BatchNormalization", 3), ("LayerNormalization", 2), ("Conv", 2), ("Gemm", 2),
    ("InstanceNormalization", 2), ("GroupNormalization", 2), ("ConvTranspose", 2), ("LSTM", 3), ("GRU", 3),
    ("RNN", 3), ("LSTM", 5), ("LSTM", 6), ("LSTM", 7), ("GRU", 5), ("RNN", 5), ("Add", 0), ("Add", 1), ("Sub", 1),
}  # fmt: skip
SCALES = {
    ("QuantizeLinear", 1),
    ("DequantizeLinear", 1),
    ("QLinearConv", 1),
    ("QLinearConv", 4),
    ("QLinearConv", 6),
    ("QLinearMatMul", 1),
    ("QLinearMatMul", 4),
    ("QLinearMatMul", 6),
}


def stored_constants(source: Any, folder: str, seed: int) -> dict[str, Value]:
    """The initializers of a ModelProto by name, absent data seeded; deterministic in name and seed."""
    graph = source.graph
    uses: dict[str, list[Use]] | None = None
    found: dict[str, Value] = {}
    for proto in graph.initializer:
        value = read_tensor(proto, folder)
        if value is None:
            uses = index(graph) if uses is None else uses
            value = seeded(proto, sinks(proto.name, uses), seed)
        found[proto.name] = value
    return found


def constant_nodes(graph: Any) -> dict[str, Value]:
    """The values of the graph's Constant nodes, which onnxruntime turns into initializers, by output."""
    standard = (n for n in graph.node if n.op_type == "Constant" and n.domain in ("", "ai.onnx"))
    return {node.output[0]: _constant(node) for node in standard}


def _constant(node: Any) -> Value:
    from onnx import TensorProto, helper

    attribute = node.attribute[0]
    held = helper.get_attribute_value(attribute)
    if attribute.name == "value":
        value = read_tensor(held, ".")
        if value is not None:
            return value
    kinds = {
        "value_float": TensorProto.FLOAT,
        "value_floats": TensorProto.FLOAT,
        "value_int": TensorProto.INT64,
        "value_ints": TensorProto.INT64,
    }
    if attribute.name not in kinds:
        raise ExecutionError(
            f"Constant '{node.output[0]}' holds {attribute.name}, which cannot be executed",
            "store it as a tensor",
        )
    return value_of(np.asarray(held), kinds[attribute.name])


def with_weights(source: Any, folder: str, seed: int) -> Any:
    """A copy of a ModelProto that holds all its weights itself, absent ones seeded; deterministic in names and seed."""
    model = type(source)()
    model.CopyFrom(source)
    _fill(model.graph, folder, seed)
    fill_bodies(model.graph, folder, seed)
    return model


def fill_bodies(graph: Any, folder: str, seed: int) -> None:
    """Write absent external data of control-flow bodies, seeded, into the bodies (in place).

    GraphError where a number there is not stored whole.
    """
    for node in graph.node:
        for body in subgraphs(node):
            _fill(body, folder, seed)
            fill_bodies(body, folder, seed)


def _fill(graph: Any, folder: str, seed: int) -> None:
    """Write external data of the graph's own constants, absent ones seeded, into the graph (in place)."""
    uses: dict[str, list[Use]] = index(graph)
    made = (a.t for n in graph.node if n.op_type == "Constant" for a in n.attribute if a.HasField("t"))
    for proto in (*graph.initializer, *made):
        if proto.data_type == proto.STRING:
            continue
        value = read_tensor(proto, folder)
        if proto.data_location == proto.EXTERNAL:
            value = value or seeded(proto, sinks(proto.name, uses), seed)
            proto.ClearField("external_data")
            proto.data_location = proto.DEFAULT
            proto.raw_data = value.data.tobytes()


def seeded(proto: Any, readers: list[Use], seed: int) -> Value:
    """A value for an absent constant, drawn from the seed and its name."""
    from onnx import helper

    rng = np.random.default_rng([seed, zlib.crc32(proto.name.encode())])
    shape = tuple(proto.dims)
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(proto.data_type))
    if dtype == np.bool_:
        return value_of(np.ones(shape, np.bool_), proto.data_type)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        low, high = (-127, 127) if dtype.kind == "i" else (0, 255)
        if "int4" in dtype.name:
            low, high = (-7, 7) if dtype.name == "int4" else (0, 15)
        return value_of(rng.integers(low, high, shape, endpoint=True), proto.data_type)
    if dtype.kind in "iu":
        return value_of(np.zeros(shape, dtype), proto.data_type)
    return value_of(_float(rng, shape, readers).astype(np.float32), proto.data_type)


def _float(rng: np.random.Generator, shape: tuple[int, ...], readers: list[Use]) -> NDArray[Any]:
    for use in readers:
        role = (use.node.op_type, use.position)
        if role in SCALES:
            return rng.uniform(0.01, 0.03, shape)
        if fan_in := _fan_in(use, shape):
            gain = math.sqrt(2) if use.node.op_type.startswith("Conv") else 1.0
            return gain * rng.standard_normal(shape) / math.sqrt(fan_in)
        if role in NEAR_ONE:
            return rng.uniform(0.8, 1.2, shape)
        if role in NEAR_ZERO:
            return rng.normal(0.0, 0.1, shape)
        if role == ("PRelu", 1):
            return rng.uniform(0.05, 0.3, shape)
    last = shape[-1] if len(shape) > 1 else 1
    return rng.standard_normal(shape) / math.sqrt(max(last, 1))


def _fan_in(use: Use, shape: tuple[int, ...]) -> int:
    """Terms that are summed into one output element, 0 where the use is not a sum of products."""
    if len(shape) < 2:
        return 0
    kind, position = use.node.op_type, use.position
    if kind == "Conv" and position == 1:
        return math.prod(shape[1:])
    if kind == "ConvTranspose" and position == 1:
        return shape[0] * math.prod(shape[2:])
    if kind == "Gemm" and position < 2:
        flipped = bool(attribute(use.node, "transB" if position else "transA", 0))
        return shape[-1] if flipped == bool(position) else shape[-2]
    if kind == "MatMul":
        return shape[-2] if position else shape[-1]
    if kind in ("LSTM", "GRU", "RNN") and position in (1, 2):
        return shape[-1]
    return 0
