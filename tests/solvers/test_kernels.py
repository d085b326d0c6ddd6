"""What every kernel keeps to: few parameters, types, and fields that have names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import memplan_solvers

from tests.syntax import syntax

MOST_PARAMETERS = 8

SOURCES = sorted(p for p in Path(memplan_solvers.__path__[0]).rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def is_kernel(function: ast.FunctionDef) -> bool:
    names = {n.id for d in function.decorator_list for n in ast.walk(d) if isinstance(n, ast.Name)}
    return bool(names & {"kernel", "inner", "inlined"})


def places(wrong: str, path: Path, function: ast.FunctionDef) -> str:
    return f"{path.name}:{function.lineno}: {function.name} {wrong}"


def test_no_function_has_more_than_eight_parameters() -> None:
    found = []
    for path in SOURCES:
        for function in functions(syntax(path)):
            parameters = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
            if sum(p.arg not in ("self", "cls") for p in parameters) > MOST_PARAMETERS:
                found.append(places(f"has {len(parameters)}", path, function))
    assert not found, "\n".join(found)


def test_every_kernel_says_its_types() -> None:
    found, kernels = [], 0
    for path in SOURCES:
        assert "ignore[no-untyped-def]" not in path.read_text(), path
        for function in filter(is_kernel, functions(syntax(path))):
            kernels += 1
            if function.returns is None or any(p.annotation is None for p in function.args.args):
                found.append(places("lacks a type", path, function))
    assert kernels > 100 and not found, "\n".join(found)
