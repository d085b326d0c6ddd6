"""Zoo models of every family, planned at their three budgets, execute bit-identically in a real arena."""

from __future__ import annotations

from math import isfinite

import pytest

import memplan
from memplan.zoo import load_zoo_model

MODELS = ()  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_bit_identical_at_every_budget(name: str) -> None:
    model = load_zoo_model(name)
    digests = set()
    for budget in ("MR", "MH", "MP"):
        plan = memplan.plan(model, scratchpad=budget, solver="greedy", time_limit_s=10, workers=1)
        assert memplan.check(model, plan) == []
        report = memplan.run(model, plan)
        assert report.identical, f"{budget}: {report}"
        assert report.reference == "onnxruntime" and isfinite(report.ratio)
        assert report.loaded_bytes == plan.metrics.compulsory_load + plan.metrics.spill_load
        assert report.stored_bytes == plan.metrics.compulsory_store + plan.metrics.spill_store
        digests.add(tuple(o.sha256 for o in report.outputs))
    assert len(digests) == 1
