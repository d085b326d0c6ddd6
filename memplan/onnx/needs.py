"""What of its operands a part of an ONNX node's results needs, so that it can be cut into tiles.

Follows the operator definitions of the ONNX specification. A kind that is not here works on the whole only.
"""

from __future__ import annotations

from memplan.ir.accesses import Axes, along, kept_axes, same, whole
from memplan.ir.parts import Access, Needs
from memplan.onnx.access import Formula, NodeCall
from memplan.onnx.access_windows import conv, conv_transpose, pad, pool, resize
from memplan.onnx.dialect import ELEMENTWISE


def needs(kind: str, call: NodeCall) -> Needs:
    """What the operands that are there must give, in order; empty where that is not known."""
    formula = FORMULAS.get(kind)
    try:
        found = formula(call) if formula else None
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
        return ()  # an operand or attribute that the formula needs is absent, or not what it should be
    if found is None:
        return ()
    return tuple(axes for axes, shape in zip(found, call.inputs, strict=True) if shape is not None)


def _elementwise(call: NodeCall) -> list[Axes] | None:
    return [same(shape, call.result) for shape in call.inputs]


def _first(call: NodeCall) -> list[Axes] | None:
    """Elementwise in the first operand; the others are read whole."""
    return [same(call.shape(0), call.result), *(whole(shape) for shape in call.inputs[1:])]


def _quantized(call: NodeCall) -> list[Axes] | None:
    """Scale and zero point are one number, or one for each element along `axis`."""
    axis = call.axis(1)
    vectors = [along(shape, axis, call.result[axis]) for shape in call.inputs[1:] if len(shape or ()) < 2]
    if len(vectors) < len(call.inputs) - 1:
        return None  # quantized by blocks
    return [same(call.shape(0), call.result), *vectors]


def _batch_normalization(call: NodeCall) -> list[Axes] | None:
    vectors = [along(shape, 1, call.result[1]) for shape in call.inputs[1:]]
    return [same(call.shape(0), call.result), *vectors] if len(call.outputs) == 1 else None


def _product(left: int, right: int, vectors: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())) -> Formula:
    """ONNX MatMul: rows of one operand, columns of the other, by number; `vectors` those that have one element for each
    row, and those that have one for each column."""

    def formula(call: NodeCall) -> list[Axes] | None:
        a, b, result = call.shape(left), call.shape(right), call.result
        if a is None or b is None or any(call.attributes.get(f"transBatch{side}", 0) for side in "AB"):
            return None
        turned_a, turned_b = call.attributes.get("transA", 0), call.attributes.get("transB", 0)
        found = [whole(shape) for shape in call.inputs]
        row, column = len(result) - (1 if len(b) == 1 else 2), len(result) - 1
        batch = result[: max(len(result) - (len(a) > 1) - (len(b) > 1), 0)]
        if len(a) > 1:
            ends = (None, Access(row)) if turned_a else (Access(row), None)
            found[left] = same(a[:-2], batch) + ends
        if len(b) > 1:
            ends = (Access(column), None) if turned_b else (None, Access(column))
            found[right] = same(b[:-2], batch) + ends
        for k in vectors[0]:
            if len(a) > 1 and len(call.shape(k) or ()) == 1:
                found[k] = along(call.shape(k), row, result[row])
        for k in vectors[1]:
            if len(b) > 1 and len(call.shape(k) or ()) == 1:
                found[k] = along(call.shape(k), column, result[column])
        return found

    return formula


def _gemm(call: NodeCall) -> list[Axes] | None:
    product = _product(0, 1)(call)
    if product is not None and len(call.inputs) > 2:
        product[2] = same(call.inputs[2], call.result)
    return product


def _softmax(call: NodeCall) -> list[Axes] | None:
    """Before opset 13 everything from the axis on is one."""
    rank = len(call.result)
    axis = call.axis(-1 if call.opset >= 13 else 1)
    return [same(call.inputs[0], call.result, range(axis, axis + 1 if call.opset >= 13 else rank))]


def _layer_normalization(call: NodeCall) -> list[Axes] | None:
    """Everything from the axis on is normalized together; scale and bias have no other axes."""
    normalized = range(call.axis(-1), len(call.result))
    return [same(call.inputs[0], call.result, normalized), *(whole(shape) for shape in call.inputs[1:])]


def _skip_normalization(call: NodeCall) -> list[Axes] | None:
    """com.microsoft SkipLayerNormalization: the last axis is normalized."""
    return [same(shape, call.result, (len(shape or ()) - 1,)) for shape in call.inputs]


def _instance_normalization(call: NodeCall) -> list[Axes] | None:
    vectors = [along(shape, 1, call.result[1]) for shape in call.inputs[1:]]
    return [same(call.inputs[0], call.result, range(2, len(call.result))), *vectors]


