"""From the step model to the timed one: the plans stay valid, and loads that come earlier save time."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers import greedy
from memplan_solvers.greedy import Greedy
from memplan_solvers.timing import hoist_loads

from memplan.api import evaluate
from memplan.plan import Move, Residency
from memplan.solver import Budget
from tests.malloc_game.games import random_problem


def test_a_load_comes_as_early_as_its_place_is_free_and_no_later_than_those_due_before() -> None:
    rows = (Residency("a", 0, 3, 0, 8), Residency("w", 5, 6, 0, 8), Residency("v", 6, 7, 8, 8))
    moves = (Move("load", "w", 5, 5), Move("load", "v", 6, 6))
    residencies, moves = hoist_loads(rows, moves)
    assert residencies == (rows[0], Residency("w", 3, 6, 0, 8), Residency("v", 3, 7, 8, 8))
    assert moves == (Move("load", "w", 3, 5), Move("load", "v", 3, 6))


def test_what_has_to_be_in_the_scratchpad_is_planned_faster_and_validly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gains = 0
    for seed in range(60):
        problem = random_problem(random.Random(seed), 14)
        target = replace(problem.target, operands="scratchpad").with_scratchpad(None)
        problem = replace(problem, target=target)
        problem = replace(problem, target=target.with_scratchpad(max(8, problem.min_capacity * 3 // 2)))
        found = evaluate(problem.graph, Greedy().solve(problem, Budget(10.0)))
        with monkeypatch.context() as patch:
            patch.setattr(greedy, "hoist_loads", lambda residencies, moves: (residencies, moves))
            plain = evaluate(problem.graph, Greedy().solve(problem, Budget(10.0)))
        if plain.metrics is not None and plain.metrics.latency_s > 0:
            assert found.metrics.latency_s <= plain.metrics.latency_s * (1 + 1e-12)
            gains += found.metrics.latency_s < plain.metrics.latency_s * (1 - 1e-9)
    assert gains > 5
