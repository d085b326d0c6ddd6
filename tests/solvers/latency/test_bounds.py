"""Bounds: never above a plan that exists, and tight where nothing competes."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.bounds import closed_bound
from memplan_solvers.latency.fluid import fluid_bound

from memplan.base.errors import OptionError
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.solving.limits import Limits
from memplan.solving.planning import plan as solve
from memplan.solving.registry import parse_spec
from tests.graphs import graph_of
from tests.solvers.latency.test_msa import small_problem
from tests.solvers.malloc_game.games import random_problem
from tests.timed_oracle import TimedOracle


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


def test_what_is_written_over_an_operand_takes_no_space() -> None:
    """Both operands of the op in place are served fast in bytes that hold one of them; an input's copy is written over too."""
    tensors = tuple(
        Tensor(x, 10, kind, "int8", (10,))
        for x, kind in (("x", "input"), ("a", "activation"), ("b", "activation"), ("y", "output"))
    )
    ops = tuple(Op(f"{a}{b}", "Relu", (a,), (b,)) for a, b in ("xa", "ab", "by"))
    problem = small_problem("x>y", {}, 10)
    options = replace(problem.options, inplace=True)
    problem = replace(problem, graph=graph_of("in place", tensors, ops), options=options)
    timed, best = make_arrays(problem, Limits(5.0)), TimedOracle(problem).least()
    assert timed is not None and best is not None and best.inplace
    closed, fluid = closed_bound(problem, timed), fluid_bound(problem, timed, 5.0)
    assert 0.8 * best.seconds <= max(closed, fluid) <= best.seconds * (1 + 1e-9)


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
