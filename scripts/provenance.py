"""Where measured tables come from: by which command, at which commit and on what machine each was made, and whether that is old.

Needs git; where it is not there, or knows no such commit, nothing is called old.
"""

from __future__ import annotations

import os
import platform
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
CODE = ("memplan", "solvers", "models/memplan_models")
MADE = re.compile(
    r"^Made by `(?P<command>[^`]+)` at commit (?P<commit>\w+)(?P<changed> with changes)?, .*$", re.MULTILINE
)


def made_line() -> str:
    """How the script that runs makes its table, as the sentence that stands above it."""
    command = shlex.join([f"scripts/{Path(sys.argv[0]).stem}", *map(_within, sys.argv[1:])])
    return (
        f"Made by `{command}` at commit {code_commit()}{' with changes' if _changed() else ''}, {datetime.now(UTC).date()}, on {platform.machine()}, "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, load average {os.getloadavg()[0]:.1f}."
    )


def code_commit() -> str:
    """The last commit that changed what can be measured."""
    return (git("log", "-1", "--format=%h", "--", *CODE) or "unknown").strip()


def kept_rows(name: str) -> Path:
    """Where rows measured of this code are kept, so that a run that was stopped goes on; its folder exists.

    What is measured of code that is in no commit is kept apart.
    """
    path = ROOT / "build" / f"{code_commit()}{'_changed' if _changed() else ''}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _changed() -> bool:
    """Whether what can be measured is in no commit."""
    return bool(git("status", "--porcelain", "--", *CODE))


def _within(word: str) -> str:
    """A word of a command; of a path out of the project, or from the machine's root, its name alone."""
    outside = Path(word).is_absolute() or not (ROOT / word).resolve().is_relative_to(ROOT.resolve())
    return Path(word).name if outside else word


def changes_since(text: str, measured: tuple[str, ...]) -> list[str]:
    """The commits that changed the measured files or folders after the table in the text was made, newest first."""
    made = MADE.search(text)
    if made is None:
        return ["it does not say when it was made"]
    log = git("log", "--no-merges", "--format=%h %s", f"{made['commit']}..HEAD", "--", *measured) or ""
    return (["what it measured was in no commit"] if made["changed"] else []) + log.splitlines()


def git(*words: str) -> str | None:
    """What git says of the project; None where there is none, or it knows no such commit."""
    try:
        ran = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if ran.returncode else ran.stdout
