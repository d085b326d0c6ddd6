"""Small ONNX models for tilings: attention, convolutions that join again, an hourglass with a skip, quantized kinds."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from memplan.ir.model import Model
from memplan.onnx.read import model_from_proto
from tests.onnx_models import model, value, weight

node = helper.make_node


@cache
def loaded(make: Callable[..., ModelProto], **sizes: int) -> Model:
    """Such a model as memplan reads it; once a process, since some are executed for it in a process of their own."""
    return model_from_proto(make(**sizes), "net", ".", {})


def _random(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng((seed, *shape)).standard_normal(shape, np.float32)


def attention(rows: int = 12, heads: int = 2, size: int = 4) -> ModelProto:
    """A transformer's block: attention and a product of two layers, each behind a normalization and added to its input."""
    d = heads * size
    nodes = [node("LayerNormalization", ["x", "g1"], ["n1"], name="norm1")]
    for k, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            node("MatMul", ["n1", f"w{k}"], [f"{k}1"], name=f"{k}.product"),
            node("Reshape", [f"{k}1", "split"], [f"{k}2"], name=f"{k}.split"),
            node("Transpose", [f"{k}2"], [f"{k}3"], name=f"{k}.turn", perm=perm),
        ]
    nodes += [
        node("MatMul", ["q3", "k3"], ["s1"], name="scores"),
        node("Mul", ["s1", "scale"], ["s2"], name="scaled"),
        node("Add", ["s2", "mask"], ["s3"], name="masked"),
        node("Softmax", ["s3"], ["p"], name="softmax", axis=-1),
        node("MatMul", ["p", "v3"], ["o1"], name="mixed"),
        node("Transpose", ["o1"], ["o2"], name="back", perm=[0, 2, 1, 3]),
        node("Reshape", ["o2", "merge"], ["o3"], name="merged"),
        node("MatMul", ["o3", "wo"], ["o4"], name="out"),
        node("Add", ["x", "o4"], ["r"], name="residual1"),
        node("LayerNormalization", ["r", "g2"], ["n2"], name="norm2"),
        node("MatMul", ["n2", "w1"], ["h1"], name="up"),
        node("Add", ["h1", "b1"], ["h2"], name="bias"),
        node("Erf", ["h2"], ["h3"], name="erf"),
        node("MatMul", ["h3", "w2"], ["m"], name="down"),
        node("Add", ["r", "m"], ["y"], name="residual2"),
    ]
    weights = [weight(f"w{k}", _random(d, d, seed=i)) for i, k in enumerate("qkvo")]
    weights += [
        weight("w1", _random(d, 4 * d)),
        weight("w2", _random(4 * d, d)),
        weight("b1", _random(4 * d)),
    ]
    weights += [weight("g1", _random(d)), weight("g2", _random(d)), weight("scale", np.float32(0.5))]
    weights += [weight("mask", _random(rows, rows))]
    weights += [weight("split", np.array([1, rows, heads, size])), weight("merge", np.array([1, rows, d]))]
    return model(nodes, [value("x", [1, rows, d])], [value("y", [1, rows, d])], weights)


