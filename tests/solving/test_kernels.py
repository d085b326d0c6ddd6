"""Compiling ahead: groups in their order, as many at once as there are cores, none left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from memplan.solving import kernels
from memplan.solving.kernels import kernel_groups, warm


class Group(NamedTuple):
    """Kernels that take a moment."""

    use: str
    log: list[str]
    compiled: bool = False
    seconds: int = 2
    code: str = ""
    after: str = ""

    def ready(self) -> bool:
        return self.compiled

    def compiler(self) -> subprocess.Popen[bytes]:
        self.log.append(self.use)
        return subprocess.Popen([sys.executable, "-c", self.code])


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    return lambda *groups: monkeypatch.setattr(
        kernels, "kernel_groups", lambda: {group.use: group for group in groups}
    )


def test_what_is_not_compiled_is_compiled_in_order(offered: Callable[..., None]) -> None:
    log: list[str] = []
    offered(Group("a", log), Group("b", log, compiled=True), Group("c", log), Group("d", log))
    seen = list(warm(lambda: False))
    assert log == ["a", "c", "d"]
    assert max(len(state.compiling) for state in seen) <= 2
    assert [seen[-1].done, seen[-1].total] == [6, 6] and all(state.done <= 6 for state in seen)


def test_a_group_waits_for_the_one_that_it_calls(offered: Callable[..., None]) -> None:
    log: list[str] = []
    offered(
        Group("a", log, after="c"),
        Group("b", log, compiled=True),
        Group("c", log),
        Group("d", log, after="b"),
    )
    states = list(warm(lambda: False))
    assert log == ["c", "d", "a"] and all({"a", "c"} - {*state.compiling} for state in states)


def test_a_cancellation_ends_the_compilers(offered: Callable[..., None]) -> None:
    log: list[str] = []
    offered(*(Group(use, log, code="import time; time.sleep(600)") for use in "ab"))
    started = warm(lambda: bool(log))
    assert list(started)[-1].done < 4


def test_every_group_of_the_solvers_is_offered() -> None:
    from memplan_solvers.compiled import KERNELS

    assert kernel_groups() == KERNELS
