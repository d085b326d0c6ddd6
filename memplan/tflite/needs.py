"""What of its operands a part of a TensorFlow Lite operator's result needs, so that it can be cut into tiles.

Images are laid out as the runtime has them: batch, height, width, channels. A kind that is not here works on the whole only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from memplan.ir.accesses import Axes, Shape, along, kept_axes, same, whole
from memplan.ir.parts import Access, Needs
from memplan.tflite.flops import ELEMENTWISE, POOLS, SOFTMAXES
from memplan.tflite.program import Operator, TfliteProgram
from memplan.tflite.schema import (
    CONCATENATION_AXIS,
    DILATION_FIELDS,
    SAME_PADDING,
    VALID_PADDING,
    ConvolutionField,
    PoolField,
)


def needs(program: TfliteProgram, operator: Operator) -> Needs:
    """What the operands of an operator of the main subgraph that are there must give, in order; empty where that is not known.

    Of an operator that touches a variable it is not known: it keeps what it has seen from one run to the next.
    """
    tensors = program.subgraphs[0].tensors
    formula = FORMULAS.get(operator.kind)
    touched = [tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
    if (
        not formula
        or not operator.inputs
        or len(operator.outputs) != 1
        or any(value.variable for value in touched)
    ):
        return ()
    shapes = tuple(tensors[i].shape if i >= 0 else None for i in operator.inputs)
    found = formula(_Call(program, operator, shapes, tensors[operator.outputs[0]].shape))
    if found is None or len(found) != len(shapes):
        return ()
    return tuple(axes for axes, shape in zip(found, shapes, strict=True) if shape is not None)


def pool_window(operator: Operator) -> tuple[int, int] | None:
    """The height and width of what a pool takes together; None of any other operator, or where that is not said."""
    options = operator.options if operator.kind in POOLS else None
    if options is None:
        return None
    window = options.number(PoolField.FILTER_HEIGHT, "i"), options.number(PoolField.FILTER_WIDTH, "i")
    return window if min(window) > 0 else None


@dataclass(frozen=True)
class _Call:
    """An operator with the shapes of its operands, None of one that is left out, and of its result."""

    program: TfliteProgram
    operator: Operator
    shapes: tuple[Shape | None, ...]
    result: Shape

    def shape(self, operand: int, rank: int) -> Shape | None:
        """The shape of an operand that is there and has so many axes."""
        shape = self.shapes[operand] if operand < len(self.shapes) else None
        return shape if shape is not None and len(shape) == rank else None

    def numbers(self, operand: int) -> list[int] | None:
        """The elements of an operand that is a constant of integers, in row-major order."""
        place = self.operator.inputs[operand] if operand < len(self.operator.inputs) else -1
        value = self.program.subgraphs[0].tensors[place] if place >= 0 else None
        form = {"int32": "<i4", "int64": "<i8"}.get(value.dtype) if value is not None else None
        if value is None or form is None or not value.constant:
            return None
        held = self.program.held(value)
        return np.frombuffer(held, form).tolist() if len(held) == value.nbytes else None


def _elementwise(call: _Call) -> list[Axes] | None:
    if any(len(shape or ()) > len(call.result) for shape in call.shapes):
        return None
    return [same(shape, call.result) for shape in call.shapes]


def _windows(call: _Call, x: Shape, kernel: Shape, dilations: Shape = (1, 1)) -> Axes | None:
    """Along height and width of the operand the window that a kernel of this size slides over.

    None where the result is not as large as the options say.
    """
    options = call.operator.options
    if options is None or len(x) != len(call.result) or x[0] != call.result[0]:
        return None
    padding = options.number(ConvolutionField.PADDING, "b")
    fields = (ConvolutionField.STRIDE_HEIGHT, ConvolutionField.STRIDE_WIDTH)
    found: list[Access] = []
    for k, stride in enumerate(options.number(field, "i") for field in fields):
        size, result, extent = x[k + 1], call.result[k + 1], (kernel[k] - 1) * dilations[k]
        covered = {SAME_PADDING: size, VALID_PADDING: size - extent}.get(padding)
        if covered is None or min(stride, kernel[k], dilations[k]) < 1 or result != -(-covered // stride):
            return None
        lacking = max((result - 1) * stride + extent + 1 - size, 0)
        found.append(Access(k + 1, stride, lacking // 2, extent))
    return tuple(found)


def _conv(call: _Call) -> list[Axes] | None:
    """Channels of the result can be cut where there is one group, or one for each channel (a depthwise convolution)."""
    kind, x, kernel = call.operator.kind, call.shape(0, 4), call.shape(1, 4)
    options = call.operator.options
    if x is None or kernel is None or options is None:
        return None
    dilations = tuple(options.number(field, "i", 1) for field in DILATION_FIELDS[kind])
    windows = _windows(call, x, kernel[1:3], dilations)
    if windows is None:
        return None
    found = [whole(shape) for shape in call.shapes]
    depthwise = kind == "DEPTHWISE_CONV_2D"
    alone = depthwise and x[3] == kernel[3] == call.result[3]
    found[0] = (Access(0), *windows, Access(3) if alone else None)
    if alone:
        found[1] = (None, None, None, Access(3))
    elif not depthwise and kernel[3] == x[3] and kernel[0] == call.result[3]:
        found[1] = (Access(3), None, None, None)
    else:
        return found
    return found[:2] + [along(shape, 3, call.result[3]) for shape in call.shapes[2:]]


def _pool(call: _Call) -> list[Axes] | None:
    x, window = call.shape(0, 4), pool_window(call.operator)
    if x is None or window is None or x[3:] != call.result[3:]:
        return None
    windows = _windows(call, x, window)
    return None if windows is None else [(Access(0), *windows, Access(3))]


def _fully_connected(call: _Call) -> list[Axes] | None:
    """A row of the result for each row of the operand, a column for each row of the weights."""
    x, weights = call.shape(0, len(call.result)), call.shape(1, 2)
    if x is None or weights is None or (*x[:-1], weights[0]) != call.result:
        return None
    column = len(x) - 1
    biases = [along(shape, column, call.result[-1]) for shape in call.shapes[2:]]
    return [same(x, call.result, (column,)), (Access(column), None), *biases]


def _softmax(call: _Call) -> list[Axes] | None:
    """The last axis is normalized."""
    x = call.shape(0, len(call.result))
    return None if x is None else [same(x, call.result, (len(x) - 1,))]


def _pad(call: _Call) -> list[Axes] | None:
    """Padding with a constant by known amounts."""
    x, amounts = call.shape(0, len(call.result)), call.numbers(1)
    if x is None or amounts is None or len(amounts) != 2 * len(x):
        return None
    pairs = list(zip(amounts[::2], amounts[1::2], strict=True))
    if any(
        before + size + behind != length
        for (before, behind), size, length in zip(pairs, x, call.result, strict=True)
    ):
        return None
    axes = tuple(Access(k, before=before) for k, (before, _) in enumerate(pairs))
    return [axes, *(whole(shape) for shape in call.shapes[1:])]


def _concatenation(call: _Call) -> list[Axes] | None:
    options, rank = call.operator.options, len(call.result)
    if not rank or any(len(shape or ()) != rank for shape in call.shapes):
        return None
    axis = options.number(CONCATENATION_AXIS, "i") % rank if options else 0
    return [same(shape, call.result, (axis,)) for shape in call.shapes]


def _reshape(call: _Call) -> list[Axes] | None:
    """Axes that stay one axis, between the same elements before and behind, are read as they are."""
    return [kept_axes(call.shapes[0] or (), call.result), *(whole(shape) for shape in call.shapes[1:])]


FORMULAS: dict[str, Callable[[_Call], list[Axes] | None]] = {
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), _conv),
    **dict.fromkeys(POOLS, _pool),
    "FULLY_CONNECTED": _fully_connected,
    **dict.fromkeys(SOFTMAXES, _softmax),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    "CONCATENATION": _concatenation,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
}
"""Formulas by kind."""
