"""What is said where ExecuTorch is not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

import memplan
from memplan.base.errors import MemplanError


def test_without_executorch_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memplan.torch.executorch.find_spec", lambda name: None)
    model = memplan.load("resnet8_int8")
    plan = memplan.plan(model, runtime="tflm", solver="greedy")
    for ask in (
        lambda: memplan.load(tmp_path / "net.pt2", runtime="executorch"),
        lambda: memplan.measure(model, plan, on="executorch"),
        lambda: memplan.emit(model, plan, "pte", tmp_path),
    ):
        with pytest.raises(MemplanError, match="ExecuTorch is not installed") as caught:
            ask()
        assert "memplan[executorch]" in caught.value.hint
