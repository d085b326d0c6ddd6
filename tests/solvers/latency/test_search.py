"""What searches: never behind the baseline it starts from, reproducible, valid under every treatment."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from memplan.judge.evaluate import evaluate
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan.solving.testing import TIMED, chain
from tests.solvers.malloc_game.games import random_problem


def _values(problem: Problem, *specs: str) -> list[float]:
    found = [evaluate(problem.graph, parse_spec(s).solve(problem, Limits(20.0, seed=3))) for s in specs]
    return [plan.metrics.latency_s for plan in found]


def _programs(count: int) -> list[Problem]:
    return [random_problem(random.Random(seed), 14) for seed in range(count)]


@pytest.mark.slow
def test_searches_are_never_behind_the_baseline() -> None:
    better = 0
    for problem in _programs(40):
        msa, tuned, anneal, brkga = _values(
            problem, "msa", "msa_tuned", "anneal{effort=200}", "brkga{patience=3}"
        )
        assert tuned <= msa and anneal <= tuned * (1 + 1e-12) and brkga <= msa
        better += anneal < tuned * (1 - 1e-9)
    assert better > 10


@pytest.mark.slow(reason="anneals several programs")
def test_annealing_gains_on_a_long_program_and_repeats_itself() -> None:
    target = TIMED.with_scratchpad(1500)
    target = replace(target, compute=replace(target.compute, default=2e9))
    from memplan.problem.options import Options

    problem = Problem(chain(200), target, Options("latency", "tensor", order="program"))
    msa, tuned, anneal, again = _values(
        problem, "msa", "msa_tuned", "anneal{effort=150}", "anneal{effort=150}"
    )
    assert anneal == again
    assert anneal < 0.99 * tuned <= 0.99 * msa


@pytest.mark.parametrize(
    "spec", ["anneal{effort=-1}", "anneal{cold=0.2}", "brkga{population=1}", "brkga{elite=2.0}"]
)
def test_fields_out_of_range_are_refused(spec: str) -> None:
    from memplan.base.errors import OptionError

    with pytest.raises(OptionError):
        parse_spec(spec)
