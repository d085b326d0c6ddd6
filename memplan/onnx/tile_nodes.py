"""ONNX nodes that compute a tile: those of the op it is a tile of, with the padding and the sizes that are the tile's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from memplan.base.errors import ExecutionError
from memplan.ir.boxes import extents
from memplan.ir.graph import Graph
from memplan.onnx.dialect import VIEWS
from memplan.onnx.uses import attribute
from memplan.tiling.calls import Call


@dataclass
class TileNodes:
    """Nodes over the tile's operands `operand0`, `operand1` …, which compute its results `result0` ….

    Args:
        nodes: in order; the first one is the op's own.
        constants: what they read besides, by name.
    """

    nodes: list[NodeProto]
    constants: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def reads(self) -> list[int]:
        """The numbers of the operands that are read; those that only say a size are not."""
        known = dict.fromkeys(name for node in self.nodes for name in node.input)
        return [int(name.removeprefix("operand")) for name in known if name.startswith("operand")]


def tile_nodes(node: NodeProto, call: Call, graph: Graph, numbers: Mapping[str, Sequence[int]]) -> TileNodes:
    """The nodes of a tile of `node`, without names.

    Args:
        node: what the op of the call was made from.
        call: what the tile reads and writes.
        graph: the graph that was tiled.
        numbers: the elements of small integer constants by name.

    Raises:
        ExecutionError: no node computes this tile alone.
    """
    own = NodeProto(op_type=node.op_type, domain=node.domain)
    own.attribute.extend(node.attribute)
    operand = iter(range(len(call.op.inputs)))
    own.input.extend(f"operand{next(operand)}" if name else "" for name in node.input)
    number = {name: k for k, name in enumerate(call.op.results)}
    own.output.extend(f"result{number[name]}" if name in number else "" for name in node.output)
    found = TileNodes([own])
    if rewrite := REWRITES.get(call.op.kind):
        rewrite(_Tile(node, call, graph, numbers, found))
    return found


@dataclass(frozen=True)
class _Tile:
    """A tile whose nodes are rewritten: the original node, and what is known of it."""

    original: NodeProto
    call: Call
    graph: Graph
    numbers: Mapping[str, Sequence[int]]
    made: TileNodes

    @property
    def node(self) -> NodeProto:
        return self.made.nodes[0]

    def shape(self, operand: int) -> tuple[int, ...]:
        """The shape of all of an operand."""
        return self.graph.tensor[self.call.op.inputs[operand]].shape or ()

    def given(self, name: str, position: int) -> list[int] | None:
        """What older versions say by an attribute and newer ones by an operand; None where it is left out."""
        names = self.original.input
        known = self.numbers.get(names[position]) if position < len(names) else None
        said = attribute(self.original, name, known)
        return None if said is None else [int(x) for x in said]

    def give(self, name: str, position: int, numbers: Sequence[int]) -> None:
        """Say it as the node does: by the attribute, or by a constant operand."""
        if any(a.name == name for a in self.node.attribute):
            self.set(name, numbers)
        else:
            self.node.input[position] = self.constant(name, numbers)

    def constant(self, name: str, numbers: Sequence[int]) -> str:
        self.made.constants[name] = np.array(numbers, np.int64)
        return name

    def set(self, name: str, value: Any) -> None:
        """Give the node's attribute this value; None takes it away."""
        others = [a for a in self.node.attribute if a.name != name]
        del self.node.attribute[:]
        self.node.attribute.extend(others)
        if value is not None:
            self.node.attribute.append(helper.make_attribute(name, value))


def _windows(tile: _Tile) -> None:
    """Windows of convolutions and pools: the tile's own padding, none where it does not reach the border."""
    needs = tile.call.op.needs
    if needs and None not in needs[0][2:]:
        pads = tile.call.operands[0].pads[2:]
        tile.set("pads", [before for before, _ in pads] + [behind for _, behind in pads])
        tile.set("auto_pad", None)


def _conv(tile: _Tile) -> None:
    """The tile's own padding; of a depthwise convolution a group for each channel that the tile has."""
    _windows(tile)
    needs = tile.call.op.needs
    if needs and needs[0][1] is not None:
        tile.set("group", extents(tile.call.operands[0].box)[1])


