"""Random models, and tilings of them: convolutions of any shape, layers of any width, float and int8."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto

from memplan import Graph, OptionError, Region
from memplan.tiling.derive import derive
from tests.onnx_models import model, value, weight
from tests.tiling import models
from tests.tiling.models import node
from tests.tiling.test_random import random_tiling


def drawn(rng: random.Random) -> ModelProto:
    """A model of one of the families."""
    return rng.choice((convolutional, layered, quantized, attention))(rng)


def tiling_of(graph: Graph, rng: random.Random, most: int = 12) -> tuple[Region, ...]:
    """A random tiling with so many tiles in each region at the most, without regions that cannot be derived."""
    ops = {op.name: op for op in graph.ops}
    found = list[Region]()
    for region in random_tiling(graph, rng):
        shape = graph.tensor[ops[region.ops[1]].results[0]].shape or ()
        count = prod(-(-shape[axis] // size) for axis, size in zip(region.axes, region.tile, strict=True))
        try:
            if count <= most and derive(graph, (*found, region)):
                found.append(region)
        except OptionError:
            continue
    return tuple(found)


def attention(rng: random.Random) -> ModelProto:
    """A transformer's block of any size."""
    return models.attention(rng.randint(2, 40), rng.randint(1, 4), rng.randint(2, 24))


def layered(rng: random.Random) -> ModelProto:
    """Products with narrow and wide, short and long sums, by MatMul and Gemm, activations between them."""
    rows, width = rng.randint(1, 70), rng.choice((5, 32, 130, 200))
    nodes, weights, x = [], [], "x"
    shape = [rows, width]
    for i in range(rng.randint(1, 4)):
        out = rng.choice((3, 16, 65, 150, 260))
        if rng.random() < 0.5:
            nodes.append(node("MatMul", [x, f"w{i}"], [f"p{i}"], name=f"product{i}"))
            weights.append(weight(f"w{i}", _normal(rng, width, out)))
        else:
            nodes.append(node("Gemm", [x, f"w{i}", f"b{i}"], [f"p{i}"], name=f"gemm{i}", transB=1))
            weights += [weight(f"w{i}", _normal(rng, out, width)), weight(f"b{i}", _normal(rng, out))]
        kind = rng.choice(("Relu", "Tanh", "Sigmoid", "Erf", "Exp", "Softmax", "Softplus"))
        nodes.append(node(kind, [f"p{i}"], [f"a{i}"], name=f"{kind}{i}"))
        x, width = f"a{i}", out
    return model(nodes, [value("x", shape)], [value(x, [rows, width])], weights)


def convolutional(rng: random.Random) -> ModelProto:
    """Convolutions and pools of any kernel, stride, dilation, padding and number of groups, on one or two axes."""
    rank = rng.choice((1, 2, 2, 2))
    size, channels = [rng.randint(6, 20) for _ in range(rank)], rng.choice((1, 3, 4, 20))
    shape, nodes, weights, x = [1, channels, *size], [], [], "x"
    for i in range(rng.randint(1, 5)):
        way = _window(rng, size)
        kernel = way.pop("kernel_shape")
        spread = [(k - 1) * d for k, d in zip(kernel, way["dilations"], strict=True)]
        after = [
            (s + way["pads"][k] + way["pads"][k + rank] - spread[k] - 1) // way["strides"][k] + 1
            for k, s in enumerate(size)
        ]
        if min(after) < 1:
            break
        if rng.random() < 0.3:
            nodes.append(node("MaxPool", [x], [f"c{i}"], name=f"pool{i}", kernel_shape=kernel, **way))
        else:
            group = channels if rng.random() < 0.3 else 1
            out = channels if group > 1 else rng.choice((1, 2, 4, 20))
            nodes.append(node("Conv", [x, f"w{i}"], [f"c{i}"], name=f"conv{i}", group=group, **way))
            weights.append(weight(f"w{i}", _normal(rng, out, channels // group, *kernel)))
            channels = out
        kind = rng.choice(("Relu", "Sigmoid", "HardSwish", "Neg"))
        nodes.append(node(kind, [f"c{i}"], [f"a{i}"], name=f"{kind}{i}"))
        x, size = f"a{i}", after
    if not nodes:
        nodes, x = [node("Relu", ["x"], ["y"], name="relu")], "y"
    return model(nodes, [value("x", shape)], [value(x, [1, channels, *size])], weights)


def quantized(rng: random.Random) -> ModelProto:
    """QLinearConv of any window, one behind the other, added to what they began with where the sizes allow."""
    size, channels = [rng.randint(6, 20), rng.randint(6, 20)], rng.choice((2, 16))
    given, nodes, x = [1, channels, *size], [], "x"
    draw = np.random.default_rng(rng.randrange(2**32))
    weights = [weight("s", np.float32(0.05)), weight("z", np.int8(3)), weight("wz", np.int8(0))]
    weights.append(weight("ws", np.float32(0.01)))
    for i in range(rng.randint(1, 3)):
        operands = [x, "s", "z", f"w{i}", "ws", "wz", "s", "z"]
        nodes.append(node("QLinearConv", operands, [f"c{i}"], name=f"conv{i}", pads=[1, 1, 1, 1]))
        weights.append(weight(f"w{i}", draw.integers(-100, 100, (channels, channels, 3, 3), np.int8)))
        both = ["x", "s", "z", f"c{i}", "s", "z", "s", "z"]
        nodes.append(node("QLinearAdd", both, [f"a{i}"], name=f"add{i}", domain="com.microsoft"))
        x = f"a{i}"
    return model(nodes, [value("x", given, TensorProto.INT8)], [value(x, given, TensorProto.INT8)], weights)


def _window(rng: random.Random, size: list[int]) -> dict[str, Any]:
    kernel = [rng.randint(1, 4) for _ in size]
    return {
        "kernel_shape": kernel,
        "strides": [rng.randint(1, 3) for _ in size],
        "dilations": [rng.randint(1, 2) for _ in size],
        "pads": [rng.randint(0, k - 1) for k in kernel] + [rng.randint(0, k - 1) for k in kernel],
    }


def _normal(rng: random.Random, *shape: int) -> Any:
    return np.random.default_rng(rng.randrange(2**32)).standard_normal(shape, np.float32)
