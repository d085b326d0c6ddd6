"""Measured tables say how they were made; what is older than the code that it measures is listed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import marked  # noqa: E402
import provenance  # noqa: E402
from publish_all import DERIVED, TABLES, Measured  # noqa: E402


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.mark or table.page)
def test_a_table_says_how_it_was_made_and_is_not_older_than_its_code(table: Measured) -> None:
    script = table.command[0]
    assert script.startswith("scripts/") and (ROOT / script).exists()
    assert not table.mark or script == f"scripts/{table.mark.split()[0]}"
    assert all((ROOT / path).exists() for path in table.code)
    if table.newer:
        pytest.skip(f"older than the code it measures: {table.page}; scripts/publish_all makes it anew")


def test_all_that_scripts_write_into_pages_is_listed() -> None:
    known = {f"scripts/{table.mark}" for table in TABLES} | set(DERIVED)
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        assert set(re.findall("<!-- (scripts/.*) -->", page.read_text(encoding="utf-8"))) <= known


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one measured file and a page, as what the scripts belong to."""
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["scripts/bench_it.py", "-o", "a page.md"])
    (tmp_path / "memplan").mkdir()
    (tmp_path / "page.md").write_text("Before.\n<!-- scripts/bench_it -->\n<!-- end -->\nAfter.\n")
    _git(tmp_path, "init", "-q")
    _commit(tmp_path, "memplan/code.py", "1")
    return tmp_path


def _git(folder: Path, *words: str) -> None:
    names: Any = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    subprocess.run(["git", "-C", str(folder), *names, *words], check=True, capture_output=True)


def _commit(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    _git(folder, "add", name)
    _git(folder, "commit", "-qm", f"{name} is {text}")


def test_a_table_is_old_once_a_commit_changes_what_it_measures(project: Path) -> None:
    page = project / "page.md"
    marked.put_measured(page, "bench_it", "| a |")
    text = page.read_text()
    assert text.startswith(
        "Before.\n<!-- scripts/bench_it -->\nMade by `scripts/bench_it -o 'a page.md'` at commit "
    )
    assert text.endswith(".\n\n| a |\n<!-- end -->\nAfter.\n") and "with changes" not in text
    assert provenance.changes_since(text, ("memplan",)) == []
    _commit(project, "page.md", text)
    assert provenance.changes_since(text, ("memplan",)) == []
    _commit(project, "memplan/code.py", "2")
    (newer,) = provenance.changes_since(text, ("memplan",))
    assert newer.endswith("memplan/code.py is 2") and provenance.changes_since(text, ("solvers",)) == []


def test_what_no_commit_has_and_what_says_nothing_is_old(project: Path) -> None:
    (project / "memplan/code.py").write_text("2")
    assert " with changes, " in provenance.made_line()
    assert provenance.changes_since(provenance.made_line(), ("memplan",)) == [
        "what it measured was in no commit"
    ]
    assert provenance.changes_since("| a |", ("memplan",)) == ["it does not say when it was made"]


def test_a_command_names_no_path_of_this_machine(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["bench_it.py", "-o", "docs/it.md", "/a/folder/packs", "../more/cases", "0.5"]
    )
    assert provenance.made_line().startswith(
        "Made by `scripts/bench_it -o docs/it.md packs cases 0.5` at commit "
    )


def test_rows_of_changed_code_are_kept_apart(project: Path) -> None:
    clean = provenance.kept_rows("rows.jsonl")
    (project / "memplan/code.py").write_text("2")
    changed = provenance.kept_rows("rows.jsonl")
    assert clean != changed and clean.parent.is_dir() and changed.parent.is_dir()


def test_rows_are_replaced_by_name_and_the_last_one_stamps_the_table(project: Path) -> None:
    page = project / "page.md"
    marked.put_measured(page, "bench_it", "| name |\n| --- |\n| a |\n| b |")
    _commit(project, "memplan/code.py", "2")
    before = marked.part(page, "bench_it").splitlines()[0]
    marked.put_rows(page, "bench_it", "a", ["| a | 1 |", "| a | 2 |"])
    assert "| a | 1 |\n| a | 2 |\n| b |\n" in page.read_text() and before in page.read_text()
    marked.stamp(page, "bench_it")
    assert before not in page.read_text() and provenance.changes_since(page.read_text(), ("memplan",)) == []
