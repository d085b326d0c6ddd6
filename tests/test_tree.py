"""Tests mirror the tree: a module that decides something has a test of its name, or one that is named here.

A module is tested by `test_NAME.py`, in any folder of the tests, that imports it; modules without a function or a class
that branches, raises or loops decide nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = (ROOT / "memplan", ROOT / "solvers" / "memplan_solvers")

TESTED_ELSEWHERE: dict[str, str] = {}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Dotted name and syntax of every module."""
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def decides(module: ast.Module) -> bool:
    """Whether a function of the module branches, loops, or raises."""
    deciding = (ast.If, ast.IfExp, ast.For, ast.While, ast.Raise, ast.comprehension, ast.Try, ast.BoolOp)
    functions = [node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)]
    return any(isinstance(node, deciding) for function in functions for node in ast.walk(function))


def imported(path: Path) -> set[str]:
    """Dotted names that a test file imports: modules, and what it takes out of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def tested() -> set[str]:
    """Modules with a test of their name that imports them."""
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in imported(path)
        if name.rpartition(".")[2] == path.stem.removeprefix("test_")
    }
