"""The IR: tensors, ops and the frozen graph they form. Depends on nothing but errors and units, and knows no
op by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from memplan.ir.canonical import digest, needs_list, op_1, op_dict, tensor_1, tensor_dict
from memplan.ir.parts import Op, Tensor
from memplan.ir.validity import validate


@dataclass(frozen=True)
class Graph:
    """A network: tensors, and ops in program order, an order that respects every dependency.

    Args:
        name: for people, and for the names of files.
        tensors: every value, each with a name of its own.
        ops: in program order.
        outputs: names of the tensors that must be there at the end, of any kind, an input too.
        updates: pairs of an output and the input whose next value it is (a cache, a weight, an optimizer's
            state): where the source works in place, the output is what the input's buffer holds afterwards.

    Raises:
        GraphError: a name is missing or used twice, a tensor has two producers or none, an op reads what only
            a later op writes or is to come after a later one, a size is out of range, or an op claims a view,
            an overwriting, a join or a workspace that its tensors do not bear out.

    >>> from memplan import Graph, Op, Tensor
    >>> x, y = Tensor("x", nbytes=64, kind="input"), Tensor("y", nbytes=32)
    >>> graph = Graph("pooled", (x, y), (Op("pool", "MaxPool", ("x",), ("y",)),), outputs=("y",))
    >>> graph.producer
    {'y': 0}
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...] = ()
    updates: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        validate(self.name, self.tensors, self.ops, self.outputs, self.updates)

    @cached_property
    def tensor(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {t.name: t for t in self.tensors}

    @cached_property
    def producer(self) -> dict[str, int]:
        """Program position of the op that writes a tensor, by the tensor's name."""
        return {name: i for i, op in enumerate(self.ops) for name in op.outputs}

    @cached_property
    def preds(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the program positions of the ops it waits for: who writes what it reads, and its `after`."""
        number, producer = {op.name: i for i, op in enumerate(self.ops)}, self.producer
        return tuple(
            tuple(
                dict.fromkeys(
                    [*(producer[x] for x in op.inputs if x in producer), *(number[x] for x in op.after)]
                )
            )
            for op in self.ops
        )

    @cached_property
    def succs(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the program positions of the ops that wait for it."""
        out: list[list[int]] = [[] for _ in self.ops]
        for i, sources in enumerate(self.preds):
            for source in sources:
                out[source].append(i)
        return tuple(map(tuple, out))

    @cached_property
    def storage_of(self) -> dict[str, str]:
        """Root of the storage each tensor lives in: itself, unless a view op wrote it."""
        root = {t.name: t.name for t in self.tensors}
        for op in self.ops:
            if op.view:
                root.update(dict.fromkeys(op.outputs, root[op.inputs[0]]))
        return root

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Root by view: the tensors that share another tensor's storage."""
        return {name: root for name, root in self.storage_of.items() if name != root}

    @cached_property
    def output_storages(self) -> frozenset[str]:
        """Roots of the storages that hold an output."""
        return frozenset(self.storage_of[name] for name in self.outputs)

    @cached_property
    def sha256(self) -> str:
        """Digest of the graph's canonical JSON without the ops' sources and needs: what a plan is tied to."""
        return digest(self._to_dict([op_dict(op) for op in self.ops]))

    def to_dict(self) -> dict[str, object]:
        """The graph as the JSON file format, version 2, has it; fields at their defaults are left out."""
        ops = []
        for op in self.ops:
            beside = {"source": list(op.source), "needs": needs_list(op)}
            ops.append(op_dict(op) | {key: value for key, value in beside.items() if value})
        return self._to_dict(ops)

    def _to_dict(self, ops: list[dict[str, Any]]) -> dict[str, object]:
        d: dict[str, object] = {
            "format": "memplan-graph",
            "version": 2,
            "name": self.name,
            "outputs": list(self.outputs),
            "tensors": [tensor_dict(t) for t in self.tensors],
            "ops": ops,
        }
        return d | {"updates": dict(self.updates)} if self.updates else d


def digest_1(graph: Graph) -> str:
    """The digest that version 1 has of a graph: what its plans are tied to."""
    outputs = set(graph.outputs)
    tensors = [tensor_1(t, t.kind == "activation" and t.name in outputs) for t in graph.tensors]
    ops = [op_1(op) for op in graph.ops]
    d = {"format": "memplan-graph", "version": 1, "name": graph.name, "tensors": tensors, "ops": ops}
    return digest(d | {"updates": dict(graph.updates)} if graph.updates else d)
