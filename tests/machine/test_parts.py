"""Rates of arithmetic by dtype."""

from __future__ import annotations

from memplan.machine.parts import Compute


def test_a_dtype_has_its_own_rate_or_the_default() -> None:
    compute = Compute(1e12, {"int8": 4e12})
    assert compute.rate("int8") == 4e12
    assert compute.rate("float32") == compute.rate(None) == 1e12
    assert Compute(rates={"int8": 4e12}).rate("float32") is None
