"""What memplan knows of ONNX operators by their names: which alias, and which may work in place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops

VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"})
"""Operators whose output is the bytes of their first input under another shape."""

ELEMENTWISE = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atanh", "BatchNormalization", "Ceil",
        "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid",
        "HardSwish", "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "PRelu", "Pow",
        "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign",
        "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu",
    }
)  # fmt: skip
"""Operators whose output element i needs element i of each operand of the output's shape, and no other of it."""


def described(tensors: Iterable[Tensor], ops: Iterable[Op]) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """Tensors and ops, in program order, with what their kinds say: views and their places, and sound overwriting."""
    root: dict[str, str] = {}
    known = []
    for op in ops:
        view = op.kind in VIEWS and bool(op.inputs) and bool(op.outputs)
        if view:
            root.update(dict.fromkeys(op.outputs, root.get(op.inputs[0], op.inputs[0])))
        known.append(replace(op, view=view, overwrites=_overwrites(op)))
    placed = tuple(replace(t, place=(root[t.name], 0)) if t.name in root else t for t in tensors)
    return placed, sound_ops(placed, known)


def _overwrites(op: Op) -> tuple[tuple[str, str], ...]:
    """The pairs (output, operand) that an operator of this kind could bear, layouts aside."""
    if op.kind not in ELEMENTWISE or len(op.results) != 1:
        return ()
    return tuple((op.results[0], name) for name in dict.fromkeys(op.inputs))
