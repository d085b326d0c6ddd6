"""Tests mirror the tree: a module that decides something has a test of its name, or stands here with the one it has.

A module decides something where a function of it branches, loops or raises. Its test is `test_NAME.py` in the folder of
its package, or in another where it imports the module.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
SOURCES = (TESTS.parent / "memplan", TESTS.parent / "solvers" / "memplan_solvers")

ELSEWHERE: tuple[tuple[str, str, str], ...] = (
)
"""Why modules are tested elsewhere, by which file, and their names: what they decide shows only in what they are part of."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Dotted name and syntax of every module."""
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            parts = path.relative_to(source.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def decides(module: ast.Module) -> bool:
    """Whether a function of the module branches, loops or raises."""
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


def tested() -> Iterator[str]:
    """Dotted names of modules, and of some that do not exist, that have a test of their name."""
    for path in TESTS.rglob("test_*.py"):
        name, folder = path.stem.removeprefix("test_"), path.parent.relative_to(TESTS).parts
        yield from (module for module in imported(path) if module.rpartition(".")[2] == name)
        yield ".".join(("memplan", *folder, name))
        yield ".".join(("memplan_solvers", *(part for part in folder if part != "solvers"), name))


def test_a_module_that_decides_something_has_a_test() -> None:
    deciding = {name for name, module in modules() if decides(module)}
    named, known = {name for _, _, names in ELSEWHERE for name in names.split()}, set(tested())
    assert sorted(deciding - known - named) == [], "write tests/…/test_NAME.py, or say in ELSEWHERE what tests it"
    assert sorted(named & known) == [], "these have a test of their name now"
    assert sorted(named - deciding) == [], "these are no modules that decide anything"


def test_what_is_tested_elsewhere_is_named_once_with_a_file_that_is_there() -> None:
    count = Counter(name for _, _, names in ELSEWHERE for name in names.split())
    assert max(count.values()) == 1
    for why, file, _ in ELSEWHERE:
        assert why and (TESTS / file).is_file(), file


def test_a_module_that_only_states_something_decides_nothing() -> None:
    assert not decides(ast.parse("X = [1 for _ in y]\ndef f(a): return a + 1"))
    assert decides(ast.parse("def f(a):\n    return 1 if a else 2"))
