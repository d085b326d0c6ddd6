"""One onnxruntime session per kind of node, shared by the nodes that differ in nothing but names."""

from __future__ import annotations

from typing import Any, NamedTuple

from memplan.ir.graph import Op
from memplan.onnx.uses import captured, subgraphs
from memplan.onnx.values import elem_type
from memplan.runtimes.sessions import make_session
from memplan.runtimes.source import Source


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
        kinds = tuple(self._elem_type(n) for n in (*bound, *writes))
        bare = self._bare(node, local)
        key = (bare.SerializeToString(deterministic=True), kinds, tuple(local[n] for n in writes), *held)
        if key not in self.cache:
            self.cache[key] = self._make(bare, bound, writes, held, local)
        return Kernel(
            self.cache[key],
            tuple((local[n], n) for n in bound),
            tuple((local[n], n) for n in writes),
        )

    def _make(
        self, bare: Any, bound: list[str], writes: list[str], held: list[str], local: dict[str, str]
    ) -> Any:
        from onnx import helper

        def infos(names: list[str]) -> list[Any]:
            return [helper.make_tensor_value_info(local[n], self._elem_type(n), None) for n in names]

        constants = {local[n]: self.source.constants[n] for n in held}
        prepack = self.source.prepack
        return make_session(self.source.proto, [bare], infos(bound), infos(writes), constants, prepack)

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
