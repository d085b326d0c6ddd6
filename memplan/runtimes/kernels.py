"""One onnxruntime session per kind of node, or of tile, shared by those that differ in nothing but names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from memplan.ir.boxes import Box, extents, whole
from memplan.ir.parts import Op
from memplan.onnx.tile_nodes import tile_nodes
from memplan.onnx.uses import captured, subgraphs
from memplan.onnx.values import Value, elem_type, value_of
from memplan.runtimes.boxes import elements, packed
from memplan.runtimes.sessions import make_session
from memplan.runtimes.source import Source
from memplan.tiling.calls import Call


class Kernel(NamedTuple):
    """A session and the operands to bind: (name in the session, name in the graph) of each."""

    session: Any
    reads: tuple[tuple[str, str], ...]
    writes: tuple[tuple[str, str], ...]


class Kernels:
    """Makes and caches the kernels of a source.

    Stored constants become initializers of their kernel when `source.prepack` allows it, so that
    onnxruntime treats them as it does in the whole model; every other operand is bound by address.
    Sessions carry no shapes, so nodes of any size share one if kind, attributes, operand types and
    stored constants agree.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.cache: dict[tuple[Any, ...], Any] = {}

    def kernel(self, op: Op) -> Kernel:
        """The kernel of a non-view op."""
        source, node = self.source, self.source.nodes[op.name]
        reads = list(dict.fromkeys(n for n in (*node.input, *captured(node)) if n))
        writes = [name for name in node.output if name in source.graph.tensor]
        held = [n for n in reads if source.prepack and n in source.stored]
        bound = [n for n in reads if n not in set(held)]
        local = {name: name for name in (*reads, *node.output) if name}
        if next(subgraphs(node), None) is None:  # bodies read outer values by name
            local = {name: f"v{i}" for i, name in enumerate(local)}
        bare = self._bare(node, local)
        session = self._session(
            [bare],
            {local[n]: self._elem_type(n) for n in bound},
            {local[n]: self._elem_type(n) for n in writes},
            {local[n]: source.constants[n] for n in held},
            tuple(held),
        )
        return Kernel(
            session,
            tuple((local[n], n) for n in bound),
            tuple((local[n], n) for n in writes),
        )

    def tile(self, call: Call) -> Kernel:
        """The kernel of a tile; its operands and results are called `operand0` …, `result0` … in the graph too."""
        source, op = self.source, call.op
        made = tile_nodes(source.nodes[op.name], call, source.graph, source.numbers)
        bound, held, keys = {}, {}, []
        for k in made.reads():
            name = op.inputs[k]
            if source.prepack and name in source.stored:
                held[f"operand{k}"] = self._part(name, call.operands[k].box)
                keys.append((name, call.operands[k].box))
            else:
                bound[f"operand{k}"] = self._elem_type(name)
        numbers = tuple((name, tuple(array.tolist())) for name, array in made.constants.items())
        held |= {name: value_of(array) for name, array in made.constants.items()}
        writes = {f"result{k}": self._elem_type(name) for k, name in enumerate(op.results)}
        session = self._session(made.nodes, bound, writes, held, (*keys, *numbers))
        return Kernel(session, tuple((x, x) for x in bound), tuple((x, x) for x in writes))

    def _session(
        self,
        nodes: Sequence[Any],
        reads: Mapping[str, int],
        writes: Mapping[str, int],
        held: Mapping[str, Value],
        key: tuple[Any, ...],
    ) -> Any:
        """A session over the nodes: element types of what is bound, and constants, which `key` tells apart."""
        from onnx import helper

        def infos(types: Mapping[str, int]) -> list[Any]:
            return [helper.make_tensor_value_info(name, number, None) for name, number in types.items()]

        texts = tuple(node.SerializeToString(deterministic=True) for node in nodes)
        whole = (texts, tuple(reads.items()), tuple(writes.items()), key)
        if whole not in self.cache:
            source = self.source
            self.cache[whole] = make_session(
                source.proto, nodes, infos(reads), infos(writes), held, source.prepack
            )
        return self.cache[whole]

    def _part(self, name: str, box: Box) -> Value:
        """The box of a constant; itself where that is all of it."""
        value = self.source.constants[name]
        if extents(box) == value.shape:
            return value
        return Value(value.elem_type, extents(box), packed(elements(value.data, whole(value.shape), box)))

    def _bare(self, node: Any, local: dict[str, str]) -> Any:
        """The node under local operand names, without name, text and metadata."""
        from onnx import NodeProto

        bare = NodeProto()
        bare.CopyFrom(node)
        for field in ("name", "doc_string", "metadata_props", "device_configurations"):
            if field in bare.DESCRIPTOR.fields_by_name:
                bare.ClearField(field)
        bare.input[:] = [local.get(n, "") for n in node.input]
        bare.output[:] = [local.get(n, "") for n in node.output]
        return bare

    def _elem_type(self, name: str) -> int:
        if name in self.source.constants:
            return self.source.constants[name].elem_type
        return elem_type(self.source.graph.tensor[name].dtype, name)