def _conv_transpose(tile: _Tile) -> None:
    """Of what the operand's box spreads to, the padding cuts off what the tile does not compute."""
    if not tile.call.op.needs:
        return
    kernel = tile.shape(1)[2:]
    rank = len(kernel)
    usual = {"strides": [1] * rank, "dilations": [1] * rank, "pads": [0] * 2 * rank}
    strides, dilations, pads = (attribute(tile.original, name, usual[name]) for name in usual)
    before, behind = [], []
    for k in range(rank):
        (first, stop), (begin, end) = tile.call.operands[0].box[k + 2], tile.call.results[0].box[k + 2]
        spread = (stop - first - 1) * strides[k] + (kernel[k] - 1) * dilations[k] + 1
        before.append(pads[k] + begin - first * strides[k])
        behind.append(spread - before[k] - (end - begin))
    if min(before) < 0:
        raise ExecutionError(
            f"a tile of op '{tile.call.op.name}' begins with elements that no operand reaches",
            "cut it at multiples of its stride",
        )
    tile.set("pads", before + [max(cut, 0) for cut in behind])
    tile.set("output_padding", [max(-cut, 0) for cut in behind])


def _pad(tile: _Tile) -> None:
    needs, pads = tile.call.op.needs, tile.given("pads", 1)
    if needs and pads is not None:
        rank = len(needs[0])
        both = [
            (pads[k], pads[k + rank]) if access is None else tile.call.operands[0].pads[k]
            for k, access in enumerate(needs[0])
        ]
        tile.give("pads", 1, [before for before, _ in both] + [behind for _, behind in both])


def _resize(tile: _Tile) -> None:
    """The operand's box enlarged, and what the tile does not compute cut off."""
    needs = tile.call.op.needs
    if not needs:
        return
    box, result = tile.call.operands[0].box, tile.call.results[0].box
    full = tile.graph.tensor[tile.call.op.results[0]].shape or ()
    sizes, starts = list(full), [0] * len(full)
    for k, access in enumerate(needs[0]):
        if access is not None:
            factor = full[k] // tile.shape(0)[k]
            sizes[k] = (box[k][1] - box[k][0]) * factor
            starts[k] = result[k][0] - box[k][0] * factor
    if len(tile.node.input) > 3 and tile.node.input[3]:
        axes = attribute(tile.original, "axes", range(len(full)))
        tile.node.input[3] = tile.constant("sizes", [sizes[axis] for axis in axes])
    if tuple(sizes) != extents(result):
        ends = [start + size for start, size in zip(starts, extents(result), strict=True)]
        names = ["enlarged", tile.constant("starts", starts), tile.constant("ends", ends)]
        tile.node.output[0] = "enlarged"
        tile.made.nodes.append(helper.make_node("Slice", names, ["result0"]))


def _slice(tile: _Tile) -> None:
    """What the operand's box holds begins with the first element that is taken."""
    needs, starts, ends = tile.call.op.needs, tile.given("starts", 1), tile.given("ends", 2)
    if not needs or starts is None or ends is None:
        return
    sizes = extents(tile.call.operands[0].box)
    axes = [axis % len(sizes) for axis in tile.given("axes", 3) or range(len(starts))]
    for i, axis in enumerate(axes):
        if needs[0][axis] is not None:
            starts[i], ends[i] = 0, sizes[axis]
    tile.give("starts", 1, starts)
    tile.give("ends", 2, ends)


def _expand(tile: _Tile) -> None:
    tile.node.input[1] = tile.constant("shape", extents(tile.call.results[0].box))


def _reshape(tile: _Tile) -> None:
    """Whatever the op is called: the shape of the tile's result."""
    shape = tile.constant("shape", extents(tile.call.results[0].box))
    tile.made.nodes[0] = helper.make_node("Reshape", [tile.node.input[0], shape], list(tile.node.output))


REWRITES: dict[str, Callable[[_Tile], None]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _conv),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "QLinearAveragePool"), _windows),
    **dict.fromkeys(VIEWS - {"Identity"}, _reshape),
    "ConvTranspose": _conv_transpose,
    "Pad": _pad,
    "Resize": _resize,
    "Slice": _slice,
    "Expand": _expand,
}
"""What is to be changed by kind of op; the nodes of other kinds compute a tile as they are."""
