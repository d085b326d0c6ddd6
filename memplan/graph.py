"""The IR: tensors, ops and the frozen graph they form. Depends on nothing but errors and units."""

from __future__ import annotations

import hashlib
import heapq
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from memplan.errors import GraphError
from memplan.units import MAX_BYTES

TENSOR_KINDS = ("input", "constant", "activation", "output")

VIEW_KINDS = frozenset(
    {
        # ONNX
        "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity",
        # aten
        "aten.view.default", "aten._unsafe_view.default", "aten.reshape.default",
        "aten.alias.default", "aten.detach.default", "aten.squeeze.default",
        "aten.squeeze.dim", "aten.squeeze.dims", "aten.unsqueeze.default",
        "aten.flatten.using_ints", "aten.unflatten.int", "aten.view.dtype",
        "aten._reshape_alias.default", "aten.permute.default", "aten.transpose.int", "aten.t.default",
        "aten.movedim.int", "aten.expand.default", "aten.slice.Tensor",
        "aten.select.int", "aten.narrow.default", "aten.diagonal.default", "aten.unfold.default",
        "aten.as_strided.default", "aten.split.Tensor", "aten.split_with_sizes.default",
        "aten.chunk.default", "aten.unbind.int", "aten.view_as_real.default", "aten.view_as_complex.default",
    }
)  # fmt: skip
"""Op kinds whose outputs lie in the bytes of the first input, all of them, a window or a stride: they move none.

An importer gives these kinds only to ops that alias; a reshape that has to copy is a clone.
"""

INPLACE_KINDS = frozenset(
    {
        "Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip",
        "BatchNormalization", "Cos", "Cosh", "Div", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
        "LeakyRelu", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Pow", "PRelu",
        "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
        "Softsign", "Sqrt", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu",
        "aten.abs.default", "aten.add.Tensor", "aten.add.Scalar", "aten.clamp.default",
        "aten.cos.default", "aten.div.Tensor", "aten.div.Scalar", "aten.elu.default",
        "aten.exp.default", "aten.gelu.default", "aten.hardsigmoid.default",
        "aten.hardswish.default", "aten.hardtanh.default", "aten.leaky_relu.default",
        "aten.log.default", "aten.mul.Tensor", "aten.mul.Scalar", "aten.neg.default",
        "aten.pow.Tensor_Scalar", "aten.reciprocal.default", "aten.relu.default",
        "aten.addcdiv.default", "aten.addcmul.default", "aten.rsqrt.default", "aten.sigmoid.default", "aten.silu.default", "aten.sin.default",
        "aten.sqrt.default", "aten.sub.Tensor", "aten.tanh.default",
    }
)  # fmt: skip
"""Elementwise op kinds: element i of the output needs element i of each same-shaped input alone."""

UPDATE_KINDS = frozenset(
    {
        "aten.index_add.default", "aten.index_copy.default", "aten.index_put.default", "aten.masked_fill.Scalar",
        "aten.scatter.src", "aten.scatter.value", "aten.scatter_add.default", "aten.select_scatter.default",
        "aten.slice_scatter.default",
    }
)  # fmt: skip
"""Op kinds whose output is their first input with a part of it changed."""

_INPLACE_LOWER = frozenset(kind.lower() for kind in INPLACE_KINDS) | {"bn", "wsum"}


def is_inplace_kind(kind: str) -> bool:
    """Whether an op of this kind may write its output over a same-shaped input; case does not matter."""
    return kind.lower() in _INPLACE_LOWER


def may_write_over(op: Op, operand: str) -> bool:
    """Whether the op may write its one output over the input `operand`, sizes and later uses aside."""
    updates = op.kind in UPDATE_KINDS and op.inputs[:1] == (operand,)
    return len(op.outputs) == 1 and not op.is_view and (updates or is_inplace_kind(op.kind))


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value. `nbytes` is its stored size; `dtype` and `shape` may be unknown (None)."""

    name: str
    nbytes: int
    kind: str = "activation"
    dtype: str | None = None
    shape: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Op:
    """One operator. `flops` counts a multiply-accumulate as two, None where unknown."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flops: int | None = None

    @property
    def is_view(self) -> bool:
        """Whether every output of the op lies in the storage of its first input."""
        return self.kind in VIEW_KINDS and bool(self.inputs) and bool(self.outputs)


