"""Floating-point operations of ONNX nodes; a multiply-accumulate counts as two.

Counts follow the operator definitions of the ONNX specification; where a paper is the usual source it
is named. Unknown kinds give None, data movement 0. Everything is O(rank) per node.
"""

from __future__ import annotations

import math

from memplan.onnx.flops_products import (
    Attributes,
    Formula,
    Shapes,
    attention,
    conv,
    conv_transpose,
    einsum,
    gemm,
    matmul,
    moe,
    packed_attention,
    recurrent,
    size,
    unpadded_attention,
)


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


def _after(formula: Formula, factor: int) -> Formula:
    """A formula, and `factor` operations per output element for what is fused behind it."""
    return lambda inputs, outputs, attributes: (
        formula(inputs, outputs, attributes) + factor * size(outputs[0])
    )


def _determinant(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """2/3 n^3 per matrix, by elimination (Golub & Van Loan): ONNX Det."""
    return 2 * size(inputs[0]) * (inputs[0] or ())[-1] // 3


def _affine_grid(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """A product with one row of theta, (batch, d, d + 1), per output element: ONNX AffineGrid."""
    return 2 * size(outputs[0]) * (inputs[0] or ())[2]


def _roi_align(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """A bilinear sample, 8 with its share of the mean, sampling_ratio^2 times (He et al. 2017); adaptive: unknown."""
    if (ratio := attributes.get("sampling_ratio", 0)) <= 0:
        raise ValueError("depends on data")
    return 8 * int(ratio) ** 2 * size(outputs[0])


def _pool(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """One operation per window element: ONNX MaxPool, AveragePool."""
    return size(outputs[0]) * math.prod(attributes["kernel_shape"])


def _of_inputs(factor: int) -> Formula:
    return lambda inputs, outputs, attributes: factor * size(inputs[0])


def _of_outputs(factor: int) -> Formula:
    return lambda inputs, outputs, attributes: factor * size(outputs[0])


def _variadic(inputs: Shapes, outputs: Shapes, attributes: Attributes) -> int:
    """One operation per output element and further operand: Sum, Max, Min, Mean."""
    return max(1, len(inputs) - 1) * size(outputs[0])


_ELEMENTWISE = """
Abs Add And Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Clip Div Equal Floor
Greater GreaterOrEqual IsInf IsNaN LeakyRelu Less LessOrEqual Mod Mul Neg Not Or PRelu Reciprocal Relu
Round Sign Sub ThresholdedRelu Where Xor QLinearAdd QLinearMul QLinearLeakyRelu QLinearWhere
RandomNormal RandomNormalLike RandomUniform RandomUniformLike
""".split()
_TRANSCENDENTAL = """
Acos Acosh Asin Asinh Atan Atanh BiasGelu Celu Cos Cosh Elu Erf Exp FastGelu Gelu HardSigmoid HardSwish
HannWindow HammingWindow BlackmanWindow Log Mish Pow QLinearSigmoid QuickGelu Selu Sigmoid Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh
""".split()
_REDUCTIONS = """
ArgMax ArgMin CumProd CumSum GlobalAveragePool GlobalMaxPool GlobalLpPool QLinearGlobalAveragePool ReduceL1
QLinearReduceMean ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
ReduceSumSquare TopK
""".split()
_MOVEMENT = """
BitCast CenterCropPad Col2Im Compress Concat ConcatFromSequence DepthToSpace Dropout Expand EyeLike Flatten Gather GatherElements GatherND Identity OneHot Pad
MaxUnpool QLinearConcat Reshape ReverseSequence Scatter ScatterElements ScatterND Shape Size Slice SpaceToDepth Split
Optional OptionalGetElement OptionalHasElement SequenceAt SequenceConstruct SequenceEmpty SequenceErase
SequenceInsert SequenceLength SplitToSequence TensorScatter
Squeeze Tile Transpose Trilu Unsqueeze NonZero Constant ConstantOfShape Range
""".split()

FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(_MOVEMENT, lambda inputs, outputs, attributes: 0),
    **dict.fromkeys(_ELEMENTWISE, _of_outputs(1)),
    # One evaluation of a transcendental function counts as 4, a common convention of profilers.
    **dict.fromkeys(_TRANSCENDENTAL, _of_outputs(4)),
    **dict.fromkeys(_REDUCTIONS, _of_inputs(1)),
    **dict.fromkeys(("Sum", "Max", "Min", "Mean"), _variadic),
    "Conv": conv(1),
    "FusedConv": conv(1),
    "NhwcConv": conv(1),
    "NhwcFusedConv": conv(1),
    "CausalConvWithState": conv(1),
    "DeformConv": conv(1),
    "ConvInteger": conv(1),
    "QLinearConv": conv(3),
    "ConvTranspose": conv_transpose,
    "ConvTransposeWithDynamicPads": conv_transpose,
    "MatMul": matmul(0, 1),
    "FusedMatMul": matmul(0, 1),
    "FusedMatMulActivation": matmul(0, 1),
    "TransposeMatMul": matmul(0, 1),
    "MatMulInteger": matmul(0, 1),
    "MatMulInteger16": matmul(0, 1),
    "QLinearMatMul": matmul(0, 3),
    "MatMulIntegerToFloat": matmul(0, 1),
    "DynamicQuantizeMatMul": matmul(0, 1),
    "MatMulNBits": matmul(0, 1),
    "MatMulBnb4": matmul(0, 1),
    "GemmFastGelu": _after(matmul(0, 1), 4),
    "Gemm": gemm(2),
    "FusedGemm": gemm(2),
    "GemmFloat8": gemm(2),
    "QGemm": gemm(6),
    "Einsum": einsum,
    "LSTM": recurrent(4),
    "DynamicQuantizeLSTM": recurrent(4, transposed=True),
    "GRU": recurrent(3),
    "RNN": recurrent(1),
    "Attention": lambda i, o, a: (packed_attention if "num_heads" in a else attention(4))(i, o, a),
    "QAttention": lambda i, o, a: packed_attention((*i[:2], None, None, *i[8:9]), o, a),
    "PackedAttention": unpadded_attention,
    "DecoderMaskedSelfAttention": packed_attention,
    "MultiHeadAttention": attention(6),
    "DecoderMaskedMultiHeadAttention": attention(5),
    "GroupQueryAttention": attention(3),
    "MoE": moe(4, 6, None),
    "QMoE": moe(5, 8, "expert_weight_bits"),
    "MaxPool": _pool,
    "NhwcMaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "QLinearAveragePool": _pool,
    # Normalisations: mean, variance, scale and shift (Ba et al. 2016; Ioffe & Szegedy 2015: affine).
    "BatchNormalization": _of_outputs(2),
    "InstanceNormalization": _of_outputs(8),
    "GroupNormalization": _of_outputs(8),
    "GroupNorm": _of_outputs(8),
    "SkipGroupNorm": _of_outputs(9),
    "LayerNormalization": _of_outputs(8),
    "SkipLayerNormalization": _of_outputs(9),
    "RMSNormalization": _of_outputs(5),
    "SimplifiedLayerNormalization": _of_outputs(5),
    "SkipSimplifiedLayerNormalization": _of_outputs(6),
    "MeanVarianceNormalization": _of_outputs(6),
    "LRN": lambda i, o, a: (a.get("size", 5) * 2 + 3) * size(o[0]),
    "LpNormalization": _of_outputs(4),
    # Softmax: subtract the maximum, exponentiate, sum, divide.
    "Softmax": _of_outputs(5),
    "LogSoftmax": _of_outputs(6),
    "SoftmaxCrossEntropyLoss": _of_inputs(6),
    "NegativeLogLikelihoodLoss": lambda i, o, a: 2 * size(i[1]),  # a weight and a sum per target
    "SwiGLU": _of_outputs(5),
    "Shrink": _of_outputs(2),
    "Det": _determinant,
    "AffineGrid": _affine_grid,
    "RoiAlign": _roi_align,
    "QLinearSoftmax": _of_outputs(8),
    "RotaryEmbedding": _of_outputs(3),  # four products and two sums turn a pair (Su et al. 2021)
    "Hardmax": _of_outputs(2),
    "Resize": lambda i, o, a: (1 if a.get("mode", b"nearest") == b"nearest" else 7) * size(o[0]),
    "Upsample": _of_outputs(1),
    "GridSample": _of_outputs(14),
    "QuantizeLinear": _of_outputs(3),
    "DequantizeLinear": _of_outputs(2),
    "DynamicQuantizeLinear": _of_inputs(5),
}
"""Formulas by ONNX op type (contrib ops of com.microsoft included)."""
