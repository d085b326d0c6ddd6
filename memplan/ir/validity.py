"""What makes a graph valid: GraphError names what is not, and how to mend it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES
from memplan.ir.boxes import is_box
from memplan.ir.joins import joining_fault
from memplan.ir.needs import needs_fault
from memplan.ir.overwrites import overwriting_fault
from memplan.ir.parts import TENSOR_KINDS, Op, Tensor

_UNPRINTABLE = re.compile("[\0\n\r\ud800-\udfff]")


def validate(
    name: str,
    tensors: Sequence[Tensor],
    ops: Sequence[Op],
    outputs: Sequence[str],
    updates: Sequence[tuple[str, str]],
) -> None:
    """Refuse what is no valid graph of that name; see `memplan.Graph`."""
    sources = (part for op in ops for part in op.source)
    _validate_names([name, *(t.name for t in tensors), *(op.name for op in ops), *sources])
    known: dict[str, Tensor] = {}
    total = 0
    for t in tensors:
        if t.name in known:
            raise GraphError(f"two tensors are named '{t.name}'", "tensor names must be unique")
        _validate_tensor(t)
        total += t.nbytes
        known[t.name] = t
    if total > MAX_BYTES:
        raise GraphError(f"the tensors of '{name}' add up to {total} bytes", "at most 2^62 are supported")
    _validate_ops(ops, known)
    _validate_ends(name, outputs, updates, known)


def _validate_names(names: Iterable[str]) -> None:
    """Refuse what no line of UTF-8 text can hold; other control characters are shown escaped."""
    for name in names:
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
    if t.alignment is not None and not 1 <= t.alignment <= MAX_BYTES:
        raise GraphError(
            f"tensor '{t.name}' is aligned to {t.alignment} bytes",
            "alignments are whole bytes from 1 to 2^62",
        )
    if t.part is not None and (t.shape is None or not is_box(t.part[1], t.shape)):
        raise GraphError(
            f"tensor '{t.name}' is said to hold {t.part[1]} of '{t.part[0]}', which does not fit its shape {t.shape}",
            "give the first element and the one behind the last along each axis",
        )


def _validate_ends(
    graph: str, outputs: Sequence[str], updates: Sequence[tuple[str, str]], tensors: dict[str, Tensor]
) -> None:
    """What must be there at the end, and what it renews."""
    for name in outputs:
        if name not in tensors or tensors[name].kind == "workspace":
            raise GraphError(
                f"'{name}' cannot be an output of '{graph}'", "an output is a value of the graph"
            )
    if len(set(outputs)) < len(outputs):
        raise GraphError(f"'{graph}' lists an output twice", "name every output once")
    returned = set(outputs)
    for written, renewed in updates:
        if written not in returned or renewed not in tensors or tensors[renewed].kind != "input":
            raise GraphError(
                f"'{written}' cannot be the next value of '{renewed}'",
                "an update pairs an output with an input",
            )
    for side in zip(*updates, strict=True):
        if len(set(side)) < len(side):
            raise GraphError("an output or an input is in two updates", "every update is a pair of its own")


def _validate_ops(ops: Sequence[Op], tensors: dict[str, Tensor]) -> None:
    written = {name for op in ops for name in op.outputs}
    ready = {t.name for t in tensors.values() if t.kind in ("input", "constant")}
    if both := next((name for name in sorted(written) if name in ready), None):
        raise GraphError(
            f"{tensors[both].kind} '{both}' is written by an op",
            "inputs and constants have no producer; declare it an activation",
        )
    declared, names = {op.name for op in ops}, set[str]()
    root: dict[str, str] = {name: name for name in tensors}
    for op in ops:
        if not op.name or op.name in names:
            what = f"two ops are named '{op.name}'" if op.name else "an op has no name"
            raise GraphError(what, "op names must be unique and not empty")
        _validate_after(op, names, declared)
        names.add(op.name)
        for name in op.inputs:
            if name not in tensors:
                raise GraphError(
                    f"op '{op.name}' reads the undeclared tensor '{name}'", "list it among the tensors"
                )
            if name not in ready:
                raise _not_ready(op, name, written)
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
    if orphan := next((name for name in tensors if name not in ready), None):
        raise GraphError(
            f"{tensors[orphan].kind} '{orphan}' has no producer",
            "let an op write it, or declare it an input or a constant",
        )
    for t in tensors.values():
        if t.place is not None and t.place[0] != root[t.name]:
            raise GraphError(
                f"'{t.name}' is said to lie in '{t.place[0]}', but its storage is '{root[t.name]}'",
                "only the outputs of views have a place: the root of the view op's first input",
            )


def _validate_after(op: Op, before: set[str], declared: set[str]) -> None:
    """What the op is to come after, against the names of those before it in the program, and of all."""
    for name in op.after:
        if name not in declared:
            raise GraphError(f"op '{op.name}' is to come after '{name}', which is no op", "name an op")
        if name not in before:
            raise GraphError(
                f"op '{op.name}' is to come after '{name}', which the program runs later: "
                "the ops form a cycle or are out of order",
                "list the ops in an order that respects their dependencies",
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
            first = tensors[name].first_byte
            if tensors[name].alignment is not None:
                raise GraphError(
                    f"view op '{op.name}' makes '{name}', which has an alignment of its own",
                    f"a view lies where its storage does: align '{base}'",
                )
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
        if fault := fault or overwriting_fault(tensors, root, op, output, operand):
            raise GraphError(
                f"op '{op.name}' cannot write '{output}' over '{operand}': {fault}",
                "leave the pair out of its overwrites",
            )
    if op.needs and (fault := needs_fault(tensors, op)):
        raise GraphError(f"what op '{op.name}' needs is unclear: {fault}", "leave out its needs")
    if op.joins and (fault := joining_fault(tensors, root, op)):
        raise GraphError(f"op '{op.name}' cannot join its operands: {fault}", "leave out its joins")


def _not_ready(op: Op, name: str, written: set[str]) -> GraphError:
    if name not in written:
        return GraphError(
            f"op '{op.name}' reads '{name}', which no op writes",
            "let an op write it, or declare it an input or a constant",
        )
    return GraphError(
        f"op '{op.name}' reads '{name}' before it is written: the ops form a cycle or are out of order",
        "list the ops in an order that respects their dependencies",
    )
