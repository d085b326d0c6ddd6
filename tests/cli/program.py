"""The program, asked in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from memplan.cli import main


def started(*arguments: object) -> subprocess.CompletedProcess[str]:
    """What a process of its own answers."""
    command = [sys.executable, "-m", "memplan", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def memplan(*arguments: object, cwd: Path | str = ".") -> subprocess.CompletedProcess[str]:
    """The same without a start, which costs more than most answers."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([*map(str, arguments)])
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())
