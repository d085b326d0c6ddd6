"""Processes that memplan starts: none imports from the working folder, none lives on after the one that started it.

Nor does a temporary folder.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

LIFELINE = "MEMPLAN_LIFELINE"
"""Environment variable with the end of a pipe whose other end closes when the parent ends, however that ends."""


def start(
    module: str, *words: str, env: dict[str, str] | None = None, **options: Any
) -> subprocess.Popen[Any]:
    """`python -m module words` in a process that must call `end_with_parent` first; `options` are those of Popen.

    It ends when this process does, or when nobody holds what is returned.
    """
    environment = {**os.environ, **(env or {})}
    # an empty entry stands for the working folder, which -P takes off the path: a file there passes for no module
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    )
    ours, theirs = os.pipe()
    environment[LIFELINE] = str(ours)
    command = [sys.executable, "-P", "-m", module, *words]
    return _tied(ours, theirs, command, options | {"env": environment})


def start_program(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Any program, in a process that ends as those of `start` do without calling anything."""
    ours, theirs = os.pipe()
    return _tied(ours, theirs, command, options | {"preexec_fn": partial(_end_with, ours)})


def _tied(ours: int, theirs: int, command: Sequence[str], options: Any) -> subprocess.Popen[Any]:
    """Start `command` with one end of a pipe, whose other end is closed with what is returned."""
    try:
        process = subprocess.Popen(command, pass_fds=(ours,), **options)
    except BaseException:
        os.close(theirs)
        raise
    finally:
        os.close(ours)
    weakref.finalize(process, os.close, theirs)
    return process


def end_with_parent() -> None:
    """Have the system end this process when its parent ends, also amid native code (Linux only).

    For those that `start` started, and for workers of multiprocessing.
    """
    parent = parent_process()
    _end_with(int(os.environ.pop(LIFELINE)) if parent is None else parent.sentinel)


def _end_with(lifeline: int) -> None:
    """Have the system end this process, and the program that it becomes, when the pipe's other end closes."""
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit("the parent process has ended")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is removed when the block ends, or this process does, however that ends."""
    folder = tempfile.mkdtemp(prefix="memplan-")
    # of a session of its own, so that what interrupts this process does not keep the folder
    command = ["sh", "-c", 'cat; rm -rf -- "$0"', folder]
    remover = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    try:
        yield Path(folder)
    finally:
        remover.communicate()
