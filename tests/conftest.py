"""What holds for every test: limits count work, no garbage of others is looked at, and what was left out is named."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

LONG_LOOP = "a long loop over seeds"
"""Why a test is slow whose mark `slow` gives no reason of its own."""

_LEFT_OUT = pytest.StashKey[Counter[str]]()


class WorkClock:
    """A clock that goes while this process works, and slower the less of a core it gets: seconds of the wall clock or of
    processor time, whichever are fewer."""

    def __init__(self) -> None:
        self._lock, self._seconds = Lock(), 0.0
        self._wall, self._worked = time.monotonic(), time.process_time()

    def monotonic(self) -> float:
        with self._lock:
            wall, worked = time.monotonic(), time.process_time()
            self._seconds += min(wall - self._wall, worked - self._worked)
            self._wall, self._worked = wall, worked
            return self._seconds


@pytest.fixture(autouse=True, scope="session")
def limits_count_work() -> Iterator[None]:
    """Time limits within tests go by what this process works: what a solver reaches hangs on no other process."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("memplan.base.clock.time", WorkClock())
        yield


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without looking for garbage. What is there then stays, modules above all, and is never looked at
    again, which would take a third of the time of collecting and of leaving."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_LEFT_OUT] = Counter()


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    """Count the slow tests that `-m` leaves out, by their reasons."""
    for item in items:
        slow = item.get_closest_marker("slow")
        if slow is not None and item.config.option.markexpr:
            item.config.stash[_LEFT_OUT]["slow: " + slow.kwargs.get("reason", LONG_LOOP)] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a worker of xdist, hand what it left out to the process that writes the summary."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = dict(session.config.stash[_LEFT_OUT])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Take what a worker left out; each collects every test, so the counts are not to be added up."""
    told = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[_LEFT_OUT] |= Counter(told)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """One line a reason: how many tests were skipped or left out for it."""
    left_out = config.stash[_LEFT_OUT].copy()
    for report in terminalreporter.getreports("skipped"):
        _, _, reason = report.longrepr
        left_out[reason.removeprefix("Skipped: ")] += 1
    if left_out:
        terminalreporter.section("not run")
        for reason, tests in sorted(left_out.items()):
            terminalreporter.line(f"{tests:5} {reason}")