def residual_cnn(size: int = 12) -> ModelProto:
    """Convolutions of several strides, dilations and paddings, pools, and a branch that joins again."""
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], name="conv1", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Relu", ["c1"], ["r1"], name="relu1"),
        node("Conv", ["r1", "w2"], ["c2"], name="depthwise", pads=[1, 1, 1, 1], group=4),
        node("Clip", ["c2", "zero", "six"], ["r2"], name="relu6"),
        node("Conv", ["r2", "w3", "b3"], ["c3"], name="conv3"),
        node("Conv", ["r1", "w4"], ["c4"], name="dilated", pads=[2, 2, 2, 2], dilations=[2, 2]),
        node("Add", ["c3", "c4"], ["s"], name="add"),
        node("BatchNormalization", ["s", "g", "g", "g", "v"], ["bn"], name="batchnorm"),
        node("MaxPool", ["bn"], ["p"], name="pool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("AveragePool", ["p"], ["y"], name="mean", kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    ]
    weights = [
        weight("w1", _random(4, 3, 3, 3)),
        weight("w2", _random(4, 1, 3, 3)),
        weight("w3", _random(4, 4, 1, 1)),
    ]
    weights += [weight("b3", _random(4)), weight("w4", _random(4, 4, 3, 3)), weight("g", _random(4))]
    weights += [
        weight("v", np.ones(4, np.float32)),
        weight("zero", np.float32(0)),
        weight("six", np.float32(6)),
    ]
    half = (size + 1) // 2
    return model(nodes, [value("x", [1, 3, size, size])], [value("y", [1, 4, half, half])], weights)


def hourglass(size: int = 8) -> ModelProto:
    """Down and up again beside a skip: a strided convolution, enlarging, transposed convolution, Concat, Slice and Split."""
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="conv1", pads=[1, 1, 1, 1]),
        node("Conv", ["a", "w2"], ["b"], name="down", strides=[2, 2], pads=[1, 1, 1, 1]),
        node(
            "Resize",
            ["b", "", "scales"],
            ["u"],
            name="up",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        node(
            "ConvTranspose",
            ["b", "w3"],
            ["t"],
            name="transposed",
            strides=[2, 2],
            pads=[1, 1, 1, 1],
            output_padding=[1, 1],
        ),
        node("Concat", ["a", "u", "t"], ["c"], name="concat", axis=1),
        node("Slice", ["c", "from", "to", "axes"], ["d"], name="slice"),
        node("Split", ["d"], ["e", "f"], name="split", axis=1),
        node("Mul", ["e", "f"], ["m"], name="mul"),
        node("Pad", ["m", "pads"], ["q"], name="pad"),
        node("Conv", ["q", "w4"], ["y"], name="conv4"),
    ]
    weights = [
        weight("w1", _random(2, 3, 3, 3)),
        weight("w2", _random(2, 2, 3, 3)),
        weight("w3", _random(2, 2, 3, 3)),
    ]
    weights += [weight("w4", _random(2, 2, 3, 3)), weight("scales", np.array([1, 1, 2, 2], np.float32))]
    weights += [weight("from", np.array([1])), weight("to", np.array([5])), weight("axes", np.array([1]))]
    weights += [weight("pads", np.array([0, 0, 1, 1, 0, 0, 1, 1]))]
    return model(nodes, [value("x", [1, 3, size, size])], [value("y", [1, 2, size, size])], weights)


