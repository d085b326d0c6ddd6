"""The published results: reductions by hand, and RESULTS.md is what its lines say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from memplan_models.published import BASELINES, OURS, cosma_md, olla_md, published, reduction, results_md

from memplan.library.zoo import zoo_names
from memplan.problem.plan import Status
from memplan.studies.compare.instances import instances_of
from memplan.studies.compare.results import read_results
from tests.studies.compare.test_statistics import record

MODELS = Path(__file__).parents[1] / "models"


def test_reduction() -> None:
    assert reduction([(25, 100), (75, 100)]) == pytest.approx(0.5)
    assert reduction([(0, 0)]) is None and reduction([]) is None


def rows(markdown: str, first: str) -> list[list[str]]:
    """The cells of the rows that begin with `first`."""
    return [
        [c.strip() for c in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith(f"| {first} ")
    ]


def cosma(model: str, budget: str, weights: str, ours: int, bound: int, *theirs: int) -> list[dict[str, Any]]:
    made = [record(model, budget, OURS, ours, bound, weights=weights)]
    return made + [
        record(model, budget, spec, b, weights=weights) for spec, b in zip(BASELINES, theirs, strict=True)
    ]


def test_cosma_s_table() -> None:
    found = [
        *cosma("resnet50_int8", "MR", "ignore", 20, 20, 100, 80, 40, 20),
        *cosma("vit_b16_int8", "MR", "ignore", 30, 0, 100, 0, 60, 30),
        *cosma("resnet50_int8", "MP", "ignore", 0, 0, 50, 0, 0, 0),
        *cosma("resnet50_int8", "MR", "tensor", 7, 7, 14, 14, 14, 14),
    ]
    text = cosma_md(instances_of(found))
    cells = {(row[1], row[2]): row[3:] for row in rows(text, "human-designed")[:12]}
    assert cells["MR", "of the sum"] == ["75.0 %", "75.0 %", "50.0 %", "0.0 %", "1 of 2"]
    assert cells["MR", "mean"] == ["75.0 %", "75.0 %", "50.0 %", "0.0 %", ""]
    assert cells["MR", "at zero"] == ["0 of 2", "1 of 2", "0 of 2", "0 of 2", ""]
    assert cells["MH", "of the sum"][0] == "–" and cells["MH", "at zero"][0] == "0 of 0"
    assert cells["MP", "of the sum"][:2] == ["100.0 %", "–"] and cells["MP", "at zero"][1] == "1 of 1"
    assert cells["all", "of the sum"][0] == "80.0 %" and cells["all", "at zero"][1] == "2 of 3"
    assert rows(text, "resnet50_int8")[0][1:] == [
        "MR",
        "100",
        "100",
        "80",
        "40",
        "20",
        "20",
        "20",
        "0.0 %",
        "1.00",
    ]
    assert rows(text, "vit_b16_int8")[0][8:10] == ["0", "100.0 %"]
    assert rows(text.split("### Activations and parameters")[1], "human-designed")[0][3] == "50.0 %"


def test_olla_s_table() -> None:
    found = [
        record(
            "a",
            "MR",
            spec,
            value,
            60,
            objective="peak",
            io="resident",
            weights="tensor",
            metrics={"live_peak": 90},
        )
        for spec, value in (("pytorch", 100), (OURS, 75))
    ]
    text = olla_md(instances_of(found))
    assert rows(text, "a")[0] == ["a", "3", "100", "90", "75", "60", "20.0 %", "1.00", "25.0 %"]
    assert rows(text, "mean")[0][-1] == "25.0 %"


def test_every_model_is_of_the_zoo() -> None:
    for one in published(1.0, 1):
        assert set(one.setting.models) <= set(zoo_names())


def test_the_page_is_what_the_lines_say() -> None:
    page = (MODELS / "RESULTS.md").read_text()
    found = [(one, MODELS / "results" / f"{one.name}.jsonl") for one in published(1.0, 1)]
    lines = [(one, read_results(path)) for one, path in found if path.exists()]
    assert {"cosma", "olla"} <= {one.name for one, _ in lines} and all(records for _, records in lines)
    made = page.split("\n\n")[1]
    assert made.startswith("Made by `scripts/publish_results") and results_md(lines, made) == page


def test_no_line_claims_too_much() -> None:
    for path in (MODELS / "results").glob("*.jsonl"):
        for r in read_results(path):
            assert r["outcome"] != "invalid"
            if r["value"] is not None:
                assert r["bound"] <= r["value"] * (1 + 1e-9)
                assert (r["status"] == Status.OPTIMAL) == (r["value"] <= r["bound"])
    for path in (MODELS / "results").glob("*.jsonl"):
        for instance in instances_of(read_results(path)):
            assert not instance.contradictions
