"""The page of the rules has every word that the checker can say, and each example breaks its rule alone."""

from __future__ import annotations

import ast
import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest

from memplan.judge.check.check import check
from memplan.judge.check.rules import RULES
from memplan.packing.check import check_packing

ROOT = Path(__file__).parents[3]
SCRIPT = runpy.run_path(str(ROOT / "scripts" / "make_rules.py"))
WORDS = [rule.word for rule in RULES]


def words_of(module: ast.Module) -> Iterator[str]:
    """The rule of each Violation that a module makes; a variable is what its function assigns to it."""
    for function in (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)):
        assigned = dict(_assignments(function))
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Violation":
                word = node.args[0]
                yield ast.literal_eval(assigned[word.id] if isinstance(word, ast.Name) else word)


def _assignments(function: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """The names that a function assigns, with their values; those of tuples one by one."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pair = target, node.value
                parts = [x.elts if isinstance(x, ast.Tuple) else [x] for x in pair]
                yield from ((x.id, y) for x, y in zip(*parts, strict=False) if isinstance(x, ast.Name))


def test_words_are_found_however_they_are_written() -> None:
    function = (
        "def f(x):",
        'rule, y = "a", x',
        'other = "b"',
        'Violation(rule), Violation(other), Violation("c")',
    )
    source = "\n    ".join(function)
    assert list(words_of(ast.parse(source))) == ["a", "b", "c"]


def test_the_table_has_every_word_that_the_checker_says() -> None:
    texts = [path.read_text() for path in (ROOT / "memplan").rglob("*.py")]
    modules = [ast.parse(text) for text in texts if "Violation(" in text]
    assert {word for module in modules for word in words_of(module)} == set(WORDS)
    assert len(WORDS) == len(set(WORDS))


def test_what_the_examples_break_is_valid() -> None:
    assert check(SCRIPT["GRAPH"], SCRIPT["PLAN"]) == []
    assert check_packing(SCRIPT["BUFFERS"], (0, 64), 128) == []


@pytest.mark.parametrize("word", WORDS)
def test_each_example_breaks_its_rule_alone(word: str) -> None:
    assert {v.rule for v in SCRIPT["examples"]()[word].violations} == {word}


def test_the_page_is_what_the_script_writes() -> None:
    page = (ROOT / "docs" / "rules.md").read_text()
    assert page == SCRIPT["page"]()
    assert [line[3:] for line in page.splitlines() if line.startswith("## ")][1:] == WORDS
