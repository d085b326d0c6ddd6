"""What memplan knows of aten operators by their names: which may work in place, which lay side by side.

What aliases, fake tensors tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

ELEMENTWISE = frozenset(
    {
        "aten.abs.default", "aten.add.Scalar", "aten.add.Tensor", "aten.addcdiv.default",
        "aten.addcmul.default", "aten.clamp.default", "aten.cos.default", "aten.div.Scalar",
        "aten.div.Tensor", "aten.elu.default", "aten.exp.default", "aten.gelu.default",
        "aten.hardsigmoid.default", "aten.hardswish.default", "aten.hardtanh.default",
        "aten.leaky_relu.default", "aten.log.default", "aten.mul.Scalar", "aten.mul.Tensor",
        "aten.neg.default", "aten.pow.Tensor_Scalar", "aten.reciprocal.default", "aten.relu.default",
        "aten.rsqrt.default", "aten.sigmoid.default", "aten.silu.default", "aten.sin.default",
        "aten.sqrt.default", "aten.sub.Tensor", "aten.tanh.default",
    }
)  # fmt: skip
"""Operators whose output element i needs element i of each operand of the output's layout, and no other of it."""

UPDATES = frozenset(
    {
        "aten.index_add.default", "aten.index_copy.default", "aten.index_put.default",
        "aten.masked_fill.Scalar", "aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default",
        "aten.select_scatter.default", "aten.slice_scatter.default",
    }
)  # fmt: skip
"""Operators whose output is their first operand with a part of it changed."""


CAT, STACK = "aten.cat.default", "aten.stack.default"
JOINING = frozenset({CAT, STACK})
"""Operators whose result is their operands beside each other along an axis."""


def overwrites(kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The pairs (output, operand) that an operator of this kind could bear, layouts aside."""
    if len(outputs) != 1 or kind not in ELEMENTWISE | UPDATES:
        return ()
    operands = dict.fromkeys(inputs if kind in ELEMENTWISE else inputs[:1])
    return tuple((outputs[0], name) for name in operands)


def lie_side_by_side(kind: str, operands: Sequence[Tensor], axis: int, result: Tensor) -> bool:
    """Whether the result of a `cat` or `stack` along `axis` is its operands, each as it lies, one behind the other.

    Only the elements' order within each operand is looked at; that the bytes add up is for the graph to see.
    """
    axis %= result.dim()
    for x in operands:
        if not x.numel():
            continue  # old programs join empty vectors to anything
        steps = [*zip(result.shape, result.stride(), strict=True)]
        if kind == CAT:
            steps[axis] = (x.shape[axis], result.stride(axis))
        else:
            del steps[axis]
        inside = [(n, step) for n, step in steps if n > 1]
        own = [(n, step) for n, step in zip(x.shape, x.stride(), strict=True) if n > 1]
        if x.dtype != result.dtype or inside != own:
            return False
    return True
