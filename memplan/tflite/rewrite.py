"""A .tflite file changed without writing it anew: what it holds stays where it is, byte for byte.

Offsets of a flatbuffer point ahead, so that a new root table with longer lists of buffers and metadata stands before the
old bytes, and new tensors behind them. In the old bytes themselves only the lists of operators are put into another order,
and those of tensors point to new ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from memplan.base.errors import GraphError
from memplan.tflite.build import Number, Old, Value, joined
from memplan.tflite.flatbuffer import vector, word
from memplan.tflite.program import TfliteProgram, parse
from memplan.tflite.schema import (
    IDENTIFIER,
    BufferField,
    MetadataField,
    ModelField,
    SubGraphField,
    TensorField,
)


@dataclass(frozen=True)
class Changes:
    """What is to be changed.

    Args:
        orders: numbers of the operators that stay, in their new order, by subgraph; the others keep theirs.
        constants: what tensors hold from now on, 32-bit floats, by subgraph and tensor.
        emptied: tensors that nothing touches any more, by subgraph and tensor: they have no elements from now on.
        metadata: new entries by name; older ones of these names go.
    """

    orders: Mapping[int, Sequence[int]] = field(default_factory=dict)
    constants: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    emptied: Sequence[tuple[int, int]] = ()
    metadata: Mapping[str, bytes] = field(default_factory=dict)


def rewritten(program: TfliteProgram, changes: Changes) -> bytes:
    """The file with the changes made; GraphError where it is laid out as no converter would."""
    old = bytearray(program.data)
    for number, order in changes.orders.items():
        _reorder(program, number, order, old)
    for i, (place, held) in enumerate(changes.constants.items()):
        value = program.subgraphs[place[0]].tensors[place[1]]
        if len(held) != value.nbytes:
            raise program.root.file.fault(f"has a constant of {len(held)} bytes, {value.nbytes} by its shape")
        _replace_tensor(program, place, value.shape, len(program.buffers) + i, old)
    for place in changes.emptied:
        _replace_tensor(program, place, (0,), 0, old)
    made = headed(program, bytes(old), [*changes.constants.values()], changes.metadata)
    _require(program, changes, made)
    return made


def _reorder(program: TfliteProgram, number: int, order: Sequence[int], old: bytearray) -> None:
    """Let a subgraph's list of operators be these, in this order."""
    table = program.subgraphs[number].table
    slots = table.vector(SubGraphField.OPERATORS, 4)
    targets = [table.file.target(slots[i]) for i in order]
    old[slots.start - 4 : slots.start] = word("I", len(order))
    for slot, target in zip(slots[: len(order)], targets, strict=True):
        if target <= slot:
            raise table.file.fault("has an operator before the list of its operators")
        old[slot : slot + 4] = word("I", target - slot)


def _replace_tensor(
    program: TfliteProgram, place: tuple[int, int], shape: tuple[int, ...], buffer: int, old: bytearray
) -> None:
    """Let a tensor be a new one of the same name behind the old bytes: 32-bit floats from that buffer."""
    subgraph, value = program.subgraphs[place[0]], program.subgraphs[place[0]].tensors[place[1]]
    name = value.name.encode() + b"\0"
    fields: dict[int, int] = {TensorField.SHAPE: 0, TensorField.BUFFER: buffer, TensorField.NAME: 0}
    _pad(old, 4)
    at = _append_table(old, fields, len(TensorField))
    _point(old, at[TensorField.SHAPE], len(old))
    old += vector(shape)
    _point(old, at[TensorField.NAME], len(old))
    old += word("I", len(name) - 1) + name
    _pad(old, 4)
    slot = subgraph.table.vector(SubGraphField.TENSORS, 4)[place[1]]
    _point(old, slot, at[-1])


def headed(
    program: TfliteProgram,
    old: bytes,
    buffers: Sequence[bytes],
    metadata: Mapping[str, bytes],
    fields: Mapping[int, Value] | None = None,
) -> bytes:
    """The old bytes behind a root table with more buffers, with entries of metadata, and with other `fields`.

    GraphError where the model has fields that are not known.
    """
    root, first = program.root, len(program.buffers) + len(buffers)
    if root.fields() > len(ModelField):
        raise GraphError(
            f"'{root.file.where}' says more of its model than schema 3 knows",
            "convert the model by an older release",
        )
    entries = zip(root.tables(ModelField.METADATA), program.metadata, strict=True)
    known = [n for n in ModelField if n != ModelField.VERSION]
    made: dict[int, Value] = {
        **{ModelField.VERSION: Number("I", root.number(ModelField.VERSION, "I"))},
        **{n: Old(target) for n in known if (target := root.target(n)) is not None},
        ModelField.BUFFERS: [
            *(Old(table.at) for table in root.tables(ModelField.BUFFERS)),
            *({BufferField.DATA: held} for held in (*buffers, *metadata.values())),
        ],
        ModelField.METADATA: [
            *(Old(table.at) for table, (name, _) in entries if name not in metadata),
            *(
                {MetadataField.NAME: name, MetadataField.BUFFER: Number("I", first + i)}
                for i, name in enumerate(metadata)
            ),
        ],
        **(fields or {}),
    }
    return joined(dict(sorted(made.items())), IDENTIFIER, old)


def _append_table(made: bytearray, fields: Mapping[int, int], count: int) -> dict[int, int]:
    """Append a table of 32-bit fields, after its vtable of `count` fields; the places of its fields, and at -1 its own."""
    places = {number: 4 + 4 * i for i, number in enumerate(fields)}
    vtable = word(
        f"{2 + count}H", 4 + 2 * count, 4 + 4 * len(fields), *(places.get(i, 0) for i in range(count))
    )
    made += bytes(-(len(made) + len(vtable)) % 4) + vtable
    at = len(made)
    made += word("i", len(vtable)) + word(f"{len(fields)}I", *fields.values())
    return {-1: at} | {number: at + inside for number, inside in places.items()}


def _point(made: bytearray, place: int, target: int) -> None:
    """Let the offset at a place point ahead to a byte."""
    made[place : place + 4] = word("I", target - place)


def _pad(made: bytearray, alignment: int) -> None:
    """Append zeros until what comes is aligned."""
    made += bytes(-len(made) % alignment)


def _require(program: TfliteProgram, changes: Changes, made: bytes) -> None:
    """Refuse a file in which parts that were changed lie in one another: read again, it is not what was meant."""
    found = parse(made, program.root.file.where)
    meant = [
        [subgraph.operators[i] for i in changes.orders.get(n, range(len(subgraph.operators)))]
        for n, subgraph in enumerate(program.subgraphs)
    ]
    same = [list(subgraph.operators) for subgraph in found.subgraphs] == meant
    held = all(
        found.held(found.subgraphs[n].tensors[i]) == data for (n, i), data in changes.constants.items()
    )
    kept = all(
        program.data[a.start : a.stop] == made[b.start : b.stop]
        for a, b in zip(program.buffers, found.buffers, strict=False)
    )
    if not (same and held and kept):
        raise program.root.file.fault("has lists that lie in one another")
