"""Processes that memplan starts: none imports from the working folder, none lives on after the one that started it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import weakref
from multiprocessing import parent_process
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
    paths = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    ours, theirs = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, *words],
            pass_fds=(ours,),
            env=environment | {LIFELINE: str(ours), "PYTHONPATH": os.pathsep.join(paths)},
            **options,
        )
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
    lifeline = int(os.environ.pop(LIFELINE)) if parent is None else parent.sentinel
    if not sys.platform.startswith("linux"):
        return
    import fcntl

    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([lifeline], [], [], 0)[0]:
        sys.exit("the parent process has ended")
