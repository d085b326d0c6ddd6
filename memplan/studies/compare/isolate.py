"""One job in a process of its own, under a deadline and a limit on memory: whatever it does, there is an answer."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from memplan.base.children import start

POLL_S = 0.05
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True)
class JobOutcome:
    """How a job ended: `word` is done, refused, invalid, crash, timeout, memory or stopped.

    `answer` is there for done alone, `reason` for the rest; `seconds` is the process's wall time.
    """

    word: str
    answer: Mapping[str, Any] | None
    reason: str
    seconds: float


def run_isolated(
    job: Mapping[str, Any],
    *,
    deadline_s: float,
    memory: int,
    news: Callable[[list[Any]], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> JobOutcome:
    """Run `job` (see worker.py) and wait for it; its whole process group is killed at a limit.

    `memory` bounds the resident bytes of the process and its descendants, looked at every 50 ms where the system
    tells (/proc). `news` gets the solver's progress, `stop` is asked at every look.
    """
    begin = time.monotonic()
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stderr:
        stdin.write(json.dumps(job).encode())
        stdin.seek(0)
        threads = {"OMP_NUM_THREADS": str(job.get("workers", 1))}
        process = start(
            "memplan.studies.compare.worker",
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
            env=threads,
        )
        try:
            killed, last = _watch(process, begin + deadline_s, memory, news, stop)
        finally:
            _kill(process)
        seconds = time.monotonic() - begin
        if "answer" in last:
            return JobOutcome("done", last["answer"], "", seconds)
        if "failed" in last:
            return JobOutcome(last["failed"][0], None, last["failed"][1], seconds)
        if killed:
            reasons = {
                "timeout": f"no answer after {deadline_s:.0f} s",
                "memory": f"more than {memory} bytes resident",
                "stopped": "the comparison was interrupted",
            }
            return JobOutcome(killed, None, reasons[killed], seconds)
        return JobOutcome("crash", None, f"{_cause(process.returncode)}: {_last_words(stderr)}", seconds)


def _watch(
    process: subprocess.Popen[bytes],
    deadline: float,
    memory: int,
    news: Callable[[list[Any]], None] | None,
    stop: Callable[[], bool],
) -> tuple[str, dict[str, Any]]:
    """Read lines until the process closes its end or must be killed: the reason for that, and the last line."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    last: dict[str, Any] = {}
    rest = b""
    with selectors.DefaultSelector() as ready:
        ready.register(pipe, selectors.EVENT_READ)
        while True:
            if ready.select(POLL_S):
                chunk = os.read(pipe, 1 << 20)
                if not chunk:
                    ready.unregister(pipe)
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    last = json.loads(line)
                    if news is not None and "news" in last:
                        news(last["news"])
                if "answer" in last or "failed" in last:
                    return "", last
            elif process.poll() is not None:
                return "", last
            if stop():
                return "stopped", {}
            if time.monotonic() > deadline:
                return "timeout", {}
            if _resident(process.pid) > memory:
                return "memory", {}


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and its group, and wait until it is gone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _resident(pid: int) -> int:
    """Resident bytes of a process and its descendants; 0 where the system does not tell."""
    total = 0
    waiting = [pid]
    while waiting:
        folder = Path(f"/proc/{waiting.pop()}")
        try:
            total += int((folder / "statm").read_text().split()[1]) * PAGE
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, IndexError):
            continue
    return total


def _cause(status: int | None) -> str:
    if status is not None and status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


def _last_words(stderr: IO[bytes]) -> str:
    """The last line that the process wrote for people."""
    stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, stderr.tell() - 4000))
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no message"
