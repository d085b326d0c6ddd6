"""Pages of the documentation, run as a reader would run them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.cli.program import memplan

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str, kind: str) -> list[str]:
    """The blocks of this kind of a page under docs/: "python", "c", "text", or "" for commands."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for language, block in found if language == kind]


def commands(page: str) -> list[list[str]]:
    """The page's commands, as words."""
    return [shlex.split(line) for block in blocks(page, "") for line in block.splitlines()]


def walk(page: str, folder: Path) -> int:
    """Run the page's `memplan` commands in the folder, one after another, each to its end; how many there are."""
    ours = [words for command, *words in commands(page) if command == "memplan"]
    for words in ours:
        done = memplan(*words, cwd=folder)
        assert done.returncode == 0, (words, done.stderr)
    return len(ours)
