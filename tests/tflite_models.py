"""Small .tflite files, written by a flatbuffer writer of their own: tables before what they point to."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from memplan.tflite.schema import OPERATORS, TYPES

NUMBER = {name: number for number, (name, _) in TYPES.items()}
OPTIONS = {
    "CONV_2D": 1, "DEPTHWISE_CONV_2D": 2, "AVERAGE_POOL_2D": 5, "MAX_POOL_2D": 5, "SVDF": 6, "FULLY_CONNECTED": 8,
    "SOFTMAX": 9, "CONCATENATION": 10, "TRANSPOSE_CONV": 49, "UNIDIRECTIONAL_SEQUENCE_LSTM": 71, "IF": 92, "WHILE": 93,
    "CALL_ONCE": 103, "VAR_HANDLE": 111,
}  # fmt: skip
"""The numbers of the options that these files have."""

SAME, VALID = 0, 1
"""The numbers of the ways to pad."""


def sliding(padding: int, strides: tuple[int, int], more: dict[int, Any] | None = None) -> dict[int, Any]:
    """Options of what slides over images: strides along height and width."""
    return {0: ("b", padding), 1: ("i", strides[1]), 2: ("i", strides[0])} | (more or {})


@dataclass
class Sub:
    """A subgraph under construction; tensors are named by their numbers."""

    tensors: list[dict[int, Any]] = field(default_factory=list)
    operators: list[tuple[str, list[int], list[int], dict[int, Any] | None]] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def tensor(
        self,
        shape: Sequence[int],
        dtype: str = "float32",
        data: bytes = b"",
        name: str | None = None,
        variable: bool = False,
        scale: float | None = None,
    ) -> int:
        number = len(self.tensors)
        name = f"t{number}" if name is None else name
        table: dict[int, Any] = {0: list(shape), 1: ("b", NUMBER[dtype]), 3: name, "data": data}
        if variable:
            table[5] = ("B", 1)
        if scale is not None:
            table[4] = {2: struct.pack("<If", 1, scale), 3: struct.pack("<Iq", 1, 0)}
        self.tensors.append(table)
        return number

    def input(self, shape: Sequence[int], dtype: str = "float32", **more: Any) -> int:
        self.inputs.append(self.tensor(shape, dtype, **more))
        return self.inputs[-1]

    def constant(self, values: Any, **more: Any) -> int:
        array = np.asarray(values)
        return self.tensor(array.shape, array.dtype.name, array.tobytes(), **more)

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int] | None,
        options: dict[int, Any] | None = None,
        dtype: str = "float32",
        **more: Any,
    ) -> int:
        """Append an operator with one new result of this shape, which is returned; with None as shape it has none."""
        outputs = [] if shape is None else [self.tensor(shape, dtype, **more)]
        self.operators.append((kind, list(inputs), outputs, options))
        return outputs[0] if outputs else -1

    def conv(self, x: int, channels: int, seed: int = 0) -> int:
        """A convolution of one element by one, of random weights."""
        *space, old = self.tensors[x][0]
        rng = np.random.default_rng(seed)
        weights = self.constant(rng.uniform(-1, 1, (channels, 1, 1, old)).astype(np.float32))
        bias = self.constant(rng.uniform(-1, 1, channels).astype(np.float32))
        return self.op("CONV_2D", [x, weights, bias], [*space, channels], {1: ("i", 1), 2: ("i", 1)})


def tflite(*subs: Sub, metadata: Mapping[str, bytes] | None = None) -> bytes:
    """The file of these subgraphs; tensors without data share the empty buffer 0."""
    kinds = sorted({kind for sub in subs for kind, *_ in sub.operators})
    buffers: list[dict[int, Any]] = [{}]
    tables = []
    for sub in subs:
        tensors = []
        for t in sub.tensors:
            table = {key: value for key, value in t.items() if key != "data"}
            if t["data"]:  # type: ignore[index]
                table[2] = ("I", len(buffers))
                buffers.append({0: Data(t["data"])})  # type: ignore[index]
            tensors.append(table)
        operators = []
        for kind, inputs, outputs, options in sub.operators:
            table = {0: ("I", kinds.index(kind)), 1: inputs, 2: outputs}
            if options is not None:
                table |= {3: ("B", OPTIONS[kind]), 4: options}
            operators.append(table)
        tables.append({0: tensors, 1: sub.inputs, 2: sub.outputs, 3: operators, 4: "main"})
    entries = []
    for name, held in (metadata or {}).items():
        entries.append({0: name, 1: ("I", len(buffers))})
        buffers.append({0: Data(held)})
    codes = [_code(kind) for kind in kinds]
    root = {0: ("I", 3), 1: codes, 2: tables, 3: "made by a test", 4: buffers, 6: entries}
    return flatbuffer(root, b"TFL3")


def _code(kind: str) -> dict[int, Any]:
    if kind.startswith("CUSTOM:"):
        return {0: ("b", 32), 1: kind.removeprefix("CUSTOM:"), 3: ("i", 32), 2: ("i", 1)}
    number = OPERATORS.index(kind)
    return {0: ("b", min(number, 127)), 2: ("i", 1), 3: ("i", number)}


class Data(bytes):
    """Bytes that a vector holds, aligned as buffers are."""


def flatbuffer(root: Mapping[int, Any], identifier: bytes) -> bytes:
    """A table as a file.

    Values are tables, lists of tables or of 32-bit integers, texts, `Data`, vectors as the bytes of a file, and numbers with
    their form of `struct`.
    """
    made = bytearray(4) + identifier
    _point(made, 0, _table(made, root))
    return bytes(made)


def _table(made: bytearray, fields: Mapping[int, Any]) -> int:
    count = max(fields, default=-1) + 1
    places = {number: 4 + 4 * i for i, number in enumerate(fields)}
    made += bytes(-len(made) % 4)
    vtable = struct.pack(
        f"<{2 + count}H", 4 + 2 * count, 4 + 4 * len(fields), *(places.get(i, 0) for i in range(count))
    )
    vtable = bytes(-len(vtable) % 4) + vtable  # padding before it: its table follows at once
    made += vtable
    at = len(made)
    made += struct.pack("<i", 4 + 2 * count) + bytes(4 * len(fields))
    for number, value in fields.items():
        place = at + places[number]
        if isinstance(value, tuple):
            form, word = value
            made[place : place + struct.calcsize(form)] = struct.pack(f"<{form}", word)
        else:
            _point(made, place, _object(made, value))
    return at


def _object(made: bytearray, value: Any) -> int:
    if isinstance(value, Mapping):
        return _table(made, value)
    made += bytes(-len(made) % 4)
    if isinstance(value, Data):
        made += bytes(-(len(made) + 4) % 16)
    elif isinstance(value, bytes):
        made += bytes(-(len(made) + 4) % 8)
    at = len(made)
    if isinstance(value, str):
        made += struct.pack("<I", len(value.encode())) + value.encode() + b"\0"
    elif isinstance(value, Data):
        made += struct.pack("<I", len(value)) + value
    elif isinstance(value, bytes):
        made += value
    else:
        made += struct.pack("<I", len(value))
        first = len(made)
        if any(isinstance(item, Mapping) for item in value):
            made += bytes(4 * len(value))
            for i, item in enumerate(value):
                _point(made, first + 4 * i, _table(made, item))
        else:
            made += struct.pack(f"<{len(value)}i", *value)
    return at


def _point(made: bytearray, place: int, target: int) -> None:
    made[place : place + 4] = struct.pack("<I", target - place)


def branching() -> bytes:
    """Two branches that meet: the one that the file runs first makes large tensors that wait for the other's."""
    main = Sub()
    x = main.input((1, 8, 8, 4))
    wide = [main.conv(x, 64, seed) for seed in range(3)]
    narrow = [main.conv(w, 2, 7 + i) for i, w in enumerate(wide)]
    main.outputs.append(main.op("CONCATENATION", narrow, (1, 8, 8, 6), {0: ("i", 3)}))
    return tflite(main)


