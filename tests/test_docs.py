"""What the documents say about the project holds: links, commands, files, and the tables that scripts make."""

from __future__ import annotations

import json
import re
import runpy
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

import memplan
from memplan.cli import build_parser
from memplan.runtimes.measure import MEASURED

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("models/*.md")])
LISTED = [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES]


def code_lines(text: str) -> list[str]:
    """The lines of the page's blocks of commands, those that end in a backslash joined with the next."""
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page may say behind `#`."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", LISTED)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), target


@pytest.mark.parametrize("page", LISTED)
def test_every_command_is_understood(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    lines = [line for line in code_lines(text) if line.startswith("memplan ")]
    lines += re.findall(r"`(memplan [a-z]+ [^`…|]*)`", text)
    for line in lines:
        build_parser().parse_args(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", LISTED)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"(?<![\w./])((?:scripts|tests|docs|memplan|solvers|models)/[\w./-]*\w)", text)
    assert not [name for name in named if not any((folder / name).exists() for folder in (ROOT, page.parent))]
    modules = re.findall(r"python -m ((?:tests|memplan)[\w.]*)", text)
    assert not [name for name in modules if find_spec(name) is None]


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    listed = re.findall(
        r"^ +- (?:.*: )?(\S+\.md)$|^  - .*: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE
    )
    named = sorted("".join(pair) for pair in listed)
    assert named == sorted(page.relative_to(ROOT).as_posix() for page in PAGES)


def test_every_public_name_is_in_the_reference() -> None:
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: memplan\.(\w+)$", text, re.MULTILINE)
    assert sorted([*named, "__version__"]) == memplan.__all__


@pytest.mark.parametrize(
    ("page", "script"), [("README.md", "readme_results"), ("docs/obeyed.md", "publish_obeyed")]
)
def test_tables_that_are_made_of_what_was_measured_are_up_to_date(
    page: str, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    made = runpy.run_path(str(ROOT / "scripts" / f"{script}.py"))["tables"]()
    text = (ROOT / page).read_text(encoding="utf-8")
    assert f"<!-- scripts/{script} -->\n{made}<!-- end -->" in text


def test_what_runtimes_measured_is_what_the_rows_say() -> None:
    for path in (ROOT / "docs" / "obeyed").glob("*.json"):
        rows = json.loads(path.read_text(encoding="utf-8"))
        assert {row["runtime"] for row in rows} == {path.stem} and path.stem in MEASURED
        for row in rows:
            exact = row["measured"] == row["predicted"] or row["at_most"]
            obeys = exact and row["ordered"] is not False and not row["different"] and not row["faults"]
            assert row["obeys"] == obeys and row["different"] == 0, row


def test_the_runtimes_obey_on_as_many_models_as_the_pages_say() -> None:
    measured = {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in (ROOT / "docs" / "obeyed").glob("*.json")
    }
    assert {*measured} == {*MEASURED} and len(measured["tflm"]) >= 20
    assert all(row["obeys"] for rows in measured.values() for row in rows)
    for runtime in ("executorch", "tflm", "torch"):
        assert all(row["kept"] == "plan" for row in measured[runtime]), runtime
    exact = [
        row
        for row in measured["onnxruntime"]
        if row["obeys"] and row["ordered"] and row["measured"] == row["predicted"]
    ]
    models = {row["model"].partition(",")[0] for row in exact}
    assert sum("*" in model for model in models) >= 5 and sum("*" not in model for model in models) >= 10
