"""Reading JSON that says each thing once, and writing files so that no reader ever sees half of one."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from memplan.base.errors import MemplanError

LONGEST_NAME = 255
"""Most bytes in the name of a file on the file systems of today."""


def parse_json(text: str | bytes) -> Any:
    """What the JSON says; ValueError or RecursionError where it is none, or gives a key of an object twice."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key '{twice}' stands twice in one object")
    return found


def check_folder(folder: Path, *names: str) -> None:
    """MemplanError where `folder`, or a file called one of `names` in it, cannot be made or written to.

    Asked before long work, so that none is lost.
    """
    for part in (*folder.parts, *names):
        check_name(part)
    for name in names:
        if Path(name).name != name or (folder / name).is_dir():
            raise MemplanError(f"cannot write to '{folder / name}': it is no file", "give another name")
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        why = "may not be written to" if there.is_dir() else "is no folder"
        raise MemplanError(
            f"cannot write to '{folder}': '{there}' {why}", "choose a folder you may write to with -o"
        )


def check_name(name: str) -> None:
    """MemplanError where no file can be called `name`."""
    try:
        length = len(os.fsencode(name))
    except UnicodeEncodeError:
        raise MemplanError(f"no file can be called '{name}': it is no text", "give another name") from None
    if "\0" in name:
        raise MemplanError(f"no file can be called '{name}': it holds a NUL", "give another name")
    if length > LONGEST_NAME:
        raise MemplanError(
            f"no file can be called '{name[:40]}…': {length} bytes, {LONGEST_NAME} at most",
            "give the model a shorter name",
        )


def write_atomic(path: Path, content: str | bytes) -> Path:
    """Write `content` beside `path` under a temporary name, `.memplan-…`, then rename it; returns `path`.

    A kill amid that leaves the temporary file, which nothing reads.
    """
    data = content.encode() if isinstance(content, str) else content
    check_name(path.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".memplan-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise MemplanError(
            f"cannot write '{path}': {error.strerror or error}", "choose a folder you may write to with -o"
        ) from error
    return path


Kind = TypeVar("Kind", bound=MemplanError)


def unreadable(kind: Callable[[str, str], Kind], path: str | Path, cause: OSError) -> Kind:
    """The error for a file that cannot be read; where it is not there, the hint names the file beside it that may be meant."""
    path = Path(path)
    try:
        missing = isinstance(cause, FileNotFoundError)
        beside = [entry.name for entry in path.parent.iterdir()] if missing else []
    except OSError:
        beside = []
    close = difflib.get_close_matches(path.name, beside, n=1, cutoff=0.8)
    hint = f"did you mean '{path.with_name(close[0])}'?" if close else "check the path"
    return kind(f"cannot read '{path}': {cause.strerror or cause}", hint)
