"""Flatbuffers, read field by field: every offset is checked against the file, and no more is read than the file is long.

A table is a signed offset to its vtable, which says where in the table each field lies; what a field does not hold itself
lies at an unsigned offset ahead of it (flatbuffers.dev/internals).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from memplan.base.errors import GraphError

HEADER_BYTES = 8
"""The offset of the root table, and the four letters that name the schema."""


@dataclass
class File:
    """The bytes of one file, and how many elements of its vectors may still be read.

    Vectors may be shared, so that a small file can hold a very large program; each byte is read once at most, on average.

    Args:
        data: the whole file.
        where: what messages call it.
    """

    data: bytes
    where: str
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = len(self.data)

    def number(self, form: str, at: int) -> int:
        """The little-endian number at byte `at`, in a form of `struct`."""
        if not 0 <= at <= len(self.data) - struct.calcsize(form):
            raise self.fault(f"points to byte {at} of {len(self.data)}")
        return int(struct.unpack_from("<" + form, self.data, at)[0])

    def target(self, at: int) -> int:
        """Where the unsigned offset at byte `at` points to."""
        ahead = self.number("I", at)
        if ahead == 0 or at + ahead > len(self.data) - 4:
            raise self.fault(f"points to byte {at + ahead} of {len(self.data)}")
        return at + ahead

    def root(self, identifier: bytes) -> FlatbufferTable:
        """The root table of a file of this schema."""
        if self.data[4:HEADER_BYTES] != identifier:
            raise GraphError(
                f"'{self.where}' is no {identifier.decode()} flatbuffer", "give a .tflite file of schema 3"
            )
        return FlatbufferTable(self, self.target(0))

    def fault(self, what: str) -> GraphError:
        """The error of a file that is cut off or damaged."""
        return GraphError(
            f"'{self.where}' is damaged: it {what}", "is the file whole? convert the model anew"
        )


@dataclass(frozen=True)
class FlatbufferTable:
    """A table of a file, at byte `at`; fields are called by their numbers in the schema, from 0.

    A field that the file leaves out, or that is newer than the file, has its default.
    """

    file: File
    at: int

    def place(self, number: int) -> int | None:
        """The byte at which a field lies, None where the file leaves it out."""
        vtable = self.at - self.file.number("i", self.at)
        if 4 + 2 * number >= self.file.number("H", vtable):
            return None
        inside = self.file.number("H", vtable + 4 + 2 * number)
        return self.at + inside if inside else None

    def fields(self) -> int:
        """How many fields its vtable knows."""
        return (self.file.number("H", self.at - self.file.number("i", self.at)) - 4) // 2

    def number(self, number: int, form: str, default: int = 0) -> int:
        """A field that is a number in a form of `struct`."""
        place = self.place(number)
        return default if place is None else self.file.number(form, place)

    def target(self, number: int) -> int | None:
        """Where a field that is an offset points to."""
        place = self.place(number)
        return None if place is None else self.file.target(place)

    def table(self, number: int) -> FlatbufferTable | None:
        """A field that is a table."""
        target = self.target(number)
        return None if target is None else FlatbufferTable(self.file, target)

    def vector(self, number: int, item_bytes: int) -> range:
        """The bytes at which the items of a field that is a vector lie; none where it is left out."""
        target = self.target(number)
        if target is None:
            return range(0)
        length, first = self.file.number("I", target), target + 4
        if first + length * item_bytes > len(self.file.data):
            raise self.file.fault(f"has a vector of {length} items at byte {target}")
        return range(first, first + length * item_bytes, item_bytes)

    def tables(self, number: int) -> list[FlatbufferTable]:
        """A field that is a vector of tables."""
        return [
            FlatbufferTable(self.file, self.file.target(at)) for at in self._counted(self.vector(number, 4))
        ]

    def numbers(self, number: int) -> tuple[int, ...]:
        """A field that is a vector of 32-bit integers."""
        return tuple(self.file.number("i", at) for at in self._counted(self.vector(number, 4)))

    def text(self, number: int) -> str:
        """A field that is a string; bytes that are no text are spelled out."""
        held = self._counted(self.vector(number, 1))
        return self.file.data[held.start : held.stop].decode(errors="backslashreplace")

    def _counted(self, items: range) -> range:
        """The items, which the file has now been read for."""
        self.file.left -= len(items)
        if self.file.left < 0:
            raise self.file.fault("says more than it is long")
        return items


def word(form: str, *numbers: int) -> bytes:
    """Numbers as a little-endian file has them."""
    return struct.pack("<" + form, *numbers)


def vector(numbers: Sequence[int], form: str = "i") -> bytes:
    """A vector of numbers: how many, and they."""
    return word("I", len(numbers)) + word(f"{len(numbers)}{form}", *numbers)
