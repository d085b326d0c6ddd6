"""Pages of the documentation, run as a reader would run them."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

from tests.cli.program import memplan

DOCS = Path(__file__).parents[1] / "docs"


def all_blocks(page: str) -> list[tuple[str, str]]:
    """The blocks of a page under docs/ in order: kind ("python", "c", "text", or "" for commands) and content."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def blocks(page: str, kind: str) -> list[str]:
    """The page's blocks of this kind."""
    return [block for found, block in all_blocks(page) if found == kind]


def commands(page: str) -> list[list[str]]:
    """The page's commands, as words."""
    return [words(line) for block in blocks(page, "") for line in block.splitlines()]


def words(line: str) -> list[str]:
    """A command as a shell splits it, without the comment behind it."""
    return shlex.split(line, comments=True)


def walk(page: str, folder: Path) -> int:
    """Run the page's `memplan` commands in the folder, one after another, each to its end; how many there are."""
    ours = [arguments for command, *arguments in commands(page) if command == "memplan"]
    for arguments in ours:
        done = memplan(*arguments, cwd=folder)
        assert done.returncode == 0, (arguments, done.stderr)
    return len(ours)


def read(page: str, folder: Path) -> None:
    """Run all that the page shows in the folder, from top to bottom: every command and every block of Python.

    A block of text is what the block before it prints, where each `…` stands for what is left out. One that begins with `error:` is
    what the last command before it says as it fails; all others succeed.
    """
    found = [*all_blocks(page), ("", "")]
    names: dict[str, Any] = {"__name__": page}
    for (kind, block), (next_kind, shown) in zip(found, found[1:], strict=False):
        shown = shown if next_kind == "text" else ""
        if kind == "python":
            printed = run_python(block, names, folder)
        elif kind == "":
            printed = run_commands(block, shown.startswith("error:"), folder)
        else:
            assert kind == "text", f"{page} shows {kind}, which is not run"
            continue
        expected = ".*?".join(map(re.escape, shown.split("…")))
        assert re.search(expected, printed, re.DOTALL), f"{block}prints\n{printed}not\n{shown}"


def run_python(block: str, names: dict[str, Any], folder: Path) -> str:
    """What the block prints, run in the folder; `names` are those of the blocks before it, and its own afterwards."""
    out = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        exec(compile(block, "a block of Python", "exec", dont_inherit=True), names)
    return out.getvalue()


def run_commands(block: str, fails: bool, folder: Path) -> str:
    """What the block's `memplan` commands print, to both ends; the last one fails, or none does."""
    printed = ""
    lines = block.replace("\\\n", " ").splitlines()
    for number, line in enumerate(lines, 1):
        program, *arguments = words(line)
        assert program == "memplan", line
        done = memplan(*arguments, cwd=folder)
        assert (done.returncode != 0) == (fails and number == len(lines)), (line, done.stderr)
        printed += done.stderr + done.stdout
    return printed
