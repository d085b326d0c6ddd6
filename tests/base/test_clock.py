"""A solve's clock stands while anybody waits in it, for all budgets that go by it."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace

import pytest

from memplan.solving.limits import Limits, Progress


def test_what_is_waited_for_is_nobodys_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("memplan.base.clock.time", SimpleNamespace(monotonic=lambda: now[0]))
    whole = Limits(10.0)
    now[0] += 2
    part = whole.share(0.5)
    assert (whole.seconds, part.seconds, part.remaining_s) == (2, 0, 4)
    first, second = ExitStack(), ExitStack()
    first.enter_context(whole.clock.standing())
    now[0] += 30
    second.enter_context(part.clock.standing())  # as another thread would
    now[0] += 30
    first.close()
    now[0] += 30
    assert (whole.seconds, part.seconds) == (2, 0)
    second.close()
    now[0] += 3
    assert (whole.seconds, part.seconds, part.spent()) == (5, 3, False)
    assert Limits(1.0).seconds == 0


def test_a_quiet_budget_passes_on_notices_alone() -> None:
    heard: list[Progress] = []
    quiet = Limits(progress=heard.append).quiet()
    quiet.report("greedy", 7, 3)
    quiet.notify("compiling")
    assert [(news.phase, news.value, news.notice) for news in heard] == [("compiling", None, True)]
    Limits().quiet().notify("nobody listens")
