"""One direction: a floor imports only floors below it, and within a floor modules form no circle."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import memplan_models
import memplan_solvers
import pytest

import memplan
from tests.syntax import syntax

FLOORS = [
    ("memplan.base",),
    ("memplan.ir", "memplan.machine"),
    ("memplan.tiling",),
    ("memplan.problem",),
    ("memplan.judge",),
    ("memplan.solving",),
    ("memplan.packing",),
    ("memplan.io",),
    ("memplan.onnx", "memplan.torch", "memplan.tflite", "memplan.firmware"),
    ("memplan.library",),
    ("memplan.runtimes", "memplan.views"),
    ("memplan.studies",),
    ("memplan.api",),
    ("memplan.cli", "memplan"),
    ("memplan.__main__",),
]
"""From the ground up. Neighbours on one floor know nothing of each other; `memplan` is the package itself."""


class Import(NamedTuple):
    """A module imports another, at `line` of `file`."""

    importer: str
    imported: str
    file: Path
    line: int


@cache
def modules(package: object) -> dict[str, Path]:
    """The files of an installed package by module name."""
    folder = Path(package.__path__[0])
    found = {}
    for file in sorted(folder.rglob("*.py")):
        parts = [folder.name, *file.relative_to(folder).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


@cache
def imports(package: object) -> tuple[Import, ...]:
    """Every import in a package, inside functions and for type checkers too; of a package's module, the module."""
    files, found = modules(package), []
    for importer, file in files.items():
        for node in ast.walk(syntax(file)):
            if isinstance(node, ast.Import):
                found += [Import(importer, alias.name, file, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    found.append(
                        Import(importer, inner if inner in files else node.module, file, node.lineno)
                    )
    return tuple(found)


def room(module: str) -> str:
    """The entry of FLOORS that a module of `memplan` belongs to."""
    known = {name for floor in FLOORS for name in floor}
    while module not in known:
        module = module.rpartition(".")[0]
    return module


CORE = modules(memplan)
LEVEL = {name: level for level, floor in enumerate(FLOORS) for name in floor}


def test_every_module_has_a_floor() -> None:
    astray = [m for m in CORE if room(m) == "memplan" and m != "memplan"]
    assert not astray, f"put them on a floor: {astray}"


def test_nothing_imports_upwards() -> None:
    wrong = []
    for i in imports(memplan):
        if i.imported.partition(".")[0] == "memplan":
            here, there = room(i.importer), room(i.imported)
            if here != there and LEVEL[there] >= LEVEL[here]:
                wrong.append(f"{i.file}:{i.line}: {here} imports {i.imported}, which is not below it")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("package", [memplan, memplan_solvers, memplan_models], ids=lambda p: p.__name__)
def test_modules_form_no_circle(package: object) -> None:
    files = modules(package)
    below: dict[str, set[str]] = {name: set() for name in files}
    for i in imports(package):
        if i.imported in files and i.imported != i.importer:
            below[i.importer].add(i.imported)
    try:
        TopologicalSorter(below).prepare()
    except CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


def test_the_core_imports_no_solver() -> None:
    wrong = [f"{i.file}:{i.line}" for i in imports(memplan) if i.imported.startswith("memplan_solvers")]
    assert not wrong, "\n".join(wrong)


def test_solvers_stand_on_the_solving_floor() -> None:
    """A solver may use what lies below it: nothing of formats, runtimes, pages or the public functions."""
    top = LEVEL["memplan.library"]
    wrong = [
        f"{i.file}:{i.line}: {i.imported}"
        for i in imports(memplan_solvers)
        if i.imported.partition(".")[0] == "memplan" and LEVEL[room(i.imported)] > top
    ]
    assert not wrong, "\n".join(wrong)
