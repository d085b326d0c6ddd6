"""A .tflite file as frozen data: its subgraphs with their tensors and operators, its buffers and its metadata."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES
from memplan.tflite.flatbuffer import File, FlatbufferTable
from memplan.tflite.schema import (
    CALLED,
    IDENTIFIER,
    SHARED_NAME,
    TYPES,
    BufferField,
    MetadataField,
    ModelField,
    OperatorCodeField,
    OperatorField,
    SubGraphField,
    TensorField,
    operator_name,
)


@dataclass(frozen=True)
class TfliteValue:
    """A tensor of a subgraph.

    Args:
        name: as the file has it: maybe empty, maybe not the only one.
        dtype: such as "int8".
        shape: elements along each axis.
        nbytes: of all elements.
        constant: whether its buffer holds data.
        buffer: the number of its buffer.
        variable: whether it keeps its value from one run to the next.
        table: where it lies in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int
    constant: bool
    buffer: int
    variable: bool
    table: FlatbufferTable


@dataclass(frozen=True)
class Operator:
    """An operator of a subgraph.

    Args:
        kind: its name in the schema, that of a custom one after "CUSTOM:".
        inputs: numbers of the subgraph's tensors, -1 where an optional one is left out.
        outputs: the same.
        calls: numbers of the subgraphs that it runs.
        variable: the name of the resource variable that it gives a handle of, None for any other operator.
        options: where they lie in the file, None where it has none; no part of what makes two operators equal.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[int, ...] = ()
    variable: str | None = None
    options: FlatbufferTable | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SubGraph:
    """A subgraph: tensors, the numbers of its inputs and outputs, and operators in the order in which they run."""

    tensors: tuple[TfliteValue, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[Operator, ...]
    table: FlatbufferTable


@dataclass(frozen=True)
class TfliteProgram:
    """A .tflite file.

    Args:
        data: all of it.
        root: its root table.
        subgraphs: the first is the one that is run.
        buffers: the bytes of the file that each holds.
        metadata: numbers of buffers by name.
    """

    data: bytes
    root: FlatbufferTable
    subgraphs: tuple[SubGraph, ...]
    buffers: tuple[range, ...]
    metadata: tuple[tuple[str, int], ...]

    def held(self, value: TfliteValue) -> bytes:
        """What a constant holds."""
        place = self.buffers[value.buffer]
        return self.data[place.start : place.stop]


def parse(data: bytes, where: str) -> TfliteProgram:
    """The program in the bytes of a .tflite file; GraphError names what is damaged in it or unknown."""
    root = File(data, where).root(IDENTIFIER)
    if (version := root.number(ModelField.VERSION, "I")) != 3:
        raise GraphError(f"'{where}' is of schema {version}", "give a .tflite file of schema 3")
    buffers = tuple(_buffer(table) for table in root.tables(ModelField.BUFFERS))
    kinds = tuple(_kind(table) for table in root.tables(ModelField.OPERATOR_CODES))
    subgraphs = tuple(_subgraph(table, kinds, buffers) for table in root.tables(ModelField.SUBGRAPHS))
    if not subgraphs:
        raise GraphError(f"'{where}' has no subgraph", "give a model that computes something")
    for subgraph in subgraphs:
        for operator in subgraph.operators:
            _within(root, operator.calls, len(subgraphs), "subgraph")
    metadata = tuple(
        (table.text(MetadataField.NAME), table.number(MetadataField.BUFFER, "I"))
        for table in root.tables(ModelField.METADATA)
    )
    _within(root, [number for _, number in metadata], len(buffers), "buffer")
    return TfliteProgram(data, root, subgraphs, buffers, metadata)


def _buffer(table: FlatbufferTable) -> range:
    if table.number(BufferField.OFFSET, "Q") > 1:
        raise GraphError(
            f"'{table.file.where}' keeps weights behind its flatbuffer",
            "convert the model to less than 2 GB: no microcontroller reads such a file",
        )
    return table.vector(BufferField.DATA, 1)


def _kind(table: FlatbufferTable) -> str:
    code = max(table.number(OperatorCodeField.OLD_CODE, "b"), table.number(OperatorCodeField.CODE, "i"))
    name = operator_name(code)
    return f"CUSTOM:{table.text(OperatorCodeField.CUSTOM_CODE)}" if name == "CUSTOM" else name


def _subgraph(table: FlatbufferTable, kinds: tuple[str, ...], buffers: tuple[range, ...]) -> SubGraph:
    tensors = tuple(_value(item, buffers) for item in table.tables(SubGraphField.TENSORS))
    operators = tuple(_operator(item, kinds) for item in table.tables(SubGraphField.OPERATORS))
    inputs, outputs = table.numbers(SubGraphField.INPUTS), table.numbers(SubGraphField.OUTPUTS)
    _within(table, [*inputs, *outputs], len(tensors), "tensor")
    for operator in operators:
        _within(table, [x for x in operator.inputs if x != -1], len(tensors), "tensor")
        _within(table, operator.outputs, len(tensors), "tensor")
    return SubGraph(tensors, inputs, outputs, operators, table)


def _value(table: FlatbufferTable, buffers: tuple[range, ...]) -> TfliteValue:
    name, number = table.text(TensorField.NAME), table.number(TensorField.TYPE, "b")
    if number not in TYPES:
        raise GraphError(
            f"tensor '{name}' of '{table.file.where}' has the type {number}, whose size nobody knows",
            f"types that can be planned are {', '.join(name for name, _ in TYPES.values())}",
        )
    dtype, item_bytes = TYPES[number]
    shape = table.numbers(TensorField.SHAPE)
    nbytes = math.prod(shape) * item_bytes
    if any(size < 0 for size in shape) or nbytes > MAX_BYTES:
        raise GraphError(
            f"tensor '{name}' of '{table.file.where}' has the shape {list(shape)}",
            "convert the model with the sizes of all axes fixed",
        )
    buffer = table.number(TensorField.BUFFER, "I")
    _within(table, [buffer], len(buffers), "buffer")
    variable = bool(table.number(TensorField.IS_VARIABLE, "B"))
    return TfliteValue(name, dtype, shape, nbytes, bool(buffers[buffer]), buffer, variable, table)


def _operator(table: FlatbufferTable, kinds: tuple[str, ...]) -> Operator:
    code = table.number(OperatorField.OPCODE, "I")
    _within(table, [code], len(kinds), "operator code")
    kind, options = kinds[code], table.table(OperatorField.OPTIONS)
    count = CALLED.get(kind, 0)
    if options is None and (count or kind == "VAR_HANDLE"):
        raise table.file.fault(f"has an operator {kind} without options")
    calls = tuple(options.number(field, "i") for field in range(count)) if options else ()
    variable = options.text(SHARED_NAME) if options and kind == "VAR_HANDLE" else None
    inputs, outputs = table.numbers(OperatorField.INPUTS), table.numbers(OperatorField.OUTPUTS)
    return Operator(kind, inputs, outputs, calls, variable, options)


def _within(table: FlatbufferTable, numbers: list[int] | tuple[int, ...], count: int, what: str) -> None:
    """Refuse a number that is none of a list of `count` things."""
    if wrong := next((x for x in numbers if not 0 <= x < count), None):
        raise table.file.fault(f"names {what} {wrong} of {count}")
    if numbers and not count:
        raise table.file.fault(f"names a {what}, and has none")
