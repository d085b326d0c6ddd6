"""The IR: tensors, ops and the frozen graph they form. Depends on nothing but errors and units, and knows no op by name."""

from __future__ import annotations

import hashlib
import heapq
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES

_UNPRINTABLE = re.compile("[\0\n\r\ud800-\udfff]")
TENSOR_KINDS = ("input", "constant", "activation", "workspace")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One value. `nbytes` is its stored size, from its first byte to its last; `dtype` and `shape` may be unknown (None).

    strides  in elements, None where the tensor is row-major; what an axis of size 1 says does not count
    place    of a view: the root of its storage and the byte of it where the view begins, None where that is
             not known; of any other tensor None
    """

    name: str
    nbytes: int
    kind: str = "activation"
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    strides: tuple[int, ...] | None = None
    place: tuple[str, int] | None = None

    @property
    def layout(self) -> tuple[int, tuple[int, ...] | None, tuple[int, ...] | None]:
        """What two tensors have in common whose elements lie alike: bytes, shape, and strides of axes longer than 1."""
        return self.nbytes, self.shape, _counted_strides(self.shape, self.strides)


@dataclass(frozen=True, slots=True)
class Op:
    """One operator, and what its importer knows of its kernel.

    flops       a multiply-accumulate counts as two; None where unknown
    view        its outputs lie in the bytes of its first input: it keeps a step, reads and writes nothing
    overwrites  pairs (output, operand): the kernel may write the output over the operand's bytes
    workspace   the one among its outputs that is no value: bytes it needs while it runs, read by nobody
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    flops: int | None = None
    view: bool = False
    overwrites: tuple[tuple[str, str], ...] = ()
    workspace: str | None = None

    @property
    def results(self) -> tuple[str, ...]:
        """The outputs that are values: all but the workspace."""
        return tuple(name for name in self.outputs if name != self.workspace)


