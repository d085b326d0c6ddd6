"""Floating-point operations of ONNX nodes; a multiply-accumulate counts as two.

Counts follow the operator definitions of the ONNX specification; where a paper is the usual source it
is named. Unknown kinds give None, data movement 0. Everything is O(rank) per node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
Attributes = Mapping[str, Any]
Formula = Callable[[Shapes, Shapes, Attributes], int]


def flops(kind: str, inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int | None:
    """Flops of one node from its operands' shapes (None for an absent operand), None if not known."""
    formula = FORMULAS.get(kind)
    if formula is None:
        return None
    try:
        count = formula(inputs, outputs, attributes)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None  # an operand or attribute that the formula needs is absent, or not what it should be
    return count if type(count) is int and count >= 0 else None


def _size(shape: Shape | None) -> int:
    if shape is None:
        raise ValueError("absent")
    return math.prod(shape)


def _conv(weight: int) -> Formula:
    """2 x outputs x (C_in / group) x kernel: ONNX Conv; the weight is operand number `weight`."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        kernel = inputs[weight]
        return 2 * _size(outputs[0]) * _size(kernel and kernel[1:])

    return formula


def _conv_transpose(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """2 x inputs x (C_out / group) x kernel: every input element meets the whole kernel once."""
    kernel = inputs[1]
    return 2 * _size(inputs[0]) * _size(kernel and kernel[1:])


def _matmul(left: int, right: int) -> Formula:
    """2 x outputs x K, K the contracted size: ONNX MatMul (numpy semantics)."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        a = inputs[left]
        _size(inputs[right])
        if a is None:
            raise ValueError("absent")
        return 2 * _size(outputs[0]) * (a[-2] if attributes.get("transA", 0) else a[-1])

    return formula


def _gemm(bias: int) -> Formula:
    """2 M N K, plus M N for the bias, operand number `bias`: ONNX Gemm."""

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        a = inputs[0]
        if a is None:
            raise ValueError("absent")
        k = a[0] if attributes.get("transA", 0) else a[1]
        biased = len(inputs) > bias and inputs[bias] is not None
        return (2 * k + biased) * _size(outputs[0])

    return formula


