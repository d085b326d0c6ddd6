"""`NAME_plan.c`: the arenas and tables of a plan in C, and the functions that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memplan.firmware.header import about
from memplan.firmware.names import Names
from memplan.firmware.program import Arena
from memplan.firmware.tables import (
    CTable,
    copy_tables,
    definition,
    due_tables,
    literal,
    operand_tables,
    place_tables,
    rows,
    schedule_table,
    size_table,
    strings,
)
from memplan.firmware.template import filled


def source(names: Names) -> str:
    """The source's text."""
    program, graph = names.program, names.program.graph
    return filled(
        "plan.c",
        names.lower,
        {
            "about": about(program),
            "arenas": "\n".join(_arenas(names)),
            "places": _static(names, place_tables(program)),
            "operands": _static(names, operand_tables(program)),
            "copies": _static(names, copy_tables(program)),
            "dues": _static(names, due_tables(program)),
            "schedule": _public(names, schedule_table(program)),
            "sizes": _public(names, size_table(program)),
            "tensor_names": strings(t.name for t in program.tensors),
            "op_names": strings(op.name for op in graph.ops),
        },
    )


def _static(names: Names, tables: Sequence[CTable]) -> str:
    """Tables that only this file reads."""
    defined = [definition(table, f"{names.upper}_TABLE static const") for table in tables]
    return "\n".join([*defined, *(_whole(names, table, table.name) for table in tables)])


def _public(names: Names, table: CTable) -> str:
    """A table that the header declares."""
    named = table._replace(name=f"{names.lower}_{table.name}")
    return f"{definition(named, f'{names.upper}_TABLE const')}\n{_whole(names, named, table.name)}"


def _whole(names: Names, table: CTable, word: str) -> str:
    """That the table has as many entries as the header counts."""
    length = f"{names.upper}_LENGTH({table.name})"
    return f"{names.upper}_ASSERT({word}_is_whole, {length} == {names.upper}_{table.length});"


def _arenas(names: Names) -> Iterator[str]:
    """The arenas, and the table that says where they are."""
    arenas = names.program.arenas
    for arena in arenas:
        yield from _arena(names, arena)
    if arenas:
        yield f"static unsigned char *const arenas[{names.upper}_ARENAS] = {{"
        yield rows([names.memory(arena.memory.name).lower() for arena in arenas])
        yield "};"


def _arena(names: Names, arena: Arena) -> Iterator[str]:
    """The arena, and that it is as large as the plan needs and as its memory allows."""
    name = names.memory(arena.memory.name)
    aligned = f"{names.upper}_ALIGNED({name}_ALIGNMENT)"
    yield f"{name}_ATTRIBUTES {aligned} unsigned char {name.lower()}[{name}_BYTES];"
    facts = {
        "holds": f"{name}_BYTES >= {literal(arena.nbytes)}",
        "aligned": f"{name}_ALIGNMENT % {literal(arena.alignment)} == 0",
    }
    if arena.memory.capacity is not None:
        facts["fits"] = f"{name}_BYTES <= {name}_CAPACITY"
    for word, fact in facts.items():
        memory = names.memory_words[arena.memory.name].lower()
        yield f"{names.upper}_ASSERT({word}_{memory}, {fact});"
