"""What memplan knows of ONNX operators by their names: which alias, which may work in place, which lay side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops

STANDARD_DOMAINS = frozenset(
    {
        "", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "ai.onnx.training", "com.microsoft",
        "com.microsoft.nchwc", "com.ms.internal.nhwc",
    }
)  # fmt: skip
"""Domains whose operators are called by their names alone."""

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


def described(op: Op) -> Op:
    """The op with what its kind says of views and of overwriting, layouts aside."""
    view = op.kind in VIEWS and bool(op.inputs) and bool(op.outputs)
    return replace(op, view=view, overwrites=_overwrites(op))


def joined(
    kind: str, operands: Sequence[str], axis: object, result: tuple[int, ...] | None
) -> tuple[tuple[str, int], ...]:
    """What a Concat of these operands joins, first bytes aside: all, where no axis of its result before
    `axis` is longer than 1.
    """
    if kind != "Concat" or not isinstance(axis, int) or result is None:
        return ()
    outermost = all(size == 1 for size in result[: axis % max(len(result), 1)])
    return tuple((name, 0) for name in operands) if outermost else ()


def placed(tensors: Iterable[Tensor], ops: Iterable[Op]) -> tuple[tuple[Tensor, ...], tuple[Op, ...]]:
    """Tensors and ops, in program order, with the places of what views write, and without what layouts forbid."""
    root: dict[str, str] = {}
    known = list(ops)
    for op in known:
        if op.view and op.inputs:
            root.update(dict.fromkeys(op.outputs, root.get(op.inputs[0], op.inputs[0])))
    found = tuple(replace(t, place=(root[t.name], 0)) if t.name in root else t for t in tensors)
    return found, sound_ops(found, known)


def _overwrites(op: Op) -> tuple[tuple[str, str], ...]:
    """The pairs (output, operand) that an operator of this kind could bear, layouts aside."""
    if op.kind not in ELEMENTWISE or len(op.results) != 1:
        return ()
    return tuple((op.results[0], name) for name in dict.fromkeys(op.inputs))
