"""What a part of an op's results needs, against brute force: operands are changed one element at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from memplan.ir.boxes import Box, hull
from memplan.ir.needs import cut_axes, needed
from memplan.onnx.read import model_from_proto
from tests.onnx_models import model, value, weight
from tests.tiling.poisoned import Reference

FLOAT, INT8, INT64 = TensorProto.FLOAT, TensorProto.INT8, TensorProto.INT64
Shape = Sequence[int]


def case(
    kind: str, *inputs: Shape | Any, outs: int = 1, opset: int = 17, element: int = FLOAT, **attributes: Any
) -> Any:
    """A model of one op: operands are inputs of these shapes, constants, or left out."""
    names, given, stored = [], [], []
    for k, operand in enumerate(inputs):
        names.append("" if operand is None else f"i{k}")
        if isinstance(operand, np.ndarray):
            stored.append(weight(f"i{k}", operand))
        elif operand is not None:
            given.append(value(f"i{k}", operand, element))
    results = [f"o{k}" for k in range(outs)]
    domain = "com.microsoft" if kind in ("QLinearAdd", "SkipLayerNormalization") else ""
    node = helper.make_node(kind, names, results, name="op", domain=domain, **attributes)
    infos = [helper.make_empty_tensor_value_info(name) for name in results]
    return model([node], given, infos, stored, opset=opset)


def ints(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


SCALE, ZERO = np.array(0.5, np.float32), np.array(0, np.int8)

CASES = {
    "add": case("Add", (2, 3, 4), (3, 1)),
    "where": case("Where", np.ones((1, 4), bool), (3, 4), (3, 1)),
    "batchnorm": case("BatchNormalization", (1, 3, 2, 2), *[np.ones(3, np.float32)] * 4),
    "matmul": case("MatMul", (2, 3, 4), (4, 5)),
    "matmul batches": case("MatMul", (2, 1, 3, 4), (3, 4, 2)),
    "matmul vector": case("MatMul", (3, 4), (4,)),
    "vector matmul": case("MatMul", (4,), (2, 4, 3)),
    "gemm": case("Gemm", (4, 3), (2, 4), (3, 1), transA=1, transB=1),
    "gemm bias": case("Gemm", (3, 4), (4, 2), (2,)),
    "softmax": case("Softmax", (2, 3, 4), axis=1),
    "softmax 11": case("Softmax", (2, 3, 4), axis=1, opset=11),
    "layernorm": case("LayerNormalization", (2, 3, 4), (3, 4), axis=1),
    "skip layernorm": case("SkipLayerNormalization", (2, 3, 4), (2, 3, 4), (4,), (4,)),
    "instancenorm": case("InstanceNormalization", (2, 3, 4), (3,), (3,)),
    "reduce": case("ReduceMean", (2, 3, 4), axes=[1]),
    "reduce away": case("ReduceSum", (2, 3, 4), ints(1), keepdims=0),
    "global pool": case("GlobalAveragePool", (1, 3, 4, 4)),
    "transpose": case("Transpose", (2, 3, 4), perm=[2, 0, 1]),
    "reshape split": case("Reshape", (1, 3, 4), ints(1, 3, 2, 2)),
    "reshape merge": case("Reshape", (3, 2, 2, 5), ints(3, 4, 5)),
    "reshape batch": case("Reshape", (1, 3, 4), ints(3, 4)),
    "unsqueeze": case("Unsqueeze", (3, 4), ints(1)),
    "conv": case("Conv", (1, 2, 7, 6), (3, 2, 3, 2), (3,), strides=[2, 1], pads=[1, 0, 2, 1], dilations=[1, 2]),
    "conv same upper": case("Conv", (1, 2, 7, 6), (3, 2, 2, 3), strides=[2, 2], auto_pad="SAME_UPPER"),
    "conv same lower": case("Conv", (1, 2, 7, 6), (3, 2, 2, 3), strides=[2, 2], auto_pad="SAME_LOWER"),
    "conv valid": case("Conv", (1, 1, 5, 5), (1, 1, 2, 3), auto_pad="VALID"),
    "depthwise": case("Conv", (1, 3, 5, 5), (3, 1, 3, 3), group=3, pads=[1, 1, 1, 1]),
    "conv 1d": case("Conv", (1, 2, 9), (2, 2, 3), strides=[3]),
    "conv integer": case("ConvInteger", (1, 2, 4, 4), (3, 2, 3, 3), ZERO, ZERO, element=INT8),
    "qlinearconv": case(
        "QLinearConv", (1, 2, 4, 4), SCALE, ZERO, np.full((3, 2, 3, 3), 1, np.int8), np.full(3, 0.5, np.float32),
        np.zeros(3, np.int8), np.array(20, np.float32), ZERO, np.zeros(3, np.int32), element=INT8, pads=[1, 1, 1, 1],
    ),
    "conv transpose": case("ConvTranspose", (1, 2, 4, 4), (2, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
    "conv transpose wide": case(
        "ConvTranspose", (1, 1, 4, 3), (1, 1, 4, 2), strides=[2, 1], dilations=[1, 2], output_padding=[1, 0]
    ),
    "conv transpose gaps": case("ConvTranspose", (1, 1, 4, 4), (1, 1, 2, 1), strides=[3, 2]),
    "max pool": case("MaxPool", (1, 2, 6, 6), kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]),
    "average pool": case("AveragePool", (1, 2, 6, 6), kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "ceil pool": case("AveragePool", (1, 2, 6, 6), kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "pad": case("Pad", (1, 2, 4), ints(0, 0, 2, 0, 0, 1)),
    "pad edge": case("Pad", (1, 2, 4), ints(0, 0, 2, 0, 0, 1), mode="edge"),
    "crop": case("Pad", (1, 2, 5), ints(0, 0, -2, 0, 0, -1)),
    "nearest": case(
        "Resize", (1, 1, 3, 4), None, np.array([1, 1, 2, 3], np.float32), mode="nearest",
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    ),
    "nearest half": case("Resize", (1, 1, 3, 4), None, np.array([1, 1, 2, 3], np.float32)),
    "nearest corners": case(
        "Resize", (1, 1, 3, 4), None, np.array([1, 1, 2, 3], np.float32), coordinate_transformation_mode="align_corners"
    ),
    "linear": case("Resize", (1, 1, 3, 4), None, np.array([1, 1, 2, 3], np.float32), mode="linear"),
    "smaller": case("Resize", (1, 1, 4, 4), None, np.array([1, 1, 0.5, 1], np.float32), mode="linear"),
    "concat": case("Concat", (2, 1, 3), (2, 4, 3), axis=1),
    "split": case("Split", (2, 4, 3), outs=2, axis=1),
    "slice": case("Slice", (5, 7), ints(1, -6), ints(4, 7), ints(0, 1), ints(1, 2)),
    "slice 9": case("Slice", (5, 7), starts=[2], ends=[9], axes=[1], opset=9),
    "backwards": case("Slice", (5, 3), ints(4), ints(-6), ints(0), ints(-1)),
    "gather": case("Gather", (4, 3, 2), ints(2, 0, 1), axis=1),
    "expand": case("Expand", (3, 1, 2), ints(3, 4, 2)),
    "quantize": case("QuantizeLinear", (2, 3), np.array([0.5, 1, 2], np.float32), np.zeros(3, np.int8), axis=1),
    "dequantize": case("DequantizeLinear", (2, 3), SCALE, ZERO, element=INT8),
    "qlinearadd": case("QLinearAdd", (2, 3), SCALE, ZERO, (1, 3), SCALE, ZERO, SCALE, ZERO, element=INT8),
}  # fmt: skip

COARSE = frozenset(
    {
        "nearest corners", "smaller", "pad edge", "ceil pool", "backwards", "expand", "reshape split",
        "reshape merge", "concat", "slice", "gather", "split", "conv", "conv transpose wide", "linear",
        "conv transpose", "conv transpose gaps",
    }
)  # fmt: skip
"""Cases with axes of which nobody knows what is needed, or where a need has holes or elements of no weight at its ends."""


@pytest.mark.slow(reason="reads many models")
@pytest.mark.parametrize("name", CASES)
def test_a_box_needs_the_elements_that_change_it(name: str) -> None:
    proto = CASES[name]
    graph = model_from_proto(proto, "net", ".", {}).graph
    reference, op = Reference(proto, graph), graph.ops[0]
    assert op.needs
    shape = graph.tensor[op.results[0]].shape or ()
    cut = cut_axes(op)
    rng = np.random.default_rng(7)
    boxes = [tuple((i, i + 1) for i in at) for at in np.ndindex(shape)]
    boxes += [
        tuple(sorted(rng.choice(size + 1, 2, replace=False).tolist()) for size in shape) for _ in range(20)
    ]  # type: ignore[misc]
    boxes = [
        tuple(tuple(part) if axis in cut else (0, shape[axis]) for axis, part in enumerate(box))
        for box in boxes
    ]
    for operand, x in enumerate(op.inputs):
        if graph.tensor[x].kind != "input":
            continue
        changed = _changed(reference, x)
        for box in dict.fromkeys(boxes):
            inside = (..., *(slice(*part) for part in box))
            touching = np.argwhere(changed[inside].any(axis=tuple(range(-len(shape), 0))))
            need = needed(op, operand, graph.tensor[x].shape or (), box)
            seen = [tuple((int(i), int(i) + 1) for i in at) for at in touching]
            assert all(_within(point, need) for point in seen), (x, box, need)
            if seen and operand == 0 and name not in COARSE:
                assert _hull(seen) == need, (x, box, need)


def _changed(reference: Reference, operand: str) -> Any:
    """For each element of the operand which elements of the first result change with it."""
    given = reference.values[operand]
    plain = reference.kernel("op", reference.values)[0]
    changed = np.zeros((*given.shape, *plain.shape), bool)
    for at in np.ndindex(given.shape):
        for extreme in (-100, 100):
            other = given.copy()
            other[at] = extreme
            changed[at] |= reference.kernel("op", reference.values | {operand: other})[0] != plain
    return changed


def _within(point: Box, box: Box) -> bool:
    return all(first <= at < stop for (at, _), (first, stop) in zip(point, box, strict=True))


def _hull(points: list[Box]) -> Box:
    found = points[0]
    for point in points:
        found = hull(found, point)
    return found
