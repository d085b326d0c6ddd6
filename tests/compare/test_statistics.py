"""Tallies, wins, profiles and plots on results made by hand."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from memplan.studies.compare.html import report_html
from memplan.studies.compare.instances import curves, instances_of
from memplan.studies.compare.markdown import report_md
from memplan.studies.compare.statistics import profile, tally, wins, within
from memplan.views.charts import Axis, Mark, Series, byte_axis, plot, standalone


def record(
    model: str, budget: str, solver: str, value: float | None, bound: float = 0, **more: Any
) -> dict[str, Any]:
    gap = None if value is None else (value - bound) / value if value else 0.0
    status = "unknown" if value is None else "optimal" if value <= bound else "feasible"
    return {
        "case": f"{model}-{budget}-{solver}",
        "model": model,
        "family": "toys",
        "ops": 3,
        "target": "scratchpad",
        "objective": "traffic",
        "weights": "ignore",
        "io": "host",
        "inplace": "off",
        "budget": budget,
        "capacity": {"MR": 100, "MH": 150, "MP": 200}[budget],
        "budget_proved": None,
        "solver": solver,
        "time_limit_s": 1.0,
        "workers": 1,
        "seed": 0,
        "outcome": "done",
        "status": status,
        "value": value,
        "bound": bound,
        "gap": gap,
        "seconds": 1.0,
        "reason": "",
        "plan": None if value is None else "plans/x.plan.json",
    } | more


RECORDS = [
    record("a", "MR", "x", 100, 50), record("a", "MR", "y", 200, 80, seconds=4.0),
    record("a", "MP", "x", 0), record("a", "MP", "y", 0, seconds=0.5),
    record("b", "MR", "x", None), record("b", "MR", "y", 30, 30),
    record("b", "MP", "x", 0), record("b", "MP", "y", 10),
    record("c", "MR", "x", None, outcome="crash", bound=None, seconds=None, reason="killed by SIGSEGV"),
    record("c", "MR", "y", None, outcome="refused", bound=None, seconds=None),
]  # fmt: skip


def test_an_instance_takes_the_best_value_and_the_best_bound() -> None:
    first, *_ = instances = instances_of(RECORDS)
    assert len(instances) == 5 and first.key[0] == "a" and first.one["budget"] == "MR"
    assert (first.best, first.bound) == (100, 80)
    again = instances_of([*RECORDS, record("a", "MR", "x", 90, 50)])
    assert again[0].best == 90 and len(again) == 5  # the last result of a case counts


def test_a_bound_above_somebody_s_plan_is_told() -> None:
    (wrong,) = instances_of([record("a", "MR", "x", 100, 90), record("a", "MR", "y", 80)])
    assert wrong.contradictions == ["x"] and "| contradicted |" in report_md([wrong])
    (refuted,) = instances_of([record("a", "MR", "x", None, status="infeasible"), record("a", "MR", "y", 80)])
    assert refuted.contradictions == ["x"]
    assert not any(i.contradictions for i in instances_of(RECORDS))


def test_tally() -> None:
    x, y = (tally(name, instances_of(RECORDS)) for name in "xy")
    assert (x.cases, x.plans, x.best, x.proved, x.failed, x.unsupported) == (5, 3, 3, 2, 1, 0)
    assert (y.cases, y.plans, y.best, y.proved, y.failed, y.unsupported) == (5, 4, 2, 2, 0, 1)
    assert x.ratio == 1 and y.ratio == pytest.approx(math.sqrt(2)) and x.gap == pytest.approx(1 / 6)


def test_wins_count_no_plan_as_a_loss_and_leave_out_the_unsupported() -> None:
    assert wins(["x", "y"], instances_of(RECORDS)) == {("x", "y"): 2, ("y", "x"): 1}


def test_profile_by_value() -> None:
    instances = instances_of(RECORDS)  # four of them were solved by somebody
    assert profile("x", instances, "value") == [(1.0, 0.75)]
    assert profile("y", instances, "value") == [(1.0, 0.5), (2.0, 0.75)]
    assert within(profile("y", instances, "value"), 1.99) == 0.5
    assert within(profile("y", instances, "value"), 2.0) == 0.75 and within([], 9) == 0


def test_profile_by_seconds_asks_for_the_best_value() -> None:
    instances = instances_of(RECORDS)
    assert profile("x", instances, "seconds") == [(1.0, 0.5), (2.0, 0.75)]
    assert profile("y", instances, "seconds") == [(1.0, 0.5)]


def test_curves_are_by_rising_capacity() -> None:
    found = curves(instances_of(RECORDS))
    assert [[i.capacity for i in group] for group in found] == [[100, 200], [100, 200]]


def test_markdown_is_the_same_numbers() -> None:
    text = report_md(instances_of(RECORDS))
    assert "| x | 5 | 3 | 3 | 2 | 1.000 |" in text and "killed by SIGSEGV" in text
    assert "[100](plans/x.html)" in text and "## Without an answer" in text


def test_names_are_text_not_markup() -> None:
    evil = [record("<script>alert(1)</script>", b, 's"|', v) for b, v in (("MR", 5), ("MP", 1))]
    page = report_html(instances_of(evil))
    assert "<script>alert" not in page and "&lt;script&gt;alert" in page
    assert 's"&#124;' in report_md(instances_of(evil))
    forged = record("m", "MR", "s", 5) | {
        "plan": "plans/a b)|[c](d.plan.json",
        "time_limit_s": 1,
        "seed": "<b>*|",
    }
    text = report_md(instances_of([forged]))
    assert "<b>" not in text and "seed &#60;b&#62;&#42;&#124;." in text
    assert "[5](plans/a%20b%29%7C%5Bc%5D%28d.html)" in text


def test_nothing_finished_is_a_report_too() -> None:
    assert "No case has finished" in report_html([]) and "No case has finished" in report_md([])


def test_plots_are_well_formed_and_scaled() -> None:
    series = Series("s", 0, (Mark(0, 0, "a & b", "x?y&z"), Mark(10, 5)), "step")
    svg = plot(
        "t & u",
        Axis("x", 0, 10),
        Axis("y", 0, 5),
        [series, Series("b", 1, (Mark(0, 0), Mark(10, 0)), "left")],
        [(0, 1)],
    )
    root = ElementTree.fromstring(svg)
    line = next(e for e in root.iter() if e.tag.endswith("polyline"))
    assert line.attrib["points"] == "74.0,226.0 446.0,226.0 446.0,12.0"
    ElementTree.fromstring(standalone(svg))


@pytest.mark.parametrize(
    ("axis", "ticks"),
    [
        (Axis("", 0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (Axis("", 0, 0), [0]),
        (Axis("", 1, 1000, log=True), [1, 10, 100, 1000]),
        (byte_axis("", 0, 4 * 2**20), [0, 2**20, 2 * 2**20, 3 * 2**20, 4 * 2**20]),
        (byte_axis("", 0, 4), [0, 1, 2, 3, 4]),
    ],
)
def test_ticks_are_round(axis: Axis, ticks: list[float]) -> None:
    assert axis.ticks() == pytest.approx(ticks)
