"""Small ONNX models for tests, built node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def value(name: str, shape: Sequence[int | str | None] | None, element: int = FLOAT) -> Any:
    """A declared input or output."""
    return helper.make_tensor_value_info(name, element, shape)


def weight(name: str, array: Any) -> TensorProto:
    """An initializer."""
    return numpy_helper.from_array(np.asarray(array), name)


def external(name: str, shape: Sequence[int], location: str, element: int = FLOAT) -> TensorProto:
    """An initializer whose data are in another file."""
    tensor = TensorProto(name=name, data_type=element, dims=shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    weights: Sequence[TensorProto] = (),
    opset: int = 17,
    **more: Any,
) -> ModelProto:
    """A model of one graph."""
    graph = helper.make_graph(list(nodes), "net", list(inputs), list(outputs), list(weights))
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **more)


def small_cnn(batch: int | str = 1) -> ModelProto:
    """Conv, Relu, MaxPool, a skip connection, Flatten and Gemm."""
    rng = np.random.default_rng(0)
    node = helper.make_node
    return model(
        [
            node("Conv", ["x", "w1"], ["c1"], name="conv1", pads=[1, 1, 1, 1]),
            node("Relu", ["c1"], ["r1"], name="relu1"),
            node("Conv", ["r1", "w2"], ["c2"], name="conv2", pads=[1, 1, 1, 1]),
            node("Add", ["c2", "r1"], ["s"], name="add"),
            node("MaxPool", ["s"], ["p"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
            node("Flatten", ["p"], ["f"], name="flat"),
            node("Gemm", ["f", "w3"], ["y"], name="gemm"),
        ],
        [value("x", [batch, 3, 8, 8])],
        [value("y", [batch, 5])],
        [
            weight("w1", rng.standard_normal((4, 3, 3, 3), np.float32)),
            weight("w2", rng.standard_normal((4, 4, 3, 3), np.float32)),
            weight("w3", rng.standard_normal((64, 5), np.float32)),
        ],
    )
