"""What the profile says of kernels, asked of the installed onnxruntime kind by kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from memplan.machine.profile import load_profile
from memplan.runtimes.onnxruntime import measure
from tests.onnx_models import model, value, weight
from tests.runtimes.onnxruntime.nets import loaded, node, planned

PROFILE = load_profile("onnxruntime")
SHAPE = [1, 2, 8, 8]
MORE: dict[str, list[Any]] = {
    "Reshape": [np.array([2, 1, 8, 8])],
    "Squeeze": [np.array([0])],
    "Unsqueeze": [np.array([0])],
    "Clip": [np.float32(0), np.float32(1)],
    "ScatterElements": [np.zeros((1, 1, 1, 1), np.int64), np.ones((1, 1, 1, 1), np.float32)],
}
"""Further operands of a kind, all constant."""

ATTRIBUTES = {"Cast": {"to": TensorProto.INT32}}
"""What a kind does not do without."""

BINARY = ("Add", "Mul", "Sub", "Div", "Max", "Sum")
ALIKE = (*BINARY, "Abs", "Exp", "Sqrt", "Erf", "Gelu", "Transpose", "Dropout")
"""Kinds that could write in place, and of which the profile says that they do not."""

KINDS = sorted({*PROFILE.kernels, *ALIKE} - {"*", "Conv", "FusedConv"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_kernel_does_what_the_profile_says(kind: str) -> None:
    """It is the last reader of `a` while `s` still has one: the peak tells whether its result has bytes of its own."""
    more = MORE.get(kind, [])
    operands = ["a", "x"] if kind in BINARY else ["a", *(f"c{i}" for i in range(len(more)))]
    nodes = [
        node("Sin", ["x"], ["s"], name="first"),
        node("Add", ["s", "x"], ["a"], name="second"),
        node(kind, operands, ["b"], name="asked", **ATTRIBUTES.get(kind, {})),
        node("Sin", ["s"], ["y"], name="fourth"),
        node("Equal", ["b", "b"], ["z"], name="last"),
    ]
    outputs = [value("y", SHAPE), value("z", None, TensorProto.BOOL)]
    weights = [weight(f"c{i}", array) for i, array in enumerate(more)]
    net = loaded(model(nodes, [value("x", SHAPE)], outputs, weights, opset=20))
    found = measure(net, planned(net, order="program"))
    said, size = PROFILE.kernel(kind), {name: t.nbytes for name, t in net.graph.tensor.items()}
    own = 0 if said.view or said.overwrites else size["b"]
    assert found.measured == size["s"] + size["a"] + own
    assert found.obeys, found.faults


def test_the_addend_of_a_fused_sum_is_written_over() -> None:
    w = weight("w", np.ones((2, 2, 1, 1), np.float32))
    nodes = [
        node("Sin", ["x"], ["a"], name="a"),
        node("Cos", ["x"], ["b"], name="b"),
        node(
            "FusedConv", ["a", "w", "", "b"], ["c"], name="fused", domain="com.microsoft", activation="Relu"
        ),
        node("ReduceSum", ["c"], ["y"], name="last", keepdims=0),
    ]
    shapes = [value("c", SHAPE)]
    proto = model(nodes, [value("x", SHAPE)], [value("y", [])], [w])
    proto.graph.value_info.extend(shapes)
    net = loaded(proto)
    assert next(op for op in net.graph.ops if op.name == "fused").overwrites == (("c", "b"),)
    found = measure(net, planned(net))
    assert found.obeys, str(found)
