"""A tiled model as an ONNX file: each tile is a node, its operands are cut out by Slice and put together by Concat.

Nodes are named after the op that they come from: `softmax, tile 3 of 16` is the third tile of op `softmax`, and
`softmax, tile 3 of 16, operand 0` the Slice or Concat that makes its first operand. What is needed whole is put
together once its last tile is made. The metadata `memplan.tiling` of the model has the regions as JSON.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from memplan.base.errors import GraphError, MemplanError
from memplan.ir.boxes import Box, box_text, common
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.onnx.access import known_numbers
from memplan.onnx.tile_nodes import tile_nodes
from memplan.tiling.calls import Call, Operand, calls
from memplan.tiling.derive import derive
from memplan.tiling.record import Tiling

TILING = "memplan.tiling"
SLICE_OPSET = 10
"""The first version of the standard operators whose Slice takes its numbers as operands."""

Part = tuple[Box, str]
"""A box of a tensor of the original graph, and the value that holds it."""


def tiled_proto(model: Model, tiling: Tiling, schedule: Sequence[str]) -> ModelProto:
    """The model's ONNX source with the regions in tiles; its inputs, outputs and weights are what they were.

    Args:
        model: what was tiled, from ONNX.
        tiling: its regions.
        schedule: the ops of the derived graph in the order in which they are to stand.

    Raises:
        GraphError: the model's operators are too old.
        ExecutionError: no node computes a tile alone.
        MemplanError: tiles do not adjoin along one axis after the other.
    """
    assert isinstance(model.source, ModelProto)
    opset = next((o.version for o in model.source.opset_import if o.domain in ("", "ai.onnx")), 1)
    if opset < SLICE_OPSET:
        raise GraphError(
            f"'{model.stem}' has opset {opset}, whose Slice cannot cut tiles out",
            "convert it to a newer one: onnx.version_converter.convert_version(model, 13)",
        )
    proto = ModelProto()
    proto.CopyFrom(model.source)
    made = _Emission(model.graph, derive(model.graph, tiling), proto)
    nodes = made.emitted(schedule)
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    proto.graph.initializer.extend(made.constants.values())
    there = {name for node in nodes for name in node.output}
    kept = [info for info in proto.graph.value_info if info.name in there]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(kept)
    regions = json.dumps([region.to_dict() for region in tiling])
    proto.metadata_props.add(key=TILING, value=regions)
    return proto


class _Emission:
    """The nodes of a tiled model under construction, of which those on constants alone come first.

    `source` are the nodes of the original ops; `parts` says which values hold what of a tensor of the derived graph.
    """

    def __init__(self, graph: Graph, derived: Graph, proto: ModelProto) -> None:
        self.graph = graph
        self.calls = calls(graph, derived)
        self.numbers = known_numbers(proto.graph)
        self.constants: dict[tuple[int, ...], TensorProto] = {}
        self.parts: dict[str, list[Part]] = {}
        written = list(proto.graph.node)
        writer = {name: i for i, node in enumerate(written) for name in node.output if name}
        place = {op.name: writer[op.results[0]] for op in graph.ops}
        self.source = {name: written[i] for name, i in place.items()}
        planned = set(place.values())
        self.nodes = [node for i, node in enumerate(written) if i not in planned]
        taken = [*proto.graph.input, *proto.graph.initializer, *graph.tensors, *derived.tensors]
        self.taken = {item.name for item in taken} | set(writer)

    def emitted(self, schedule: Sequence[str]) -> list[NodeProto]:
        """All nodes."""
        counts, seen = Counter(call.op.name for call in self.calls.values()), Counter[str]()
        for name in schedule:
            if (call := self.calls.get(name)) is None:
                self.nodes.append(self.source[name])
                continue
            origin = call.op.name
            seen[origin] += 1
            self._tile(call, f"{origin}, tile {seen[origin]} of {counts[origin]}")
        return self.nodes

    def _tile(self, call: Call, name: str) -> None:
        """The nodes of one tile, called `name`; and where it is the last of a tensor that is needed whole, that tensor."""
        made = tile_nodes(self.source[call.op.name], call, self.graph, self.numbers)
        values = {"": ""} | {c: self._constant(numbers.tolist()) for c, numbers in made.constants.items()}
        for k in made.reads():
            values[f"operand{k}"] = self._operand(call.operands[k], f"{name}, operand {k}")
        completed = []
        for k, (result, found) in enumerate(zip(call.op.results, call.results, strict=True)):
            piece, value, before = found.piece, found.piece.name, list[Part]()
            if found.box != piece.frame:
                value = self._fresh(result + box_text(found.box, self.graph.tensor[result].shape or ()))
                before = self.parts[found.before] if found.before is not None else []
                completed += [result] if piece.name == result else []
            values[f"result{k}"] = value
            self.parts[piece.name] = [*before, (found.box, value)]
        for number, node in enumerate(made.nodes):
            node.name = f"{name}, then {number}" if number else name
            for names in (node.input, node.output):
                for x in names:
                    if x not in values:
                        values[x] = self._fresh(f"{name}, {x}")
                names[:] = [values[x] for x in names]
        self.nodes += made.nodes
        for result in completed:
            self._joined(self.parts.pop(result), result, result)

    def _operand(self, operand: Operand, name: str) -> str:
        """The value of an operand's box, which nodes called `name` cut out and put together."""
        parts = []
        for piece in operand.pieces:
            for box, value in self.parts.get(piece.name, [(piece.frame, piece.name)]):
                if (part := common(box, operand.box)) is not None:
                    parts.append((part, self._cut(value, box, part, name)))
        return self._joined(parts, name)

    def _cut(self, value: str, box: Box, part: Box, name: str) -> str:
        """The value of a part of what `value` holds of `box`."""
        if part == box:
            return value
        axes = [axis for axis in range(len(box)) if part[axis] != box[axis]]
        starts = self._constant([part[axis][0] - box[axis][0] for axis in axes])
        ends = self._constant([part[axis][1] - box[axis][0] for axis in axes])
        return self._add("Slice", [value, starts, ends, self._constant(axes)], self._fresh(name))

    def _joined(self, parts: Sequence[Part], name: str, output: str | None = None) -> str:
        """The value of what the parts hold together, which is called `output` where that is said."""
        if len(parts) == 1:
            return parts[0][1]
        axis, groups = _side_by_side(parts)
        values = [self._joined(group, name) for group in groups]
        return self._add("Concat", values, output or self._fresh(name), axis)

    def _add(self, kind: str, operands: Sequence[str], output: str, axis: int | None = None) -> str:
        """A node called as its output is; an `axis` of None is left out."""
        self.nodes.append(helper.make_node(kind, operands, [output], output, axis=axis))
        return output

    def _constant(self, numbers: Sequence[int]) -> str:
        """The initializer of these numbers."""
        key = tuple(numbers)
        if key not in self.constants:
            name = self._fresh(f"memplan.{list(numbers)}")
            self.constants[key] = numpy_helper.from_array(np.array(numbers, np.int64), name)
        return self.constants[key].name

    def _fresh(self, name: str) -> str:
        """The name, or with primes after it, as no value is called yet."""
        while name in self.taken:
            name += "'"
        self.taken.add(name)
        return name


def _side_by_side(parts: Sequence[Part]) -> tuple[int, list[list[Part]]]:
    """An axis along which the parts lie one behind the other in groups, and these; MemplanError where there is none."""
    for axis in range(len(parts[0][0])):
        groups = list[list[Part]]()
        stop = -1
        for part in sorted(parts, key=lambda part: part[0][axis]):
            if part[0][axis][0] >= stop:
                groups.append([])
            groups[-1].append(part)
            stop = max(stop, part[0][axis][1])
        if len(groups) > 1:
            return axis, groups
    raise MemplanError("what tiles hold of a tensor cannot be put together by Concat", "cut along fewer axes")