def random_net(seed: int, metadata: Mapping[str, bytes] | None = None) -> bytes:
    """A random network of convolutions, sums, activations, concatenations and reshapes."""
    rng = random.Random(seed)
    main = Sub()
    images = [main.input((1, 4, 4, rng.choice([3, 4, 8]))) for _ in range(rng.randint(1, 2))]
    for step in range(rng.randint(3, 14)):
        x = rng.choice(images)
        shape = main.tensors[x][0]
        kind = rng.choice(["conv", "conv", "RELU", "LOGISTIC", "ADD", "RESHAPE", "CONCATENATION"])
        alike = [i for i in images if main.tensors[i][0] == shape]
        if kind == "conv":
            images.append(main.conv(x, rng.choice([2, 4, 8, 16]), step))
        elif kind == "ADD":
            images.append(main.op("ADD", [x, rng.choice(alike)], shape))
        elif kind == "CONCATENATION":
            y = rng.choice(images)
            both = shape[3] + main.tensors[y][0][3]
            images.append(main.op(kind, [x, y], (1, 4, 4, both), {0: ("i", 3)}))
        elif kind == "RESHAPE":
            flat = main.op(kind, [x, main.constant(np.array([1, -1], np.int32))], (1, int(np.prod(shape))))
            back = main.constant(np.array(shape, np.int32))
            images.append(main.op(kind, [flat, back], shape))
        else:
            images.append(main.op(kind, [x], shape))
    read = {i for _, inputs, _, _ in main.operators for i in inputs}
    main.outputs = [i for i in images if i not in read and i not in main.inputs] or [images[-1]]
    return tflite(main, metadata=metadata)


