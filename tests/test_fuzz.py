"""The first hundreds of the mutated files; `scripts/fuzz_inputs` runs as many as asked for."""

from __future__ import annotations

import pytest

from tests.fuzz import run


@pytest.mark.slow
def test_mutated_files_never_break_anything() -> None:
    outcomes = run(range(400), workers=1)
    assert outcomes["fine"] > 40 and outcomes["GraphError"] > 120, outcomes
