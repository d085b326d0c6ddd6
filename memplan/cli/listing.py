"""`memplan solvers`, `targets` and `zoo`: what there is, one line each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from memplan.base.units import format_size
from memplan.machine.parts import Memory

Row = dict[str, Any]


def add_parser(commands: Any) -> None:
    """Add the three commands to the program."""
    for name, (rows, text) in LISTS.items():
        p = commands.add_parser(name, help=text)
        p.add_argument("--json", action="store_true", help="print a JSON list on stdout")
        p.set_defaults(run=run, rows=rows)


def run(args: argparse.Namespace) -> int:
    """Print the rows, aligned."""
    rows: list[Row] = args.rows()
    if args.json:
        print(json.dumps(rows))
        return 0
    columns = ("name", "family") if rows and "family" in rows[0] else ("name",)
    widths = [max(len(row[column]) for row in rows) if rows else 0 for column in columns]
    for row in rows:
        cells = [f"{row[column]:{width}}" for column, width in zip(columns, widths, strict=True)]
        print("  ".join([*cells, row["summary"]]))
    if rows and "supports" in rows[0]:
        print("\n" + "\n".join(_capabilities(rows)))
    return 0


def _capabilities(rows: list[Row]) -> list[str]:
    """A table of what each solver supports."""
    from memplan.solving.capabilities import Capabilities

    words = [{"solver": row["name"]} | Capabilities(**row["supports"]).words() for row in rows]
    lines = [list(words[0]), *(list(row.values()) for row in words)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]


def _solvers() -> list[Row]:
    from memplan.solving.registry import registry

    return [
        {
            "name": name,
            "summary": cls.summary,
            "supports": asdict(cls.supports),
            "fields": {f.name: f.default for f in fields(cls)},
        }
        for name, cls in registry().items()
    ]


def _targets() -> list[Row]:
    from memplan.machine.load import load_target, preset_names
    from memplan.machine.target_file import target_dict

    rows = []
    for name in preset_names():
        target = load_target(name)
        memories = ", ".join(map(_memory, target.memories))
        operands = f"ops use {', '.join(target.readable('', 'activations'))}"
        timing = "timed" if target.timed else "untimed"
        rows.append({"summary": f"{memories}; {operands}; {timing}"} | target_dict(target) | {"name": name})
    return rows


def _memory(memory: Memory) -> str:
    size = "" if memory.capacity is None else f" {format_size(memory.capacity)}"
    return f"{memory.name}{size}{' (readonly)' if memory.readonly else ''}"


def _zoo() -> list[Row]:
    from memplan.base.plugins import MODELS, plugins
    from memplan.library.zoo import trained_index, zoo_index

    added = [
        {
            "name": name,
            "family": "added",
            "summary": f"a model of package '{point.dist.name if point.dist else point.value}'",
        }
        for name, point in plugins(MODELS).items()
    ]
    return [dict(entry) for entry in (*zoo_index(), *trained_index())] + added


LISTS: dict[str, tuple[Callable[[], list[Row]], str]] = {
    "solvers": (_solvers, "list the solvers; with --json their fields too"),
    "targets": (_targets, "list the target presets"),
    "zoo": (_zoo, "list the zoo's models"),
}
