"""Memory space assignment in plain Python is that of the kernels, and nobody waits for it without end."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.greedy import Greedy
from memplan_solvers.latency import solver, uncompiled
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.msa import Msa

import memplan
from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from tests.generate import random_graph, timed


@pytest.fixture(scope="module")
def problem() -> Problem:
    model = memplan.load("resnet8_int8")
    return memplan.make_problem(model, "ethos-u65", scratchpad="64KiB", objective="latency")


@pytest.mark.slow(reason="anneals several programs")
def test_it_is_what_the_kernels_answer(problem: Problem) -> None:
    plain, compiled = uncompiled.assigned(problem, Limits()), Msa().solve(problem, Limits())
    assert plain is not None and plain.residencies == compiled.residencies and plain.moves == compiled.moves


def test_where_ops_use_the_scratchpad_alone_the_plan_is_greedys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solver, "load", lambda *_: False)
    graph = random_graph(random.Random(1), 6)
    problem = Problem(graph, timed(direct=False), Options("latency", "tensor"))
    tight = replace(problem, target=problem.target.with_scratchpad(problem.min_capacity))
    plan = Anneal().solve(tight, Limits())
    assert plan.residencies == Greedy().solve(tight, Limits()).residencies
    assert not check(graph, evaluate(graph, plan))


def test_the_time_limit_is_kept(problem: Problem) -> None:
    assert uncompiled.assigned(problem, Limits(0.0)) is None


def test_patience_ends(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uncompiled, "PATIENCE_S", 0.01)
    assert uncompiled.assigned(problem, Limits()) is None
