"""`NAME_plan.h`: sizes, names and functions of a plan in C."""

from __future__ import annotations

from collections.abc import Iterable

from memplan.firmware.identifiers import c_text
from memplan.firmware.names import Names
from memplan.firmware.program import Arena, FirmwareProgram
from memplan.firmware.tables import CTable, literal, schedule_table, size_table, table_bytes
from memplan.firmware.template import filled


def header(names: Names) -> str:
    """The header's text."""
    program, graph = names.program, names.program.graph
    return filled(
        "plan.h",
        names.lower,
        {
            "about": about(program),
            "counts": _counts(names),
            "memories": "\n".join(_memory(names, arena) for arena in program.arenas),
            "tensors": _enumeration((names.tensor(t.name), None, t.name) for t in program.tensors),
            "ops": _enumeration((names.op(op.name), None, op.name) for op in graph.ops),
            "buffers": _buffers(names),
            "places": _enumeration(
                (names.tensor(x, kind), place, x)
                for kind, rows in (("GIVEN", program.given), ("RESULT", program.results))
                for x, place in rows
            ),
            "schedule": _declaration(names, schedule_table(program)),
            "sizes": _declaration(names, size_table(program)),
        },
    )


def about(program: FirmwareProgram) -> str:
    """What file this is, as a comment."""
    plan = program.plan
    return (
        f"/* The memory plan of '{c_text(program.graph.name)}' for the target '{c_text(plan.target.name)}': "
        f"{len(program.operands):,} steps,\n   {len(program.copies):,} copies, {table_bytes(program):,} bytes of "
        "tables. Made by memplan; do not edit. */"
    )


def _counts(names: Names) -> str:
    program = names.program
    counts = {
        "STEPS": len(program.operands),
        "OPS": len(program.graph.ops),
        "TENSORS": len(program.tensors),
        "ARENAS": len(program.arenas),
        "BUFFERS": len(program.buffers),
        "PLACES": len(program.places),
        "OPERANDS": max(1, sum(map(len, program.operands))),
        "COPIES": len(program.copies),
        "QUEUES": 1 + max((c.queue for c in program.copies), default=-1),
        "COPIES_BESIDE": sum(c.beside for c in program.copies),
        "MOST_OPERANDS": max(1, *map(len, program.operands)),
    }
    return "\n".join(f"#define {names.upper}_{word} {literal(count)}" for word, count in counts.items())


def _memory(names: Names, arena: Arena) -> str:
    name, memory = names.memory(arena.memory.name), arena.memory
    lines = [
        f"#define {name}_BYTES {literal(arena.nbytes)}",
        f"#define {name}_ALIGNMENT {literal(arena.alignment)}",
    ]
    if memory.capacity is not None:
        lines += [f"#ifndef {name}_CAPACITY", f"#define {name}_CAPACITY {literal(memory.capacity)}", "#endif"]
    lines += [f"#ifndef {name}_ATTRIBUTES", f"#define {name}_ATTRIBUTES", "#endif"]
    return "\n".join([*lines, f"extern unsigned char {name.lower()}[{name}_BYTES];"])


def _buffers(names: Names) -> str:
    """Each buffer's index, what it is, and how all of them are to be aligned."""
    program = names.program
    if not program.buffers:
        return ""
    listed = _enumeration(
        (
            names.tensor(b.storage, "BUFFER"),
            k,
            f"{b.storage}: {b.nbytes} bytes" + (f", {b.memory}" if b.memory else ""),
        )
        for k, b in enumerate(program.buffers)
    )
    alignment = max(b.alignment for b in program.buffers)
    return f"{listed}\n#define {names.upper}_BUFFER_ALIGNMENT {literal(alignment)}"


def _declaration(names: Names, table: CTable) -> str:
    """The table without its length, so that the source can tell whether it has it."""
    return f"extern const {table.entry_type} {names.lower}_{table.name}[];"


def _enumeration(rows: Iterable[tuple[str, int | None, str]]) -> str:
    """Enumerators, each with its value unless they count from 0, and what it is called; nothing where there are none."""
    lines = [
        f"    {name}{'' if value is None else f' = {value}'}, /* {c_text(text)} */"
        for name, value, text in rows
    ]
    return "\n".join(["enum {", *lines, "};"]) if lines else ""
