"""One word, one meaning: no two classes that other modules may import have the same name."""

from __future__ import annotations

import ast

from tests.test_tree import modules


def test_a_class_has_a_name_of_its_own() -> None:
    where: dict[str, list[str]] = {}
    for module, syntax in modules():
        for node in syntax.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                where.setdefault(node.name, []).append(module)
    assert {name: homes for name, homes in where.items() if len(homes) > 1} == {}
