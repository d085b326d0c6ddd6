"""An ONNX node as the formulas of what it needs see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import onnx

from memplan.ir.accesses import Axes
from memplan.onnx.flops_products import Attributes, Shape, Shapes

INTEGERS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
MOST_NUMBERS = 64
"""Constants of more elements are no sizes or axes."""


@dataclass(frozen=True)
class NodeCall:
    """A node: what it is given.

    Args:
        inputs, outputs: shapes, None of an operand that is left out.
        attributes: by name.
        values: the elements of operands that are small integer constants, None of others.
        opset: the version of the standard operators.
    """

    inputs: Shapes
    outputs: Shapes
    attributes: Attributes
    values: Sequence[tuple[int, ...] | None]
    opset: int

    @property
    def result(self) -> Shape:
        """The shape of the first result."""
        return self.outputs[0] or ()

    def shape(self, operand: int) -> Shape | None:
        """The shape of an operand, None where it is left out."""
        return self.inputs[operand] if operand < len(self.inputs) else None

    def numbers(self, attribute: str, operand: int) -> tuple[int, ...] | None:
        """What an attribute says in older versions, and in newer ones an operand; None where it is not known."""
        known = self.values[operand] if operand < len(self.values) else None
        numbers: tuple[int, ...] | None = self.attributes.get(attribute, known)
        return numbers

    def axis(self, usual: int) -> int:
        """The axis of the first operand that the attribute `axis` names, counted from 0."""
        return int(self.attributes.get("axis", usual)) % max(len(self.inputs[0] or ()), 1)


Formula = Callable[[NodeCall], list[Axes] | None]
"""For each operand of the call what it needs of it, None where that is not known."""


def known_numbers(graph: Any) -> dict[str, tuple[int, ...]]:
    """The elements of the graph's small integer constants that the file holds, by name, in row-major order."""
    tensors = [(t.name, t) for t in graph.initializer]
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            tensors += [(node.output[0], a.t) for a in node.attribute if a.HasField("t")]
    return {
        name: tuple(int(x) for x in onnx.numpy_helper.to_array(t).reshape(-1))
        for name, t in tensors
        if t.data_type in INTEGERS
        and prod(t.dims) <= MOST_NUMBERS
        and t.data_location != onnx.TensorProto.EXTERNAL
    }
