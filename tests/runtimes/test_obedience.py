"""What is said of a runtime that obeys, and of one that does not."""

from __future__ import annotations

from dataclasses import replace

from memplan.runtimes.obedience import Obedience

FOUND = Obedience("net", "tflm", predicted=100, measured=100, own=2148, beside=30, outputs=3, different=0)


def test_a_plan_that_is_obeyed_and_better_is_kept() -> None:
    assert FOUND.obeys and FOUND.kept == "plan" and "saves 2 KiB" in str(FOUND)
    assert FOUND.to_dict()["obeys"] is True and FOUND.to_dict()["own"] == 2148


def test_the_runtimes_own_plan_is_kept_where_it_is_better() -> None:
    better = Obedience("net", "tflm", 100, 100, 96, 30, 3, 0)
    assert better.kept == "own" and "tflm's own plan takes less" in str(better)
    assert "saves nothing" in str(Obedience("net", "tflm", 100, 100, 100, 30, 3, 0))


def test_other_bytes_or_other_outputs_are_no_obedience() -> None:
    assert not Obedience("net", "tflm", 100, 116, 200, 30, 3, 0).obeys
    differing = Obedience("net", "tflm", 100, 100, 200, 30, 3, 1)
    assert not differing.obeys and "1 of 3 outputs differ" in str(differing)


def test_a_bound_is_obeyed_by_less_and_not_by_more() -> None:
    bound = replace(FOUND, at_most=True, measured=90)
    assert bound.obeys and "by the plan, at most" in str(bound)
    assert not replace(bound, measured=101).obeys and not replace(FOUND, measured=90).obeys


def test_a_runtime_without_a_planner_keeps_the_plan() -> None:
    alone = replace(FOUND, own=None)
    assert alone.kept == "plan" and "no planner of its own" in str(alone) and "own plan" not in str(alone)


def test_the_order_is_said_where_the_runtime_tells() -> None:
    assert "order" not in str(FOUND)
    assert "order      the plan's" in str(replace(FOUND, ordered=True))
    other = replace(FOUND, ordered=False)
    assert "order      not the plan's" in str(other) and not other.obeys