def conditional(invert: bool = False) -> bytes:
    """A network with an IF in its middle, each branch of which makes a large tensor on its way."""
    main, then, other = Sub(), Sub(), Sub()
    flag = main.input((1,), "bool")
    x = main.input((1, 4, 4, 4))
    y = main.op("IF", [flag, main.op("RELU", [x], (1, 4, 4, 4))], (1, 4, 4, 4), {0: ("i", 1), 1: ("i", 2)})
    main.outputs.append(main.conv(y, 3))
    for sub, channels in ((then, 32), (other, 16)):
        inside = sub.input((1, 4, 4, 4))
        sub.outputs.append(sub.conv(sub.conv(inside, channels, channels), 4, 1))
    return tflite(main, then, other)


def counting() -> bytes:
    """A WHILE that adds to what it carries until that is large enough."""
    main, condition, body = Sub(), Sub(), Sub()
    x = main.input((1, 1, 1, 64))
    start = main.op("LOGISTIC", [x], (1, 1, 1, 64))
    main.outputs.append(
        main.op("RELU", [main.op("WHILE", [start], (1, 1, 1, 64), {0: ("i", 1), 1: ("i", 2)})], (1, 1, 1, 64))
    )
    inside = condition.input((1, 1, 1, 64))
    largest = condition.op("REDUCE_MAX", [inside, condition.constant(np.array([0, 1, 2, 3], np.int32))], (1,))
    condition.outputs.append(
        condition.op("LESS", [largest, condition.constant(np.array([5.0], np.float32))], (1,), dtype="bool")
    )
    carried = body.input((1, 1, 1, 64))
    wide = body.conv(carried, 64, 3)
    grown = body.op("ADD", [carried, body.op("LOGISTIC", [wide], (1, 1, 1, 64))], (1, 1, 1, 64))
    body.outputs.append(grown)
    return tflite(main, condition, body)


def stateful() -> bytes:
    """A sum over runs: a resource variable that a subgraph sets to zero once, and that each run reads and then assigns."""
    main, init = Sub(), Sub()
    x = main.input((1, 16))
    main.op("CALL_ONCE", [], None, {0: ("i", 1)})
    handle = main.op("VAR_HANDLE", [], (), {1: "sum"}, "resource")
    before = main.op("READ_VARIABLE", [handle], (1, 16))
    after = main.op("ADD", [before, x], (1, 16))
    main.op("ASSIGN_VARIABLE", [handle, after], None)
    main.outputs.append(main.op("RELU", [main.op("READ_VARIABLE", [handle], (1, 16))], (1, 16)))
    target = init.op("VAR_HANDLE", [], (), {1: "sum"}, "resource")
    init.op("ASSIGN_VARIABLE", [target, init.constant(np.zeros((1, 16), np.float32))], None)
    return tflite(main, init)


def halved() -> bytes:
    """A product with a constant that is stored as 16-bit floats."""
    main = Sub()
    x = main.input((1, 32))
    stored = main.constant(np.linspace(-1, 1, 32).astype(np.float16).reshape(1, 32))
    main.outputs.append(main.op("MUL", [x, main.op("DEQUANTIZE", [stored], (1, 32))], (1, 32)))
    return tflite(main)


def sparse_halved() -> bytes:
    """A product with a constant that is stored as 16-bit floats, and of these only the ones that are not zero."""
    main = Sub()
    x = main.input((2, 3))
    stored = main.tensor((2, 3), "float16", np.array([2, 1, 3], np.float16).tobytes())
    rows = {0: ("b", 1), 2: ("B", 1), 3: {0: [0, 1, 3]}, 4: ("B", 1), 5: {0: [1, 0, 2]}}
    main.tensors[stored][6] = {0: [0, 1], 1: [], 2: [{0: ("b", 0), 1: ("i", 2)}, rows]}
    between = main.op("DENSIFY", [stored], (2, 3), dtype="float16", name="between")
    main.outputs.append(main.op("MUL", [x, main.op("DEQUANTIZE", [between], (2, 3))], (2, 3)))
    return tflite(main)