@dataclass(frozen=True)
class Graph:
    """A network: tensors, and ops in program order (an order that respects every dependency).

    `updates` pairs an output with the input whose next value it is (a cache, a weight, an optimizer's
    state): where the source works in place, the output is what the input's buffer holds afterwards.

    Raises GraphError on construction when a name is missing or used twice, a tensor has two
    producers or none, an op reads what only a later op writes, or a size is out of range.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    updates: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        _validate(self)

    @cached_property
    def tensor(self) -> dict[str, Tensor]:
        """Tensors by name."""
        return {t.name: t for t in self.tensors}

    @cached_property
    def producer(self) -> dict[str, int]:
        """Program position of the op that writes a tensor, by the tensor's name."""
        return {name: i for i, op in enumerate(self.ops) for name in op.outputs}

    @cached_property
    def storage_of(self) -> dict[str, str]:
        """Root of the storage each tensor lives in: itself, unless a view op wrote it."""
        root = {t.name: t.name for t in self.tensors}
        for op in self.ops:
            if op.is_view:
                root.update(dict.fromkeys(op.outputs, root[op.inputs[0]]))
        return root

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Root by view: the tensors that share another tensor's storage."""
        return {name: root for name, root in self.storage_of.items() if name != root}

    @cached_property
    def sha256(self) -> str:
        """Digest of the graph's canonical JSON: what a plan is tied to."""
        text = json.dumps(self.to_dict(), separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """The graph as the JSON file format has it; unknown fields are left out."""
        d: dict[str, Any] = {
            "format": "memplan-graph",
            "version": 1,
            "name": self.name,
            "tensors": [_tensor_dict(t) for t in self.tensors],
            "ops": [_op_dict(op) for op in self.ops],
        }
        return d | {"updates": dict(self.updates)} if self.updates else d


def _tensor_dict(t: Tensor) -> dict[str, Any]:
    d: dict[str, Any] = {"name": t.name}
    if t.dtype is not None:
        d["dtype"] = t.dtype
    if t.shape is not None:
        d["shape"] = list(t.shape)
    return d | {"nbytes": t.nbytes, "kind": t.kind}


def _op_dict(op: Op) -> dict[str, Any]:
    d: dict[str, Any] = {"name": op.name, "kind": op.kind}
    d |= {"inputs": list(op.inputs), "outputs": list(op.outputs)}
    return d if op.flops is None else d | {"flops": op.flops}


def _validate(graph: Graph) -> None:
    tensors: dict[str, Tensor] = {}
    total = 0
    for t in graph.tensors:
        if not t.name:
            raise GraphError("a tensor has no name", "give every tensor a name of its own")
        if t.name in tensors:
            raise GraphError(f"two tensors are named '{t.name}'", "tensor names must be unique")
        if t.kind not in TENSOR_KINDS:
            raise GraphError(f"tensor '{t.name}' has kind '{t.kind}'", f"kinds are {', '.join(TENSOR_KINDS)}")
        if not 0 <= t.nbytes <= MAX_BYTES:
            raise GraphError(
                f"tensor '{t.name}' has {t.nbytes} bytes", "sizes are whole bytes from 0 to 2^62"
            )
        total += t.nbytes
        tensors[t.name] = t
    if total > MAX_BYTES:
        raise GraphError(
            f"the tensors of '{graph.name}' add up to {total} bytes", "at most 2^62 are supported"
        )
    _validate_ops(graph, tensors)
    _validate_updates(graph, tensors)


def _validate_updates(graph: Graph, tensors: dict[str, Tensor]) -> None:
    for written, renewed in graph.updates:
        kinds = [tensors[name].kind if name in tensors else None for name in (written, renewed)]
        if kinds != ["output", "input"]:
            raise GraphError(
                f"'{written}' cannot be the next value of '{renewed}'",
                "an update pairs an output with an input",
            )
    for side in zip(*graph.updates, strict=True):
        if len(set(side)) < len(side):
            raise GraphError("an output or an input is in two updates", "every update is a pair of its own")


def _validate_ops(graph: Graph, tensors: dict[str, Tensor]) -> None:
    written = {name for op in graph.ops for name in op.outputs}
    ready = {t.name for t in graph.tensors if t.kind in ("input", "constant")}
    if both := next((name for name in sorted(written) if name in ready), None):
        raise GraphError(
            f"{tensors[both].kind} '{both}' is written by an op",
            "inputs and constants have no producer; declare it an activation",
        )
    names: set[str] = set()
    root: dict[str, str] = {}
    for op in graph.ops:
        if not op.name or op.name in names:
            what = f"two ops are named '{op.name}'" if op.name else "an op has no name"
            raise GraphError(what, "op names must be unique and not empty")
        names.add(op.name)
        for name in op.inputs:
            if name not in tensors:
                raise GraphError(
                    f"op '{op.name}' reads the undeclared tensor '{name}'", "list it among the tensors"
                )
            if name not in ready:
                raise _not_ready(graph, op, name, written)
        for name in op.outputs:
            if name not in tensors:
                raise GraphError(
                    f"op '{op.name}' writes the undeclared tensor '{name}'", "list it among the tensors"
                )
            if name in ready:
                raise GraphError(
                    f"tensor '{name}' is written twice, again by op '{op.name}'", "a tensor has one producer"
                )
            ready.add(name)
        if op.is_view:
            base = root.get(op.inputs[0], op.inputs[0])
            root.update(dict.fromkeys(op.outputs, base))
            if large := next((x for x in op.outputs if tensors[x].nbytes > tensors[base].nbytes), None):
                raise GraphError(
                    f"view op '{op.name}' makes '{large}' larger than its storage '{base}'",
                    "a view shares its input's bytes; use a copying kind",
                )
    if orphan := next((t.name for t in graph.tensors if t.name not in ready), None):
        raise GraphError(
            f"{tensors[orphan].kind} '{orphan}' has no producer",
            "let an op write it, or declare it an input or a constant",
        )


def _not_ready(graph: Graph, op: Op, name: str, written: set[str]) -> GraphError:
    if name not in written:
        return GraphError(
            f"op '{op.name}' reads '{name}', which no op writes",
            "let an op write it, or declare it an input or a constant",
        )
    return GraphError(
        f"op '{op.name}' reads '{name}' before it is written: the ops form a cycle or are out of order",
        "list the ops in an order that respects their dependencies",
    )


def sort_ops(ops: list[Op], available: set[str]) -> list[Op]:
    """`ops` in the dependency-respecting order closest to the given one; linear but for a heap.

    `available` are the tensors no op has to write. GraphError names an op on a cycle.
    """
    writer = {name: i for i, op in enumerate(ops) for name in op.outputs}
    waits = [0] * len(ops)
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(ops):
        sources = {writer[n] for n in op.inputs if n in writer and n not in available}
        waits[i] = len(sources)
        for source in sources:
            readers.setdefault(source, []).append(i)
    heap = [i for i, count in enumerate(waits) if count == 0]
    order: list[Op] = []
    while heap:
        i = heapq.heappop(heap)
        order.append(ops[i])
        for reader in readers.get(i, ()):
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(heap, reader)
    if len(order) < len(ops):
        stuck = next(op for op, count in zip(ops, waits, strict=True) if count)
        raise GraphError(
            f"op '{stuck.name}' depends on its own output: the graph has a cycle",
            "break the cycle; recurrences belong inside Loop or Scan",
        )
    return order
