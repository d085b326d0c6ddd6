"""Random nets in any order: what the plan predicts is what onnxruntime counts."""

from __future__ import annotations

import random

import pytest
from onnx import ModelProto

from memplan.runtimes.onnxruntime import measure
from tests.onnx_models import model, value
from tests.runtimes.onnxruntime.nets import loaded, node, planned

UNARY = ("Relu", "Sigmoid", "Softmax", "Tanh", "Sin", "Exp", "Identity", "Flatten", "Transpose")
BINARY = ("Add", "Mul", "Max")


def random_net(seed: int) -> ModelProto:
    """A net of 14 nodes on square matrices, some of which are returned beside those that nothing reads."""
    rng = random.Random(seed)
    names, read, nodes = ["x", "w"], set(), []
    for i in range(14):
        kind = rng.choice(UNARY + BINARY)
        count = 2 if kind in BINARY else 1
        operands = [rng.choice(names[-5:]) for _ in range(count)]
        read.update(operands)
        names.append(f"t{i}")
        nodes.append(node(kind, operands, [names[-1]], name=f"op{i}"))
    returned = [name for name in names[2:] if name not in read or rng.random() < 0.1]
    shape = [8, 8]
    return model(nodes, [value("x", shape), value("w", shape)], [value(name, shape) for name in returned])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_predicted_is_counted(seed: int) -> None:
    net = loaded(random_net(seed))
    for order in ("free", "program"):
        found = measure(net, planned(net, order=order))
        assert found.obeys, (order, str(found), found.faults)
