"""What is said of a broken rule."""

from __future__ import annotations

from memplan.judge.check.violation import Violation


def test_a_violation_says_where() -> None:
    assert str(Violation("space", "it hurts", 3)) == "space: it hurts (step 3)"
    assert str(Violation("space", "it hurts")) == "space: it hurts"
