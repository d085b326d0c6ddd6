"""C files with gaps: a comment `/* @name */` alone in its line is one, and `net` and `NET` stand for the model's name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

GAP = re.compile(r"^/\* @(\w+) \*/\n", re.MULTILINE)
NAME = re.compile(r"\b(net|NET)_")


def filled(file: str, name: str, gaps: Mapping[str, str]) -> str:
    """The file of `memplan/firmware/c` for a model called `name`, in lower case, with what `gaps` says by gap."""
    text = (files("memplan.firmware") / "c" / file).read_text(encoding="utf-8")
    named = NAME.sub(lambda found: f"{name if found[1] == 'net' else name.upper()}_", text)
    return GAP.sub(lambda found: f"{gaps[found[1]]}\n" if gaps[found[1]] else "", named)