def _reduction(call: NodeCall) -> list[Axes] | None:
    """Axes that it keeps are read as they are; which it reduces is told from the shapes, or from known axes."""
    x, result = call.shape(0) or (), call.result
    if len(x) == len(result):
        axes: Axes = tuple(Access(k) if size == result[k] > 1 else None for k, size in enumerate(x))
    else:
        reduced = call.numbers("axes", 1)
        if reduced is None or call.attributes.get("keepdims", 1):
            return None
        kept = [k for k in range(len(x)) if k not in {axis % len(x) for axis in reduced}]
        axes = tuple(Access(kept.index(k)) if k in kept else None for k in range(len(x)))
    return [axes, *(whole(shape) for shape in call.inputs[1:])]


def _transpose(call: NodeCall) -> list[Axes] | None:
    rank = len(call.result)
    turned = call.attributes.get("perm", tuple(reversed(range(rank))))
    return [tuple(Access(turned.index(k)) for k in range(rank))]


def _reshape(call: NodeCall) -> list[Axes] | None:
    """Axes that stay one axis, between the same elements before and behind, are read as they are."""
    x = call.shape(0) or ()
    return [kept_axes(x, call.result), *(whole(shape) for shape in call.inputs[1:])]


def _concat(call: NodeCall) -> list[Axes] | None:
    axis = call.axis(0)
    return [same(shape, call.result, (axis,)) for shape in call.inputs]


def _split(call: NodeCall) -> list[Axes] | None:
    x = call.shape(0) or ()
    axis = call.axis(0)
    axes = tuple(None if k == axis else Access(k) for k in range(len(x)))
    return [axes, *(whole(shape) for shape in call.inputs[1:])]


def _slice(call: NodeCall) -> list[Axes] | None:
    """Known parts of axes, forwards."""
    x = call.shape(0) or ()
    starts, axes, steps = (call.numbers(key, k) for key, k in (("starts", 1), ("axes", 3), ("steps", 4)))
    if starts is None or (axes is None and call.shape(3)) or (steps is None and call.shape(4)):
        return None
    found: list[Access | None] = [Access(k) for k in range(len(x))]
    for i, axis in enumerate(range(len(starts)) if axes is None else axes):
        k, step = axis % len(x), 1 if steps is None else steps[i]
        start = min(starts[i] + (x[k] if starts[i] < 0 else 0), x[k])
        found[k] = Access(k, step, -max(start, 0)) if step > 0 else None
    return [tuple(found), *(whole(shape) for shape in call.inputs[1:])]


def _gather(call: NodeCall) -> list[Axes] | None:
    """Along `axis` the result has the axes of the indices; there the data are read whole."""
    data, indices = call.shape(0) or (), call.shape(1) or ()
    axis = call.axis(0)
    others = [k if k < axis else k + len(indices) - 1 for k in range(len(data))]
    axes = tuple(None if k == axis else Access(others[k]) for k in range(len(data)))
    return [axes, tuple(Access(axis + k) for k in range(len(indices)))]


FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(ELEMENTWISE - {"BatchNormalization"}, _elementwise),
    **dict.fromkeys(
        (
            "Where", "Cast", "And", "Or", "Xor", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Mod",
            "IsNaN", "BitShift", "FastGelu", "BiasGelu", "QuickGelu",
        ),
        _elementwise,
    ),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _elementwise),
    **dict.fromkeys(("QLinearSigmoid", "QLinearLeakyRelu", "Dropout", "Expand"), _first),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _quantized),
    "BatchNormalization": _batch_normalization,
    "MatMul": _product(0, 1),
    "FusedMatMul": _product(0, 1),
    "MatMulInteger": _product(0, 1, ((2,), (3,))),
    "QLinearMatMul": _product(0, 3, ((1, 2), (4, 5))),
    "Gemm": _gemm,
    **dict.fromkeys(("Softmax", "LogSoftmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"), _layer_normalization),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), _skip_normalization),
    "InstanceNormalization": _instance_normalization,
    **dict.fromkeys(
        ("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare"),
        _reduction,
    ),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _reduction),
    "Transpose": _transpose,
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"), _reshape),
    "Conv": conv(0, 1, 2),
    "ConvInteger": conv(0, 1, 4, (3,)),
    "QLinearConv": conv(0, 3, 8, (4, 5)),
    "ConvTranspose": conv_transpose,
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "QLinearAveragePool"), pool),
    "Pad": pad,
    "Resize": resize,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Gather": _gather,
}  # fmt: skip
"""Formulas by ONNX op type (contrib ops of com.microsoft included)."""
