"""Graph JSON of version 1: what an op may do was told from its kind, by these tables, which are frozen.

Version 1 has outputs as a kind of tensor, and neither strides, workspaces nor returned inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.soundness import sound_ops

VIEW_KINDS = frozenset(
    {
        "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "aten._reshape_alias.default",
        "aten._unsafe_view.default", "aten.alias.default", "aten.as_strided.default", "aten.chunk.default",
        "aten.detach.default", "aten.diagonal.default", "aten.expand.default", "aten.flatten.using_ints",
        "aten.movedim.int", "aten.narrow.default", "aten.permute.default", "aten.reshape.default",
        "aten.select.int", "aten.slice.Tensor", "aten.split.Tensor", "aten.split_with_sizes.default",
        "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims", "aten.t.default",
        "aten.transpose.int", "aten.unbind.int", "aten.unflatten.int", "aten.unfold.default",
        "aten.unsqueeze.default", "aten.view.default", "aten.view.dtype", "aten.view_as_complex.default",
        "aten.view_as_real.default",
    }
)  # fmt: skip
"""Kinds whose outputs lie in the bytes of their first input."""

RENAMING_KINDS = frozenset(
    {
        "Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze", "aten._reshape_alias.default",
        "aten._unsafe_view.default", "aten.alias.default", "aten.detach.default", "aten.flatten.using_ints",
        "aten.reshape.default", "aten.squeeze.default", "aten.squeeze.dim", "aten.squeeze.dims",
        "aten.unflatten.int", "aten.unsqueeze.default", "aten.view.default",
    }
)  # fmt: skip
"""Those of them that keep the order of the elements: where they keep the size too, the view is all of the bytes."""

INPLACE_KINDS = frozenset(
    {
        "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atanh", "aten.abs.default",
        "aten.add.scalar", "aten.add.tensor", "aten.addcdiv.default", "aten.addcmul.default",
        "aten.clamp.default", "aten.cos.default", "aten.div.scalar", "aten.div.tensor", "aten.elu.default",
        "aten.exp.default", "aten.gelu.default", "aten.hardsigmoid.default", "aten.hardswish.default",
        "aten.hardtanh.default", "aten.leaky_relu.default", "aten.log.default", "aten.mul.scalar",
        "aten.mul.tensor", "aten.neg.default", "aten.pow.tensor_scalar", "aten.reciprocal.default",
        "aten.relu.default", "aten.rsqrt.default", "aten.sigmoid.default", "aten.silu.default",
        "aten.sin.default", "aten.sqrt.default", "aten.sub.tensor", "aten.tanh.default",
        "batchnormalization", "bn", "ceil", "celu", "clip", "cos", "cosh", "div", "elu", "erf", "exp",
        "floor", "gelu", "hardsigmoid", "hardswish", "leakyrelu", "log", "max", "mean", "min", "mish",
        "mul", "neg", "not", "pow", "prelu", "reciprocal", "relu", "round", "selu", "sigmoid", "sign",
        "sin", "sinh", "softplus", "softsign", "sqrt", "sub", "sum", "swish", "tan", "tanh",
        "thresholdedrelu", "wsum",
    }
)  # fmt: skip
"""Elementwise kinds, in lower case."""

UPDATE_KINDS = frozenset(
    {
        "aten.index_add.default", "aten.index_copy.default", "aten.index_put.default",
        "aten.masked_fill.Scalar", "aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default",
        "aten.select_scatter.default", "aten.slice_scatter.default",
    }
)  # fmt: skip
"""Kinds whose output is their first input with a part of it changed."""


RANDOM_KINDS = frozenset(
    {
        "Bernoulli", "Dropout", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform",
        "RandomUniformLike", "aten.bernoulli.default", "aten.bernoulli.p", "aten.dropout.default",
        "aten.multinomial.default", "aten.native_dropout.default", "aten.normal.Tensor_Tensor",
        "aten.rand.default", "aten.rand_like.default", "aten.randint.default", "aten.randint.low",
        "aten.randn.default", "aten.randn_like.default", "aten.randperm.default",
    }
)  # fmt: skip
"""Kinds that draw random numbers."""


def upgraded(
    name: str, tensors: Sequence[Tensor], ops: Sequence[Op], updates: Iterable[tuple[str, str]] = ()
) -> Graph:
    """The graph of version 1 in today's terms; tensors may have the kind `output`, which is an activation here.

    An op may write over an operand of the same size, shape and dtype where its kind allows it and
    the layout is known not to forbid it. What is random or of unknown cost is executed once.
    """
    by_name = {t.name: t for t in tensors}
    root: dict[str, str] = {}
    for op in ops:
        if op.kind in VIEW_KINDS and op.inputs and op.outputs and op.inputs[0] in by_name:
            base = op.inputs[0]
            storage = root.get(base, base)
            whole = by_name[base].place is not None or base not in root
            for made in op.outputs:
                root[made] = storage
                same = made in by_name and by_name[made].nbytes == by_name[storage].nbytes
                if same and whole and op.kind in RENAMING_KINDS:
                    by_name[made] = replace(by_name[made], place=(storage, 0))
    outputs = tuple(t.name for t in tensors if t.kind == "output")
    for t in outputs:
        by_name[t] = replace(by_name[t], kind="activation")
    made_ops = tuple(
        _described(op, view=op.outputs[:1] != () and op.outputs[0] in root, tensor=by_name) for op in ops
    )
    values = tuple(by_name.values()) if len(by_name) == len(tensors) else tuple(tensors)
    return Graph(name, values, sound_ops(values, made_ops), outputs, tuple(updates))


def _described(op: Op, view: bool, tensor: dict[str, Tensor]) -> Op:
    once, pairs = op.kind in RANDOM_KINDS or (op.flops is None and not view), _pairs(op, tensor)
    changed = (view, pairs, once) != (op.view, op.overwrites, op.once)
    return replace(op, view=view, overwrites=pairs, once=once) if changed else op


def _pairs(op: Op, tensor: dict[str, Tensor]) -> tuple[tuple[str, str], ...]:
    if len(op.outputs) != 1 or not {op.outputs[0], *op.inputs} <= tensor.keys():
        return ()
    operands = op.inputs if op.kind.lower() in INPLACE_KINDS else op.inputs[: op.kind in UPDATE_KINDS]
    out = tensor[op.outputs[0]]
    return tuple((out.name, x) for x in dict.fromkeys(operands) if tensor[x].dtype == out.dtype)
