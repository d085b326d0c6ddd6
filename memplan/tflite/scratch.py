"""Bytes that kernels of TensorFlow Lite Micro ask for while they run: its reference kernels, as the tflite-micro wheel has them.

Nothing of it is in the file. A library of other kernels may ask for more or less; `memplan measure` tells.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from memplan.tflite.program import Operator, SubGraph, TfliteValue

ALIGNMENT = 16
"""Of every buffer in the arena: MicroArenaBufferAlignment() of the runtime."""

Sizes = Callable[[Sequence[TfliteValue | None], TfliteValue], list[int]]
"""The scratch buffers of a kernel in bytes, by its operands (None where one is left out) and its first result."""


def rounded(nbytes: int) -> int:
    """The bytes that a buffer of the arena takes."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def scratch_nbytes(subgraph: SubGraph, operator: Operator) -> int:
    """Bytes of all scratch buffers of an operator together, each rounded up; 0 where its kernel asks for none."""
    sizes = SCRATCH.get(operator.kind)
    operands = [None if i < 0 else subgraph.tensors[i] for i in operator.inputs]
    if sizes is None or not operator.outputs:
        return 0
    try:
        found = sizes(operands, subgraph.tensors[operator.outputs[0]])
    except (IndexError, AttributeError):
        return 0  # an operand that the kernel needs is left out, or has too few axes: the runtime refuses it
    return sum(map(rounded, found))


def _elements(value: TfliteValue | None) -> int:
    return 0 if value is None else math.prod(value.shape)


def _dtype(value: TfliteValue | None) -> str:
    return "" if value is None else value.dtype


def _transpose_conv(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """Sums as wide integers (transpose_conv.cc)."""
    wide = {"int8": 4, "int16": 8}.get(result.dtype, 0)
    return [_elements(result) * wide]


def _reduction(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """An index and the axes (reduce_common.cc)."""
    return [4 * len(operands[0].shape) if operands[0] else 0, 4 * _elements(operands[1])]


def _mean(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """The same, and sums of quantised elements (reduce_common.cc, PrepareMeanOrSum)."""
    wide = 4 if _dtype(operands[0]) in ("int8", "uint8", "int16") else 0
    return [*_reduction(operands, result), _elements(result) * wide]


def _addresses(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """Where each operand lies (add_n.cc), in 64 bits."""
    return [8 * len(operands)]


def _svdf(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """Dot products of all filters, and with integers sums of all units (svdf_common.cc)."""
    batch, filters = result.shape[0], operands[1].shape[0] if operands[1] else 0
    return [4 * batch * filters, 4 * _elements(result) if _dtype(operands[0]) != "float32" else 0]


def _lstm(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """Four gates of the state's size (unidirectional_sequence_lstm.cc)."""
    item_bytes = {"float32": 4, "int16": 2, "int8": 2}.get(result.dtype, 0)
    state = _elements(operands[19])
    return [state * item_bytes] * 4


def _unpacked_filter(operands: Sequence[TfliteValue | None], result: TfliteValue) -> list[int]:
    """A filter of four-bit weights, a byte each (conv.cc and others)."""
    return [_elements(operands[1]) if _dtype(operands[1]) == "int4" else 0]


SCRATCH: dict[str, Sizes] = {
    "TRANSPOSE_CONV": _transpose_conv,
    "MEAN": _mean,
    "SUM": _mean,
    "REDUCE_MAX": _reduction,
    "REDUCE_MIN": _reduction,
    "ADD_N": _addresses,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
    "CONV_2D": _unpacked_filter,
    "DEPTHWISE_CONV_2D": _unpacked_filter,
    "FULLY_CONNECTED": _unpacked_filter,
}
"""The kernels that ask for scratch buffers, each with the file of the runtime that says so."""