def quantized(size: int = 8) -> ModelProto:
    """QLinearConv, a sum of quantized tensors, and a convolution between DequantizeLinear and QuantizeLinear."""
    rng = np.random.default_rng(1)
    nodes = [
        node(
            "QLinearConv",
            ["x", "s", "z", "w1", "ws", "wz", "s", "z", "b1"],
            ["a"],
            name="qconv",
            pads=[1, 1, 1, 1],
        ),
        node(
            "QLinearAdd", ["a", "s", "z", "a", "s", "z", "s", "z"], ["c"], name="qadd", domain="com.microsoft"
        ),
        node("DequantizeLinear", ["c", "s", "z"], ["d"], name="dq"),
        node("Conv", ["d", "w2"], ["e"], name="conv", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", ["e", "s", "z"], ["f"], name="q"),
        node("ConvInteger", ["f", "w1", "z", "wz0"], ["y"], name="iconv", pads=[1, 1, 1, 1]),
    ]
    weights = [
        weight("s", np.float32(0.05)),
        weight("z", np.int8(3)),
        weight("ws", np.full(3, 0.02, np.float32)),
    ]
    weights += [
        weight("wz", np.zeros(3, np.int8)),
        weight("wz0", np.int8(0)),
        weight("b1", np.arange(3, dtype=np.int32)),
    ]
    weights += [
        weight("w1", rng.integers(-100, 100, (3, 3, 3, 3), np.int8)),
        weight("w2", _random(3, 3, 3, 3)),
    ]
    x = value("x", [1, 3, size, size], TensorProto.INT8)
    return model(nodes, [x], [value("y", [1, 3, size, size], TensorProto.INT32)], weights)


def mlp(rows: int = 10, size: int = 8) -> ModelProto:
    """Two layers by Gemm, a gate between them, and a sum over what they make."""
    nodes = [
        node("Gemm", ["x", "w1", "b1"], ["h"], name="up", transB=1),
        node("Gemm", ["x", "w2", "b1"], ["g"], name="gate", transB=1),
        node("LeakyRelu", ["g"], ["a"], name="leaky"),
        node("Mul", ["h", "a"], ["m"], name="gated"),
        node("MatMul", ["m", "w3"], ["d"], name="down"),
        node("Add", ["d", "x"], ["y"], name="residual"),
    ]
    weights = [weight("w1", _random(2 * size, size)), weight("w2", _random(2 * size, size, seed=1))]
    weights += [weight("b1", _random(2 * size)), weight("w3", _random(2 * size, size))]
    return model(nodes, [value("x", [rows, size])], [value("y", [rows, size])], weights)


def qdq(size: int = 10) -> ModelProto:
    """Convolutions, a sum and a pool of int8 tensors, each between DequantizeLinear and QuantizeLinear."""
    rng = np.random.default_rng(2)
    nodes = [
        node("DequantizeLinear", ["x", "s", "z"], ["x.f"], name="x.dq"),
        node("DequantizeLinear", ["w1", "ws", "wz"], ["w1.f"], name="w1.dq"),
        node("Conv", ["x.f", "w1.f"], ["c.f"], name="conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c.f"], ["r.f"], name="relu"),
        node("QuantizeLinear", ["r.f", "s", "z"], ["r"], name="r.q"),
        node("DequantizeLinear", ["r", "s", "z"], ["r.d"], name="r.dq"),
        node("Conv", ["r.d", "w1.f"], ["e.f"], name="conv2", pads=[1, 1, 1, 1]),
        node("QuantizeLinear", ["e.f", "s", "z"], ["e"], name="e.q"),
        node("DequantizeLinear", ["e", "s", "z"], ["e.d"], name="e.dq"),
        node("Add", ["e.d", "x.f"], ["a.f"], name="add"),
        node("QuantizeLinear", ["a.f", "s", "z"], ["a"], name="a.q"),
        node("MaxPool", ["a"], ["y"], name="pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    weights = [weight("s", np.float32(0.05)), weight("z", np.int8(-3))]
    weights += [weight("ws", np.float32(0.01)), weight("wz", np.int8(0))]
    weights += [weight("w1", rng.integers(-100, 100, (3, 3, 3, 3), np.int8))]
    half = (size + 1) // 2
    x, y = value("x", [1, 3, size, size], TensorProto.INT8), value("y", [1, 3, half, half], TensorProto.INT8)
    return model(nodes, [x], [y], weights)


def wide_middle(size: int = 16) -> ModelProto:
    """A small image, wide features that are added up again, and a small result: what tiles help most."""
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], name="widen", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], name="relu1"),
        node("Conv", ["r1", "w2"], ["c2"], name="depthwise", pads=[1, 1, 1, 1], group=8),
        node("Add", ["r1", "c2"], ["s"], name="add"),
        node("Conv", ["s", "w3"], ["c3"], name="narrow", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("MaxPool", ["c3"], ["y"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
    ]
    weights = [
        weight("w1", _random(8, 1, 3, 3)),
        weight("w2", _random(8, 1, 3, 3)),
        weight("w3", _random(2, 8, 3, 3)),
    ]
    quarter = size // 4
    return model(nodes, [value("x", [1, 1, size, size])], [value("y", [1, 2, quarter, quarter])], weights)
