"""The constant tables of a program, and how C writes them: in the smallest types that hold their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from memplan.firmware.identifiers import c_text
from memplan.firmware.program import FirmwareProgram

WIDTH = 100


class CTable(NamedTuple):
    """A table of numbers from 0 on, and of how many, as the header's macros say it; `STEPS + 1` counts steps and an
    end."""

    name: str
    values: Sequence[int]
    length: str

    @property
    def entry_type(self) -> str:
        """The smallest unsigned type of `stdint.h` that holds each of its numbers."""
        return f"uint{8 * self.entry_bytes}_t"

    @property
    def entry_bytes(self) -> int:
        """The bytes of that type."""
        largest = max(self.values, default=0)
        return next(nbytes for nbytes in (1, 2, 4, 8) if largest < 256**nbytes)


def schedule_table(program: FirmwareProgram) -> CTable:
    """By step the number of its op, as the graph counts them."""
    number = {op.name: k for k, op in enumerate(program.graph.ops)}
    return CTable("schedule", [number[op] for op in program.plan.schedule], "STEPS")


def size_table(program: FirmwareProgram) -> CTable:
    """The bytes of each tensor."""
    return CTable("tensor_bytes", [t.nbytes for t in program.tensors], "TENSORS")


def place_tables(program: FirmwareProgram) -> list[CTable]:
    """By place its first byte, and its block where there are several."""
    places = program.places
    found = [CTable("place_offsets", [p.offset for p in places], "PLACES")]
    if len(program.arenas) + len(program.buffers) > 1:
        found.append(CTable("place_blocks", [p.block for p in places], "PLACES"))
    return found


def operand_tables(program: FirmwareProgram) -> list[CTable]:
    """By step where its operands begin, and their places."""
    listed = program.operands
    return [
        CTable("first_operand", starts(map(len, listed)), "STEPS + 1"),
        CTable("operand_places", [place for places in listed for place in places], "OPERANDS"),
    ]


def copy_tables(program: FirmwareProgram) -> list[CTable]:
    """The copies by issue, and where those begin that are issued before each step, and at the end."""
    copies = program.copies
    if not copies:
        return []
    found = [
        CTable("first_copy", _starts_by_step(program, [c.issue for c in copies]), "STEPS + 2"),
        CTable("copy_destinations", [c.destination for c in copies], "COPIES"),
        CTable("copy_sources", [c.source for c in copies], "COPIES"),
        CTable("copy_bytes", [c.nbytes for c in copies], "COPIES"),
    ]
    if any(c.queue for c in copies):
        found.append(CTable("copy_queues", [c.queue for c in copies], "COPIES"))
    return found


def due_tables(program: FirmwareProgram) -> list[CTable]:
    """Which copies run beside ops, and these by due, with where those begin that are due before each step."""
    copies = program.copies
    beside = [k for k, c in enumerate(copies) if c.beside]
    if not beside:
        return []
    return [
        CTable("copy_beside", [int(c.beside) for c in copies], "COPIES"),
        CTable("first_due", _starts_by_step(program, [copies[k].due for k in beside]), "STEPS + 2"),
        CTable("due_copies", sorted(beside, key=lambda k: copies[k].due), "COPIES_BESIDE"),
    ]


def table_bytes(program: FirmwareProgram) -> int:
    """The bytes of all tables but those that are made on request."""
    tables = [
        schedule_table(program),
        *place_tables(program),
        *operand_tables(program),
        *copy_tables(program),
        *due_tables(program),
    ]
    return sum(table.entry_bytes * max(1, len(table.values)) for table in tables)


def starts(lengths: Iterable[int]) -> list[int]:
    """Where each list of these lengths begins if they stand one behind the other, and where the last ends."""
    return list(accumulate(lengths, initial=0))


def _starts_by_step(program: FirmwareProgram, boundaries: Sequence[int]) -> list[int]:
    counts = [0] * (len(program.operands) + 1)
    for boundary in boundaries:
        counts[boundary] += 1
    return starts(counts)


def literal(value: int) -> str:
    """The number, 0 or more, as an unsigned C99 constant."""
    return f"{value}u" if value < 2**32 else f"{value}ull"


def definition(table: CTable, before: str) -> str:
    """The table as a constant array; one 0 where it has no entries, since C has no empty array."""
    numbers = rows(list(map(str, table.values or (0,))))
    return f"{before} {table.entry_type} {table.name}[] = {{\n{numbers}\n}};"


def strings(texts: Iterable[str]) -> str:
    """The texts as C strings, one a line, a comma behind each."""
    return "\n".join(f'    "{c_text(text)}",' for text in texts)


def rows(words: Sequence[str]) -> str:
    """The words with commas between, in indented lines of `WIDTH` letters."""
    lines, line = [], "   "
    for word in words:
        if len(line) + len(word) + 2 > WIDTH and line.strip():
            lines.append(line)
            line = "   "
        line += f" {word},"
    return "\n".join([*lines, line])
