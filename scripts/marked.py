"""What a script writes on a page: it stands between the script's mark, `<!-- scripts/NAME -->`, and the next end."""

from __future__ import annotations

from pathlib import Path

from memplan.base.files import write_atomic

DOCS = Path(__file__).parent.parent / "docs"
END = "<!-- end -->"


def taken(page: Path, script: str) -> str:
    """What stands there; ValueError where the page has no such mark."""
    return _parts(page, script)[1]


def put(page: Path, script: str, text: str) -> None:
    """Replace what stands there; ValueError where the page has no such mark."""
    before, _, after = _parts(page, script)
    write_atomic(page, before + text + after)


def _parts(page: Path, script: str) -> tuple[str, str, str]:
    text = page.read_text(encoding="utf-8")
    begin = f"<!-- scripts/{script} -->\n"
    start = text.index(begin) + len(begin)
    end = text.index(END, start)
    return text[:start], text[start:end], text[end:]
