"""Floating-point operations of TensorFlow Lite operators by their shapes; a multiply-accumulate counts as two."""

from __future__ import annotations

import math

Shape = tuple[int, ...] | None

MOVES = (
    "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "PAD", "PADV2", "MIRROR_PAD", "CONCATENATION", "SPLIT", "SPLIT_V", "SLICE",
    "STRIDED_SLICE", "TRANSPOSE", "PACK", "UNPACK", "GATHER", "GATHER_ND", "DEPTH_TO_SPACE", "SPACE_TO_DEPTH", "BROADCAST_TO",
    "BATCH_TO_SPACE_ND", "SPACE_TO_BATCH_ND", "RESIZE_NEAREST_NEIGHBOR", "SHAPE", "FILL", "ZEROS_LIKE", "TILE", "REVERSE_V2",
)  # fmt: skip
"""Operators that only move data."""

ELEMENTWISE = (
    "ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "RELU", "RELU6", "RELU_N1_TO_1", "PRELU", "LEAKY_RELU", "ABS", "NEG",
    "FLOOR", "CEIL", "ROUND", "SQUARE", "SQUARED_DIFFERENCE", "QUANTIZE", "DEQUANTIZE", "CAST", "LOGISTIC", "TANH", "EXP",
    "HARD_SWISH", "SQRT", "RSQRT", "EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "SELECT_V2",
)  # fmt: skip
"""Operators counted as one operation an element of their result."""

REDUCING = (
    "MEAN",
    "SUM",
    "REDUCE_MAX",
    "REDUCE_MIN",
    "REDUCE_PROD",
    "REDUCE_ANY",
    "REDUCE_ALL",
    "ARG_MAX",
    "ARG_MIN",
)
"""Operators counted as one operation an element of their operand."""


def flops(kind: str, inputs: list[Shape], outputs: list[Shape]) -> int | None:
    """Operations of one operator from the shapes of its operands (None for one left out), None if not known.

    Filters are laid out as the schema says: CONV_2D (out, height, width, in), DEPTHWISE_CONV_2D (1, height, width, out).
    """
    result = math.prod(outputs[0] or ()) if outputs else 0
    if kind in MOVES:
        return 0
    if kind in ELEMENTWISE:
        return result
    if kind in REDUCING and inputs and inputs[0] is not None:
        return math.prod(inputs[0])
    weights = inputs[1] if len(inputs) > 1 else None
    if weights is None:
        return None
    if kind in ("CONV_2D", "FULLY_CONNECTED"):
        return 2 * result * math.prod(weights[1:])
    if kind == "DEPTHWISE_CONV_2D":
        return 2 * result * math.prod(weights[1:3])
    if kind == "TRANSPOSE_CONV" and len(inputs) > 2 and inputs[2] is not None:
        return 2 * math.prod(inputs[2][:3]) * math.prod(weights)
    return None
