"""What tutorials and the pages on papers show is what happens: every command and block of code, from top to bottom."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import DOCS, read

SLOW = {
    "tutorials/research.md": "compares solvers, a process a case",
    "papers/cosma.md": "compares solvers, a process a case",
}
PAGES = [
    "start.md",
    *sorted(
        f"{p.parent.name}/{p.name}" for p in DOCS.glob("*/*.md") if p.parent.name in ("papers", "tutorials")
    ),
]


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=pytest.mark.slow(reason=SLOW[page]) if page in SLOW else ()) for page in PAGES],
)
def test_what_a_page_shows_is_what_happens(page: str, tmp_path: Path) -> None:
    read(page, tmp_path)


def test_a_page_that_shows_something_else_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.pages.DOCS", tmp_path)
    right = "```python\nprint(1)\nprint(2)\n```\n\n```text\n…\n2\n```\n\n```\nmemplan plan none.onnx\n```\n\n```text\nerror: …none.onnx…\n```\n"
    for wrong in (
        ("…\n2", "3"),
        ("error: …none", "…none"),
        ("none.onnx…", "some.onnx"),
        ("plan none", "plans none"),
    ):
        (tmp_path / "page.md").write_text(right)
        read("page.md", tmp_path)
        (tmp_path / "page.md").write_text(right.replace(*wrong))
        with pytest.raises((AssertionError, SystemExit)):
            read("page.md", tmp_path)