def _einsum(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """2 x the product of all index sizes, for two or more operands: ONNX Einsum."""
    text: str = attributes["equation"].decode().replace(" ", "")
    sizes: dict[str, int] = {}
    for term, shape in zip(text.split("->")[0].split(","), inputs, strict=True):
        sizes.update(zip(term, shape or (), strict=True))
    return (2 if len(inputs) > 1 else 1) * math.prod(sizes.values())


def _recurrent(gates: int) -> Formula:
    """2 x gates x H x (I + H) per step, batch and direction, and the elementwise part of the cell.

    LSTM (Hochreiter & Schmidhuber 1997) has 4 gates, GRU (Cho et al. 2014) 3, a plain RNN 1.
    """

    def formula(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
        x, w, r = inputs[0], inputs[1], inputs[2]
        if x is None or w is None or r is None:
            raise ValueError("absent")
        directions, hidden, features = w[0], r[-1], w[-1]
        cells = x[0] * x[1] * directions
        return cells * (2 * gates * hidden * (features + hidden) + 3 * gates * hidden)

    return formula


def _packed_attention(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """com.microsoft Attention: projections 2 B S D (D_q + D_k + D_v), then `_attention` over past and present."""
    x, w = inputs[0], inputs[1]
    if x is None or w is None:
        raise ValueError("absent")
    batch, steps, features = x
    heads: int = attributes["num_heads"]
    width, _, out = attributes.get("qkv_hidden_sizes", (w[-1] // 3,) * 3)
    past = inputs[4] if len(inputs) > 4 else None
    keys = steps + (past[3] if past is not None else 0)  # past: (2, batch, heads, steps, size)
    count: int = batch * steps * (2 * features * w[-1] + keys * (2 * width + 2 * out + 5 * heads))
    return count


def _attention(past: int) -> Formula:
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
        keys += before[2] if before is not None else 0
        return batch * heads * steps * keys * (2 * width + 2 * out + 5)

    return formula


def _pool(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """One operation per window element: ONNX MaxPool, AveragePool."""
    return _size(outputs[0]) * math.prod(attributes["kernel_shape"])


def _of_inputs(factor: int) -> Formula:
    return lambda inputs, outputs, attributes: factor * _size(inputs[0])


def _of_outputs(factor: int) -> Formula:
    return lambda inputs, outputs, attributes: factor * _size(outputs[0])


def _variadic(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """One operation per output element and further operand: Sum, Max, Min, Mean."""
    return max(1, len(inputs) - 1) * _size(outputs[0])


_ELEMENTWISE = """
Abs Add And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Clip Div Equal Floor
Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less LessOrEqual Mod Mul Neg Not Or PRelu Reciprocal Relu
Round Sign Sub ThresholdedRelu Where Xor QLinearAdd QLinearMul QLinearLeakyRelu
""".split()
_TRANSCENDENTAL = """
Acos Acosh Asin Asinh Atan Atanh BiasGelu Celu Cos Cosh Elu Erf Exp FastGelu Gelu HardSigmoid HardSwish
Log Mish Pow QLinearSigmoid QuickGelu Selu Sigmoid Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh
""".split()
_REDUCTIONS = """
ArgMax ArgMin CumSum GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool ReduceL1
ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare TopK
""".split()
_MOVEMENT = """
Col2Im Compress Concat DepthToSpace Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity OneHot Pad
QLinearConcat Reshape ReverseSequence ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
Squeeze Tile Transpose Trilu Unsqueeze NonZero Constant ConstantOfShape Range
""".split()

FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(_MOVEMENT, lambda inputs, outputs, attributes: 0),
    **dict.fromkeys(_ELEMENTWISE, _of_outputs(1)),
    # One evaluation of a transcendental function counts as 4, a common convention of profilers.
    **dict.fromkeys(_TRANSCENDENTAL, _of_outputs(4)),
    **dict.fromkeys(_REDUCTIONS, _of_inputs(1)),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _variadic),
    "Conv": _conv(1),
    "FusedConv": _conv(1),
    "DeformConv": _conv(1),
    "ConvInteger": _conv(1),
    "QLinearConv": _conv(3),
    "ConvTranspose": _conv_transpose,
    "MatMul": _matmul(0, 1),
    "FusedMatMul": _matmul(0, 1),
    "MatMulInteger": _matmul(0, 1),
    "QLinearMatMul": _matmul(0, 3),
    "MatMulIntegerToFloat": _matmul(0, 1),
    "DynamicQuantizeMatMul": _matmul(0, 1),
    "MatMulNBits": _matmul(0, 1),
    "Gemm": _gemm(2),
    "FusedGemm": _gemm(2),
    "QGemm": _gemm(6),
    "Einsum": _einsum,
    "LSTM": _recurrent(4),
    "GRU": _recurrent(3),
    "RNN": _recurrent(1),
    "Attention": lambda i, o, a: (_packed_attention if "num_heads" in a else _attention(4))(i, o, a),
    "QAttention": lambda i, o, a: _packed_attention((*i[:2], None, None, *i[8:9]), o, a),
    "MultiHeadAttention": _attention(6),
    "GroupQueryAttention": _attention(3),
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "QLinearAveragePool": _pool,
    # Normalisations: mean, variance, scale and shift (Ba et al. 2016; Ioffe & Szegedy 2015: affine).
    "BatchNormalization": _of_outputs(2),
    "InstanceNormalization": _of_outputs(8),
    "GroupNormalization": _of_outputs(8),
    "LayerNormalization": _of_outputs(8),
    "SkipLayerNormalization": _of_outputs(9),
    "RMSNormalization": _of_outputs(5),
    "SimplifiedLayerNormalization": _of_outputs(5),
    "SkipSimplifiedLayerNormalization": _of_outputs(6),
    "MeanVarianceNormalization": _of_outputs(6),
    "LRN": lambda i, o, a: (a.get("size", 5) * 2 + 3) * _size(o[0]),
    "LpNormalization": _of_outputs(4),
    # Softmax: subtract the maximum, exponentiate, sum, divide.
    "Softmax": _of_outputs(5),
    "LogSoftmax": _of_outputs(6),
    "QLinearSoftmax": _of_outputs(8),
    "RotaryEmbedding": _of_outputs(3),  # four products and two sums turn a pair (Su et al. 2021)
    "Hardmax": _of_outputs(2),
    "Resize": lambda i, o, a: (1 if a.get("mode", b"nearest") == b"nearest" else 7) * _size(o[0]),
    "Upsample": _of_outputs(1),
    "GridSample": _of_outputs(14),
    "QuantizeLinear": _of_outputs(3),
    "DequantizeLinear": _of_outputs(2),
    "DynamicQuantizeLinear": _of_inputs(5),
}
"""Formulas by ONNX op type (contrib ops of com.microsoft included)."""
