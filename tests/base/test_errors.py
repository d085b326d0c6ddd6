"""Errors say what to do, and hints name the nearest word."""

from __future__ import annotations

from memplan.base.errors import ExecutionError, InvalidPlanError, MemplanError, OptionError, nearest


def test_an_error_is_its_message_and_its_hint() -> None:
    assert str(MemplanError("it failed", "mend it")) == "it failed\nhint: mend it"
    assert str(MemplanError("it failed")) == "it failed"
    assert [kind.exit_status for kind in (OptionError, InvalidPlanError, ExecutionError)] == [2, 5, 5]


def test_the_nearest_word_is_the_one_begun_or_else_the_closest_or_else_all() -> None:
    known = ("greedy", "fixed_order", "portfolio")
    assert nearest("port", known) == "did you mean 'portfolio'?"
    assert nearest("fix", (*known, "fax")) == "did you mean 'fixed_order'?"  # begun, though another is closer
    assert nearest("gredy", known) == "did you mean 'greedy'?"
    assert nearest("xyz", known) == "known: fixed_order, greedy, portfolio"
    assert nearest("po", known) == "known: fixed_order, greedy, portfolio"  # two letters begin too much
    assert nearest("x", ()) == "known: none"
