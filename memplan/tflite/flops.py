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


POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
"""Operators counted as one operation an element of each window."""

SOFTMAXES = {"SOFTMAX": 5, "LOG_SOFTMAX": 6}
"""Operations an element: subtract the maximum, exponentiate, sum, divide; or take the logarithm besides."""


def flops(
    kind: str, inputs: list[Shape], outputs: list[Shape], window: tuple[int, int] | None = None
) -> int | None:
    """Operations of one operator from the shapes of its operands (None for one left out), None if not known.

    Filters are laid out as the schema says: CONV_2D (out, height, width, in), DEPTHWISE_CONV_2D (1, height, width, out). Of
    a pool, `window` is the height and width of what it takes together.
    """
    result = math.prod(outputs[0] or ()) if outputs else 0
    if kind in POOLS and window is not None:
        return result * math.prod(window)
    if kind in SOFTMAXES:
        return SOFTMAXES[kind] * result
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
