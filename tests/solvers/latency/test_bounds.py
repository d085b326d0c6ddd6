"""Bounds: never above a plan that exists, and tight where nothing competes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.bounds import closed_bound
from memplan_solvers.latency.fluid import fluid_bound

from memplan.base.errors import OptionError
from memplan.judge.evaluate import evaluate
from memplan.solving.limits import Limits
from memplan.solving.planning import plan as solve
from memplan.solving.registry import parse_spec
from tests.solvers.latency.test_msa import small_problem
from tests.solvers.malloc_game.games import random_problem


@pytest.mark.slow
def test_bounds_hold_for_what_annealing_finds_and_the_program_adds_to_the_closed_ones() -> None:
    tight = stronger = 0
    for seed in range(150):
        problem = random_problem(random.Random(seed), 10)
        timed = make_arrays(problem, Limits(5.0))
        if timed is None:
            continue
        plan = evaluate(problem.graph, parse_spec("anneal{effort=150}").solve(problem, Limits(20.0)))
        closed, fluid = closed_bound(problem, timed), fluid_bound(problem, timed, 20.0)
        assert max(closed, fluid) <= plan.metrics.latency_s * (1 + 1e-9), seed
        tight += max(closed, fluid) >= plan.metrics.latency_s * (1 - 1e-6)
        stronger += fluid > closed * (1 + 1e-6)
    assert tight > 30 and stronger > 40


def test_weights_that_must_come_through_the_bus() -> None:
    # 40 + 10 bytes in and 10 out at 10 B/s: 6 s whatever is done; ops alone would take 0.1 s and less.
    problem = small_problem("x>a w,a>y", {"w": 40}, 100)
    timed = make_arrays(problem, Limits(5.0))
    assert timed is not None
    assert closed_bound(problem, timed) == pytest.approx(6.0, rel=0.05)
    assert np.isfinite(fluid_bound(problem, timed, 5.0))


def test_a_plan_that_asks_gets_the_program_and_a_free_order_does_not() -> None:
    problem = small_problem("x>a a>b b,w>c c,w2>y", {"w": 30, "w2": 30}, 30, flops=200)
    bounds = {}
    for order in ("program", "free"):
        for word in ("closed", "lp"):
            plan = solve(
                problem.graph,
                problem.target,
                objective="latency",
                weights="tensor",
                order=order,
                solver=f"msa{{bound={word}}}",
            )
            bounds[order, word] = plan.bound
    assert bounds["program", "lp"] >= bounds["program", "closed"] >= bounds["free", "closed"]
    assert bounds["free", "lp"] == bounds["free", "closed"]
    with pytest.raises(OptionError, match="bound = 'dual'"):
        parse_spec("anneal{bound=dual}")
