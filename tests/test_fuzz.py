"""A first thousand of the mutated files; `scripts/fuzz_inputs` runs as many as asked for."""

from __future__ import annotations

import pytest

from tests.fuzz import run


@pytest.mark.slow
def test_mutated_files_never_break_anything() -> None:
    outcomes = run(range(1000), workers=1)
    assert outcomes["fine"] > 100 and outcomes["GraphError"] > 300, outcomes
