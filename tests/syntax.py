"""Source files as syntax, parsed once for all tests that look at it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from memplan.base.garbage import collection_paused


@cache
def syntax(file: Path) -> ast.Module:
    """The syntax tree of a file, which nobody may change."""
    with collection_paused():
        return ast.parse(file.read_text(encoding="utf-8"))
