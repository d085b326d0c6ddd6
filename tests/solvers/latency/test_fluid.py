"""The fluid bound against every plan of tiny programs, and what a program's duals prove whatever they are."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.fluid import _Program, fluid_bound

from memplan.judge.simulate import simulate
from memplan.problem.options import Options
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.generate import TIMED, random_graph
from tests.solvers.latency.test_msa import small_problem
from tests.timed_oracle import TimedOracle


@pytest.mark.parametrize(
    ("program", "sizes", "capacity", "flops", "tight"),
    [("x>a x,a>y", {}, 10, 50, 0.7), ("x>a a>y", {"a": 20}, 100, 10, 0.7), ("x>a a,w>y", {"w": 10}, 10, 400, 0.9)],
)  # fmt: skip
def test_the_bound_is_no_more_than_the_least_of_all_plans_and_most_of_it(
    program: str, sizes: dict[str, int], capacity: int, flops: int, tight: float
) -> None:
    problem = small_problem(program, sizes, capacity, flops)
    timed = make_arrays(problem, Limits(10.0))
    assert timed is not None
    best, bound = TimedOracle(problem, every=True).least(), fluid_bound(problem, timed, 20.0)
    assert best is not None and tight * best.seconds <= bound <= best.seconds * (1 + 1e-9)


def test_more_capacity_bounds_no_more() -> None:
    words = "x>a a>b x,b>c c,a>d d,w>y"
    bounds = []
    for capacity in (20, 30, 40, 60, 100):
        problem = small_problem(words, {"w": 30}, capacity, 50)
        timed = make_arrays(problem, Limits(10.0))
        assert timed is not None
        bounds.append(fluid_bound(problem, timed, 20.0))
        plan = parse_spec("anneal{effort=50}").solve(problem, Limits(20.0))
        assert bounds[-1] <= simulate(problem.graph, plan).latency_s * (1 + 1e-9)
    assert all(a >= b * (1 - 1e-6) for a, b in zip(bounds, bounds[1:], strict=False))
    assert bounds[0] > bounds[-1] * 1.1


def test_how_early_a_plan_brings_what_is_pinned_bounds_nothing() -> None:
    for seed in range(20):
        graph = random_graph(random.Random(seed), 8)
        kept = [t.name for t in graph.tensors if t.kind == "constant"][-2:]
        options = Options("latency", "tensor", order="program", pins=dict.fromkeys(kept, "keep"))
        problem = Problem(graph, TIMED, options)
        target = problem.target.with_scratchpad(max(problem.min_capacity, 1))
        problem = replace(problem, target=target)
        late = make_arrays(problem, Limits(10.0))
        assert late is not None
        early = late._replace(fixed_span=late.fixed_span * [0, 1])
        assert fluid_bound(problem, early, 20.0) == fluid_bound(problem, late, 20.0)


def test_what_duals_prove_no_solution_stays_below(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Lagrangian value holds for any duals, those of a solver that went wrong too, and is the optimum for the best."""
    for seed in range(60):
        dice = random.Random(seed)
        lp = _Program()
        for _ in range(3):
            lp.variable(0.0, float(dice.randint(0, 3)), float(dice.randint(-2, 4)))
        for _ in range(2):
            lp.row({v: float(dice.randint(-2, 3)) for v in range(3)}, float(dice.randint(-3, 2)))
        corners = product(
            *(np.arange(low, high + 0.5, 0.5) for low, high in zip(lp.low, lp.high, strict=True))
        )
        values = [
            float(np.dot(lp.cost, x))
            for x in corners
            if all(
                sum(a * x[v] for v, a in row.items()) >= right
                for row, right in zip(lp.rows, lp.right, strict=True)
            )
        ]
        if not values:
            continue
        assert lp.proved(5.0) <= min(values) + 1e-9
        for duals in ([0.0, 0.0], [1.0, 0.5], [-3.0, 7.0]):
            with monkeypatch.context() as patched:
                patched.setattr(lp, "_duals", lambda time_limit_s, duals=duals: np.array(duals))
                assert lp.proved(5.0) <= min(values) + 1e-9, seed
