"""Flatbuffer tables written before bytes of an older file, which they may point into: every offset points ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memplan.tflite.flatbuffer import HEADER_BYTES, vector, word

BUFFER_ALIGNMENT = 16
"""What a buffer holds begins at a multiple of so many bytes, by the schema."""


@dataclass(frozen=True)
class Old:
    """What lies at a byte of the older file."""

    at: int


@dataclass(frozen=True)
class Number:
    """A number of at most 32 bits, in a form of `struct`."""

    form: str
    value: int


Value = Number | Old | str | bytes | Sequence[Any] | Mapping[int, Any]
"""Of a field: what lies in the older file, a text, what a buffer holds, a list of integers or of tables, or a table: its fields by
number. Tables of lists may lie in the older file, too."""


def joined(root: Mapping[int, Value], identifier: bytes, old: bytes) -> bytes:
    """A file with this root table, and the older file's bytes behind its own."""
    made = bytearray(HEADER_BYTES)
    made[4:] = identifier
    behind: list[tuple[int, int]] = []
    waiting: list[tuple[int, Value]] = [(0, root)]
    for place, value in waiting:
        if isinstance(value, Old):
            behind.append((place, value.at))
        else:
            waiting += _placed(made, place, value)
    made += bytes(-len(made) % BUFFER_ALIGNMENT)
    for place, target in behind:
        made[place : place + 4] = word("I", len(made) + target - place)
    return bytes(made) + old


def _placed(made: bytearray, place: int, value: Value) -> list[tuple[int, Value]]:
    """Append what the offset at `place` points to; the places of its own offsets, and what these are to point to."""
    made += bytes(-len(made) % 4)
    if isinstance(value, Mapping):
        at, waiting = _table(made, value)
    elif isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        made += bytes(-(len(made) + 4) % BUFFER_ALIGNMENT)
        at, waiting = len(made), []
        made += word("I", len(data)) + data + b"\0"
    else:
        assert isinstance(value, Sequence)
        at, numbers = len(made), [item if isinstance(item, int) else 0 for item in value]
        made += vector(numbers)
        waiting = [(at + 4 + 4 * i, item) for i, item in enumerate(value) if not isinstance(item, int)]
    made[place : place + 4] = word("I", at - place)
    return waiting


def _table(made: bytearray, fields: Mapping[int, Value]) -> tuple[int, list[tuple[int, Value]]]:
    """Append a table of 32-bit fields, after its vtable: where it lies, and what its offsets are to point to."""
    count = max(fields, default=-1) + 1
    inside = {number: 4 + 4 * i for i, number in enumerate(fields)}
    vtable = word(
        f"{2 + count}H", 4 + 2 * count, 4 + 4 * len(fields), *(inside.get(i, 0) for i in range(count))
    )
    made += bytes(-(len(made) + len(vtable)) % 4) + vtable
    at, waiting = len(made), list[tuple[int, Value]]()
    made += word("i", len(vtable)) + bytes(4 * len(fields))
    for number, value in fields.items():
        if isinstance(value, Number):
            held = word(value.form, value.value)
            made[at + inside[number] : at + inside[number] + len(held)] = held
        else:
            waiting.append((at + inside[number], value))
    return at, waiting
