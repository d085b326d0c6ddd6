"""Small ONNX nets whose order matters, and plans of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, helper

import memplan
from memplan.ir.model import Model
from memplan.onnx.read import model_from_bytes
from memplan.problem.plan import Plan
from tests.onnx_models import model, value, weight

node = helper.make_node
SHAPE = [1, 4, 16, 16]
LARGE, SMALL = 4 * 1024, 1024
"""Bytes of a tensor of this shape, and of one with a quarter of its channels."""


def branches(count: int = 3) -> ModelProto:
    """Branches that widen and narrow again, all wide parts first: in this order they are all alive at once."""
    rng = np.random.default_rng(0)
    wide = [node("Conv", ["x", f"w{i}"], [f"wide{i}"], name=f"widen{i}") for i in range(count)]
    narrow = [node("Conv", [f"wide{i}", f"v{i}"], [f"narrow{i}"], name=f"narrow{i}") for i in range(count)]
    joined = node("Concat", [f"narrow{i}" for i in range(count)], ["all"], name="concat", axis=1)
    end = node("Relu", ["all"], ["y"], name="relu")
    weights = [weight(f"w{i}", rng.standard_normal((4, 1, 1, 1)).astype(np.float32)) for i in range(count)]
    weights += [weight(f"v{i}", rng.standard_normal((1, 4, 1, 1)).astype(np.float32)) for i in range(count)]
    return model(
        [*wide, *narrow, joined, end],
        [value("x", [1, 1, 16, 16])],
        [value("y", [1, count, 16, 16])],
        weights,
    )


def loaded(proto: ModelProto) -> Model:
    """The model for onnxruntime."""
    return model_from_bytes(proto.SerializeToString(), "net", ".", {}, None, "onnxruntime")


def planned(net: Model, **options: Any) -> Plan:
    """A plan of it for onnxruntime."""
    return memplan.plan(net, solver="greedy", workers=1, **options)


def in_file_order(net: Model) -> Plan:
    """A plan of it in the file's order."""
    plan = planned(net, order="program")
    assert plan.schedule == tuple(op.name for op in net.graph.ops)
    return plan
