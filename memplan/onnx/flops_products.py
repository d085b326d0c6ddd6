"""Flops of the ONNX nodes that are made of products: convolutions, matrix products, recurrences, attention, experts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
Attributes = Mapping[str, Any]
Formula = Callable[[Shapes, Shapes, Attributes], int]


def size(shape: Shape | None) -> int:
    if shape is None:
        raise ValueError("absent")
    return math.prod(shape)


def conv(weight: int) -> Formula:
    """2 x outputs x (C_in / group) x kernel: ONNX Conv; the weight is operand number `weight`."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        kernel = inputs[weight]
        return 2 * size(outputs[0]) * size(kernel and kernel[1:])

    return formula


def conv_transpose(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """2 x inputs x (C_out / group) x kernel: every input element meets the whole kernel once."""
    kernel = inputs[1]
    return 2 * size(inputs[0]) * size(kernel and kernel[1:])


def matmul(left: int, right: int) -> Formula:
    """2 x outputs x K, K the contracted size: ONNX MatMul (numpy semantics)."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        a = inputs[left]
        size(inputs[right])
        if a is None:
            raise ValueError("absent")
        first = (
            0 if attributes.get("transBatchA", 0) else -2
        )  # com.microsoft may put the batch between the two
        return 2 * size(outputs[0]) * (a[first] if attributes.get("transA", 0) else a[-1])

    return formula


def gemm(bias: int) -> Formula:
    """2 M N K, plus M N for the bias, operand number `bias`: ONNX Gemm."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        a = inputs[0]
        if a is None:
            raise ValueError("absent")
        k = a[0] if attributes.get("transA", 0) else a[1]
        biased = len(inputs) > bias and inputs[bias] is not None
        return (2 * k + biased) * size(outputs[0])

    return formula


def einsum(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """2 x the product of all index sizes, for two or more operands: ONNX Einsum.

    Dimensions under an ellipsis are indices numbered from the last; a size of 1 is broadcast.
    """
    text: str = attributes["equation"].decode().replace(" ", "")
    sizes: dict[str | int, int] = {}
    for term, shape in zip(text.split("->")[0].split(","), inputs, strict=True):
        before, dots, after = term.partition("...")
        hidden = len(shape or ()) - len(before) - len(after) if dots else 0
        for index, length in zip((*before, *range(-hidden, 0), *after), shape or (), strict=True):
            sizes[index] = length if sizes.get(index, 1) == 1 else sizes[index]
    return (2 if len(inputs) > 1 else 1) * math.prod(sizes.values())


def recurrent(gates: int, transposed: bool = False) -> Formula:
    """2 x gates x H x (I + H) per step, batch and direction, and the elementwise part of the cell.

    LSTM (Hochreiter & Schmidhuber 1997) has 4 gates, GRU (Cho et al. 2014) 3, a plain RNN 1. Weights are
    (directions, gates x H, I or H), `transposed` (directions, I or H, gates x H).
    """

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        x, w, r = inputs[0], inputs[1], inputs[2]
        if x is None or w is None or r is None:
            raise ValueError("absent")
        axis = 1 if transposed else 2
        directions, hidden, features = w[0], r[axis], w[axis]
        cells = x[0] * x[1] * directions
        return cells * (2 * gates * hidden * (features + hidden) + 3 * gates * hidden)

    return formula


def packed_attention(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """com.microsoft Attention: tokens are projected, and attend over past and present."""
    x, w = inputs[0], inputs[1]
    if x is None or w is None:
        raise ValueError("absent")
    past = inputs[4] if len(inputs) > 4 else None
    keys = x[1] + (past[3] if past is not None else 0)  # past: (2, batch, heads, steps, size)
    return _projected(x[0] * x[1], w, keys, attributes)


def unpadded_attention(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """com.microsoft PackedAttention: its tokens are without padding; each attends over the longest sequence."""
    x, w, offsets = inputs[0], inputs[1], inputs[3]
    if x is None or w is None or offsets is None:
        raise ValueError("absent")
    return _projected(x[0], w, offsets[1], attributes)


def _projected(tokens: int, weight: Shape, keys: int, attributes: Attributes) -> int:
    """Per token projections 2 D (D_q + D_k + D_v), then `attention` over `keys`."""
    features, wide = weight
    width, _, out = attributes.get("qkv_hidden_sizes", (wide // 3,) * 3)
    heads: int = attributes["num_heads"]
    count: int = tokens * (2 * features * wide + keys * (2 * width + 2 * out + 5 * heads))
    return count


def moe(second: int, third: int, bits: str | None) -> Formula:
    """2 x tokens x k x the weights of one expert, and a softmax to choose: com.microsoft MoE.

    The weights are operands 2, `second` and `third`; packed into bytes with the attribute `bits` a number (4
    by default).
    """

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        tokens = size(outputs[0] and outputs[0][:-1])
        weights = [w for i in (2, second, third) if i < len(inputs) and (w := inputs[i]) is not None]
        count = sum(size(w[1:]) for w in weights) * (8 // attributes.get(bits, 4) if bits else 1)
        return 2 * tokens * int(attributes.get("k", 1)) * count + 5 * size(inputs[1])

    return formula


def attention(past: int) -> Formula:
    """Scaled dot product (Vaswani et al. 2017): 2 S_q S_k (d_qk + d_v) + 5 S_q S_k softmax, per head.

    `past` is the number of the operand (batch, heads, steps, size) whose steps come before the keys'.
    """

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        q, k, result = inputs[0], inputs[1] if len(inputs) > 1 else None, outputs[0]
        if q is None or result is None:
            raise ValueError("absent")
        if len(q) == 4:  # batch, heads, steps, size
            batch, heads, steps, width = q
            out = result[3]
        else:  # batch, steps, heads x size; com.microsoft may pack keys and values behind the queries
            heads = attributes["q_num_heads"] if "q_num_heads" in attributes else attributes["num_heads"]
            batch, steps, out = q[0], q[1], result[2] // heads
            width = q[2] // heads if k is not None else out
        keys = steps if k is None else k[2] if len(k) == 4 else k[1]
        before = inputs[past] if len(inputs) > past else None
        if before is not None:
            keys = before[2] + (0 if attributes.get("past_present_share_buffer", 0) else keys)
        return batch * heads * steps * keys * (2 * width + 2 * out + 5)

    return formula
