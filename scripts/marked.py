"""What a script writes on a page: it stands between the script's mark, `<!-- scripts/NAME -->`, and the next end.

A measured table stands below the sentence that says how it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from provenance import MADE, made_line

from memplan.base.files import write_atomic

DOCS = Path(__file__).parent.parent / "docs"
END = "<!-- end -->"

_T = TypeVar("_T")


def put(page: Path, script: str, text: str) -> None:
    """Replace what stands there; ValueError where the page has no such mark."""
    before, _, after = _parts(page, script)
    write_atomic(page, before + text + after)


def put_measured(page: Path, script: str, table: str) -> None:
    """Replace what stands there by how the table was made, and the table."""
    put(page, script, f"{made_line()}\n\n{table.strip()}\n")


def stamp(page: Path, script: str) -> None:
    """Say that all rows there were made now, once the last one is put."""
    put(page, script, MADE.sub(lambda _: made_line(), part(page, script)))


def part(page: Path, script: str) -> str:
    """What stands there; ValueError where the page has no such mark."""
    return _parts(page, script)[1]


def put_rows(page: Path, script: str, name: str, rows: Iterable[str]) -> None:
    """Replace the rows of the table there whose first cell is the name; at its end where it has none."""
    lines = part(page, script).strip("\n").splitlines()
    done = replaced(lines, lambda line: line.startswith(f"| {name} |"), rows)
    put(page, script, "\n" + "\n".join(done) + "\n\n")


def replaced(items: Iterable[_T], old: Callable[[_T], bool], new: Iterable[_T]) -> list[_T]:
    """The items, those that are new where those that are old began; at the end where none is old."""
    listed = list(items)
    at = next((i for i, item in enumerate(listed) if old(item)), len(listed))
    rest = [item for item in listed if not old(item)]
    return [*rest[:at], *new, *rest[at:]]


def _parts(page: Path, script: str) -> tuple[str, str, str]:
    text = page.read_text(encoding="utf-8")
    begin = f"<!-- scripts/{script} -->\n"
    start = text.index(begin) + len(begin)
    end = text.index(END, start)
    return text[:start], text[start:end], text[end:]
