"""Memory space assignment in plain Python is that of the kernels, and nobody waits for it without end."""

from __future__ import annotations

import pytest
from memplan_solvers.latency import uncompiled
from memplan_solvers.latency.msa import Msa

import memplan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits


@pytest.fixture(scope="module")
def problem() -> Problem:
    model = memplan.load("resnet8_int8")
    return memplan.make_problem(model, "ethos-u65", scratchpad="64KiB", objective="latency")


@pytest.mark.slow(reason="anneals several programs")
def test_it_is_what_the_kernels_answer(problem: Problem) -> None:
    plain, compiled = uncompiled.assigned(problem), Msa().solve(problem, Limits())
    assert plain is not None and plain.residencies == compiled.residencies and plain.moves == compiled.moves


def test_patience_ends(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncompiled, "PATIENCE_S", 0.01)
    assert uncompiled.assigned(problem) is None
