"""Whether tiles compute the very bits that whole ops do, by onnxruntime's kernels on one thread, not optimised.

Integers do by their type, and so does what moves bytes. Floats do where a rule says that each element is summed in the
same order: the kernels of MLAS sum over blocks of K, whose length depends on how many columns there are, unless all
of K fits one block; of one row or column other kernels make the product; loops of vectors round their last elements,
which fill no vector, in another way.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import IntEnum
from math import prod

from memplan.ir.boxes import Box, extents, volume, whole
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.onnx.dialect import VIEWS
from memplan.tiling.calls import Call, calls
from memplan.tiling.derive import derive
from memplan.tiling.record import Tiling

BLOCK = 128
"""So many elements of K are summed in one go whatever the number of columns is."""
COLUMNS = 64
"""With more columns than these, blocks of K have the same length."""
VECTOR = 16
"""Elements of the longest vectors of floats."""

MOVES = VIEWS | {
    "Transpose", "Concat", "Split", "Slice", "Gather", "Pad", "Expand", "Where", "Cast", "Not",
}  # fmt: skip
"""Kinds that move elements, or decide about each alone."""

ROUNDED = frozenset(
    {
        "Abs", "Add", "BatchNormalization", "Ceil", "Clip", "DequantizeLinear", "Div", "Floor", "LeakyRelu", "Max",
        "MaxPool", "Mean", "Min", "Mul", "Neg", "PRelu", "QuantizeLinear", "Reciprocal", "Relu", "Round", "Sign", "Sqrt",
        "Sub", "Sum", "ThresholdedRelu",
    }
)  # fmt: skip
"""Kinds of which each element is made of sums, products and comparisons in one order."""

ROWS = frozenset(
    {"Softmax", "LogSoftmax", "LayerNormalization", "SkipLayerNormalization", "InstanceNormalization"}
)
"""Kinds that make each row, which is never cut, in a loop of its own."""

APPROXIMATED = frozenset(
    {
        "BiasGelu", "Celu", "Cos", "Elu", "Erf", "Exp", "FastGelu", "Gelu", "HardSigmoid", "HardSwish", "Log", "Pow",
        "QuickGelu", "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Tan", "Tanh",
    }
)  # fmt: skip
"""Kinds of which each element is approximated, in vectors as far as they go."""


class Exactness(IntEnum):
    """How sure it is that tiles compute the same bits: nobody promises it, a rule says so, or it cannot be otherwise."""

    NO = 0
    BY_RULE = 1
    BY_TYPE = 2

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


def exactness(graph: Graph, tiles: Iterable[Call]) -> tuple[Exactness, str]:
    """What holds of all tiles of a graph, and the name of an op of which no more does; "" where nothing is cut."""
    found = ((_of_tile(graph, call), call.op.name) for call in tiles)
    return min(found, key=lambda one: one[0], default=(Exactness.BY_TYPE, ""))


def exactness_text(graph: Graph, tiles: Iterable[Call]) -> str:
    """The same for people: "by type", "by rule", or "no" with the op."""
    level, name = exactness(graph, tiles)
    return f"no, for op '{name}'" if level is Exactness.NO else str(level)


def tiling_exactness(graph: Graph, tiling: Tiling) -> str:
    """The same for all tiles that a tiling makes of the graph."""
    return exactness_text(graph, calls(graph, derive(graph, tiling)).values())


def exact_regions(graph: Graph, tiling: Tiling) -> Tiling:
    """The regions from the last op on behind which all tiles are exact; those that end with one that is not are left out."""
    number = {op.name: i for i, op in enumerate(graph.ops)}
    found = []
    for region in tiling:
        first, last = (number[name] for name in region.ops)
        while first <= last:
            shorter = replace(region, ops=(graph.ops[first].name, region.ops[1]))
            level, name = exactness(graph, calls(graph, derive(graph, (shorter,))).values())
            if level is not Exactness.NO:
                found.append(shorter)
                break
            first = number[name] + 1
    return tuple(found)


def _of_tile(graph: Graph, call: Call) -> Exactness:
    op = call.op
    tensors = [graph.tensor[name] for name in (*op.inputs[:1], *op.results)]
    full = whole(graph.tensor[op.results[0]].shape or ())
    if op.kind == "Resize":
        return Exactness.NO  # where each element lies is computed in floats, from the beginning of the tile
    if op.kind in MOVES or call.box == full or not any("float" in (t.dtype or "") for t in tensors):
        return Exactness.BY_TYPE
    rules = {
        **dict.fromkeys(ROUNDED | ROWS, True),
        **dict.fromkeys(APPROXIMATED, volume(call.box) % VECTOR == volume(full) % VECTOR == 0),
    }
    if op.kind in ("MatMul", "FusedMatMul", "Gemm"):
        return _rule(_product(graph, op, call.box, full))
    if op.kind in ("Conv", "ConvTranspose"):
        return _rule(_conv(graph, op, call.box, full))
    return _rule(rules.get(op.kind, False))


def _rule(holds: bool) -> Exactness:
    return Exactness.BY_RULE if holds else Exactness.NO


def _product(graph: Graph, op: Op, box: Box, full: Box) -> bool:
    """Rows and columns are cut into more than one; columns so that the blocks of K stay what they are."""
    left = zip(graph.tensor[op.inputs[0]].shape or (), op.needs[0], strict=True)
    k = prod(size for size, access in left if access is None)
    sizes, wholes = extents(box)[-2:], extents(full)[-2:]
    if any(size != all_ and size < 2 for size, all_ in zip(sizes, wholes, strict=True)):
        return False
    return sizes[-1] == wholes[-1] or k <= BLOCK or min(sizes[-1], wholes[-1]) > COLUMNS


def _conv(graph: Graph, op: Op, box: Box, full: Box) -> bool:
    """The pixels of the result are the columns of a product, and its channels rows; of a depthwise one each channel makes a
    product of its own."""
    k = prod((graph.tensor[op.inputs[1]].shape or ())[1:])
    pixels = [volume(part[2:]) for part in (box, full)]
    rows = [1 if op.needs[0][1] is not None else extents(part)[1] for part in (box, full)]
    if rows[0] != rows[1] and min(rows) < 2 or pixels[0] != pixels[1] and min(pixels) < 2:
        return False
    return pixels[0] == pixels[1] or k <= BLOCK or min(pixels) > COLUMNS
