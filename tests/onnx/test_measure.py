"""A run that measures shapes is held to its limits of time and memory, and says which one it met."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from memplan.onnx import measure as onnx_measure
from memplan.onnx.measure import measure_types
from tests.onnx_models import model, value, weight

node = helper.make_node


def endless() -> Any:
    """A loop of 2^62 rounds, then y."""
    carried = [value("go", [], TensorProto.BOOL), value("s", [1])]
    nodes = [node("Identity", ["go"], ["on"]), node("Neg", ["s"], ["t"])]
    results = [value("on", [], TensorProto.BOOL), value("t", [1])]
    body = helper.make_graph(nodes, "body", [value("i", [], TensorProto.INT64), *carried], results)
    return model(
        [node("Loop", ["rounds", "yes", "x"], ["z"], body=body), node("Relu", ["z"], ["y"])],
        [value("x", [1])],
        [value("y", None)],
        [weight("rounds", np.array(2**62)), weight("yes", np.array(True))],
    )


def huge() -> Any:
    """A gigabyte times three of ones, then y."""
    ones = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    return model(
        [node("ConstantOfShape", ["sizes"], ["z"], value=ones), node("Relu", ["z"], ["y"])],
        [],
        [value("y", None)],
        [weight("sizes", np.array([3 * 2**28]))],
    )


@pytest.mark.slow(reason="waits for a time limit")
def test_a_run_ends_at_its_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_measure, "TIME_LIMIT_S", 3)
    begin = time.monotonic()
    assert measure_types(endless(), ["y"], 0).why == "the model runs over 3 s"
    assert time.monotonic() - begin < 30


def test_a_run_ends_at_its_memory_limit() -> None:
    assert "the model needs over 1,879,048,192 bytes to run" in measure_types(huge(), ["y"], 0).why


def test_a_model_of_more_weights_than_the_limit_is_not_run() -> None:
    assert "too large to run" in measure_types(huge(), ["y"], onnx_measure.MAX_MEASURED + 1).why