@dataclass(frozen=True)
class Graph:
    """A network: tensors, and ops in program order (an order that respects every dependency).

    `outputs` are the tensors that must be there at the end, of any kind, an input too. `updates` pairs an output
    with the input whose next value it is (a cache, a weight, an optimizer's state): where the source works in
    place, the output is what the input's buffer holds afterwards.

    Raises GraphError on construction when a name is missing or used twice, a tensor has two
    producers or none, an op reads what only a later op writes, a size is out of range, or an op claims
    a view, an overwriting or a workspace that its tensors do not bear out.
    """

    name: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    outputs: tuple[str, ...] = ()
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
        """Digest of the graph's canonical JSON: what a plan is tied to."""
        return digest(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """The graph as the JSON file format, version 2, has it; fields at their defaults are left out."""
        d: dict[str, Any] = {
            "format": "memplan-graph",
            "version": 2,
            "name": self.name,
            "outputs": list(self.outputs),
            "tensors": [_tensor_dict(t) for t in self.tensors],
            "ops": [_op_dict(op) for op in self.ops],
        }
        return d | {"updates": dict(self.updates)} if self.updates else d


def digest(data: dict[str, Any]) -> str:
    """SHA-256 of JSON types, written canonically."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_1(graph: Graph) -> str:
    """The digest that version 1 has of a graph: what its plans are tied to."""
    outputs = set(graph.outputs)
    tensors = [_tensor_1(t, t.kind == "activation" and t.name in outputs) for t in graph.tensors]
    ops = [_op_1(op) for op in graph.ops]
    d = {"format": "memplan-graph", "version": 1, "name": graph.name, "tensors": tensors, "ops": ops}
    return digest(d | {"updates": dict(graph.updates)} if graph.updates else d)


def _tensor_1(t: Tensor, output: bool) -> dict[str, Any]:
    d: dict[str, Any] = {"name": t.name}
    if t.dtype is not None:
        d["dtype"] = t.dtype
    if t.shape is not None:
        d["shape"] = list(t.shape)
    return d | {"nbytes": t.nbytes, "kind": "output" if output else t.kind}


def _op_1(op: Op) -> dict[str, Any]:
    d: dict[str, Any] = {
        "name": op.name,
        "kind": op.kind,
        "inputs": list(op.inputs),
        "outputs": list(op.outputs),
    }
    return d if op.flops is None else d | {"flops": op.flops}


def sound_overwrites(tensors: Iterable[Tensor], ops: Iterable[Op]) -> tuple[Op, ...]:
    """The ops, in program order, without those of their `overwrites` that the layout forbids.

    A pair is sound where both have the same bytes, shape and strides and fill their storages, and no other operand of
    the op lies in that storage, but for the same tensor or a view that lies exactly alike. Whether an op
    reads each element before it writes it is for its importer to know.
    """
    tensor = {t.name: t for t in tensors}
    root = {name: name for name in tensor}
    found = []
    for op in ops:
        if op.view and op.inputs:
            root.update(dict.fromkeys(op.outputs, root.get(op.inputs[0], op.inputs[0])))
        pairs = tuple(p for p in op.overwrites if not _overwriting_fault(tensor, root, op, *p))
        found.append(op if pairs == op.overwrites else replace(op, overwrites=pairs))
    return tuple(found)


def _overwriting_fault(
    tensor: dict[str, Tensor], root: dict[str, str], op: Op, output: str, operand: str
) -> str:
    """Why the op cannot write its output over the operand's bytes; empty where it can."""
    if operand not in op.inputs:
        return f"'{operand}' is no operand of it"
    out, over = tensor[output], tensor[operand]
    storage = tensor[root[operand]]
    if op.view or out.kind == "workspace":
        return f"'{output}' is written to no place of its own"
    if out.layout != over.layout:
        return f"'{output}' and '{operand}' differ in bytes, shape or strides"
    if over.nbytes != storage.nbytes:
        return f"'{operand}' fills only a part of '{storage.name}'"
    if storage.kind == "constant":
        return f"'{storage.name}' is a constant"
    for name in dict.fromkeys(op.inputs):
        other = tensor[name]
        if name != operand and root[name] == storage.name:
            known = name == storage.name or other.place is not None
            if not known or _position(other) != _position(over) or other.layout != over.layout:
                return f"it reads the same bytes through '{name}' too, which lies in them in another way"
    return ""


def _position(t: Tensor) -> int:
    return 0 if t.place is None else t.place[1]


def _counted_strides(
    shape: tuple[int, ...] | None, strides: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    """The strides of the axes longer than 1; None where they are those of a row-major tensor."""
    if shape is None or strides is None:
        return None
    counted, dense, row_major = [], 1, True
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size > 1:
            counted.append(stride)
            row_major = row_major and stride == dense
        dense *= size
    return None if row_major or 0 in shape else tuple(reversed(counted))


def _tensor_dict(t: Tensor) -> dict[str, Any]:
    d: dict[str, Any] = {"name": t.name}
    if t.dtype is not None:
        d["dtype"] = t.dtype
    if t.shape is not None:
        d["shape"] = list(t.shape)
    if t.strides is not None:
        d["strides"] = list(t.strides)
    d |= {"nbytes": t.nbytes, "kind": t.kind}
    return d if t.place is None else d | {"place": list(t.place)}


def _op_dict(op: Op) -> dict[str, Any]:
    d: dict[str, Any] = {"name": op.name, "kind": op.kind}
    d |= {"inputs": list(op.inputs), "outputs": list(op.results)}
    if op.flops is not None:
        d["flops"] = op.flops
    if op.view:
        d["view"] = True
    if op.overwrites:
        d["overwrites"] = [list(pair) for pair in op.overwrites]
    return d if op.workspace is None else d | {"workspace": op.workspace}


def _validate(graph: Graph) -> None:
    _validate_names(graph)
    tensors: dict[str, Tensor] = {}
    total = 0
    for t in graph.tensors:
        if t.name in tensors:
            raise GraphError(f"two tensors are named '{t.name}'", "tensor names must be unique")
        _validate_tensor(t)
        total += t.nbytes
        tensors[t.name] = t
    if total > MAX_BYTES:
        raise GraphError(
            f"the tensors of '{graph.name}' add up to {total} bytes", "at most 2^62 are supported"
        )
    _validate_ops(graph, tensors)
    _validate_ends(graph, tensors)


def _validate_names(graph: Graph) -> None:
    """Refuse what no line of UTF-8 text can hold; other control characters are shown escaped."""
    for name in (graph.name, *(t.name for t in graph.tensors), *(op.name for op in graph.ops)):
        if _UNPRINTABLE.search(name):
            raise GraphError(
                f"the name {ascii(name)[:80]} holds a line break, a NUL or half a character",
                "rename it: a name is one line of text",
            )


def _validate_tensor(t: Tensor) -> None:
    if not t.name:
        raise GraphError("a tensor has no name", "give every tensor a name of its own")
    if t.kind not in TENSOR_KINDS:
        hint = f"kinds are {', '.join(TENSOR_KINDS)}"
        if t.kind == "output":
            hint += "; an output is an activation whose name is among the graph's outputs"
        raise GraphError(f"tensor '{t.name}' has kind '{t.kind}'", hint)
    if not 0 <= t.nbytes <= MAX_BYTES:
        raise GraphError(f"tensor '{t.name}' has {t.nbytes} bytes", "sizes are whole bytes from 0 to 2^62")
    if t.strides is not None and (t.shape is None or len(t.strides) != len(t.shape)):
        raise GraphError(
            f"tensor '{t.name}' has {len(t.strides)} strides, which do not fit its shape {t.shape}",
            "give a stride for each axis, in elements, or none for a row-major tensor",
        )


def _validate_ends(graph: Graph, tensors: dict[str, Tensor]) -> None:
    """What must be there at the end, and what it renews."""
    for name in graph.outputs:
        if name not in tensors or tensors[name].kind == "workspace":
            raise GraphError(
                f"'{name}' cannot be an output of '{graph.name}'", "an output is a value of the graph"
            )
    if len(set(graph.outputs)) < len(graph.outputs):
        raise GraphError(f"'{graph.name}' lists an output twice", "name every output once")
    outputs = set(graph.outputs)
    for written, renewed in graph.updates:
        if written not in outputs or renewed not in tensors or tensors[renewed].kind != "input":
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
    root: dict[str, str] = {name: name for name in tensors}
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
        _validate_kernel(op, tensors, root)
    if orphan := next((t.name for t in graph.tensors if t.name not in ready), None):
        raise GraphError(
            f"{tensors[orphan].kind} '{orphan}' has no producer",
            "let an op write it, or declare it an input or a constant",
        )
    for t in graph.tensors:
        if t.place is not None and t.place[0] != root[t.name]:
            raise GraphError(
                f"'{t.name}' is said to lie in '{t.place[0]}', but its storage is '{root[t.name]}'",
                "only the outputs of views have a place: the root of the view op's first input",
            )


def _validate_kernel(op: Op, tensors: dict[str, Tensor], root: dict[str, str]) -> None:
    """What the op says of its kernel, against its tensors; fills in the roots of what a view writes."""
    spaces = [name for name in op.outputs if tensors[name].kind == "workspace"]
    if spaces != ([] if op.workspace is None else [op.workspace]):
        raise GraphError(
            f"op '{op.name}' names the workspace {op.workspace!r}, its outputs have {spaces}",
            "a tensor of kind workspace is an output of the one op that names it as its workspace",
        )
    if read := next((name for name in op.inputs if tensors[name].kind == "workspace"), None):
        raise GraphError(f"op '{op.name}' reads the workspace '{read}'", "nobody reads a workspace")
    if op.view:
        if not op.inputs or spaces:
            raise GraphError(
                f"view op '{op.name}' has no input to lie in, or a workspace", "a view only renames bytes"
            )
        base = root[op.inputs[0]]
        for name in op.outputs:
            root[name] = base
            first = _position(tensors[name])
            if first < 0 or first + tensors[name].nbytes > tensors[base].nbytes:
                raise GraphError(
                    f"view op '{op.name}' makes '{name}' larger than its storage '{base}'",
                    "a view shares its input's bytes; declare the op no view if it copies",
                )
    if len({output for output, _ in op.overwrites}) > 1:
        raise GraphError(
            f"op '{op.name}' overwrites operands with several outputs",
            "one output of an op may work in place",
        )
    for output, operand in op.overwrites:
        fault = "it does not write it" if output not in op.outputs else ""
        if fault := fault or _overwriting_fault(tensors, root, op, output, operand):
            raise GraphError(
                f"op '{op.name}' cannot write '{output}' over '{operand}': {fault}",
                "leave the pair out of its overwrites",
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
