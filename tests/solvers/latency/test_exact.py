"""The exact engine against every plan there is on tiny programs, and against annealing on small ones."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.exact import _covers

from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.solvers.latency.test_msa import small_problem
from tests.solvers.malloc_game.games import random_problem
from tests.timed_oracle import TimedOracle


@pytest.mark.parametrize(
    ("program", "sizes", "capacity", "flops"),
    [("x>a a,w>y", {"w": 30}, 100, 100), ("x>a a,w>y", {"w": 10}, 10, 400), ("x>a x,a>y", {}, 10, 50),
     ("x,w>a w,a>y", {"w": 20, "x": 5}, 100, 300)],
)  # fmt: skip
@pytest.mark.slow
def test_optimum_is_the_least_of_all_plans(program, sizes, capacity, flops) -> None:
    problem = small_problem(program, sizes, capacity, flops)
    plan = evaluate(problem.graph, parse_spec("latency_exact").solve(problem, Limits(30.0)))
    assert plan.status is Status.OPTIMAL
    best = TimedOracle(problem, every=True).least()
    assert best is not None and plan.value == pytest.approx(best.seconds, rel=1e-9)


def test_host_serves_an_op_while_its_operand_is_loaded_for_the_next() -> None:
    """w takes 10 s to come, of which each of two ops that read it in host meanwhile leaves 5: the third finds it there."""
    problem = small_problem("w>a w>b w>y", {"w": 100, "a": 0, "b": 0, "y": 1}, 100)
    one, two, three = problem.graph.ops
    ops = (replace(one, flops=1500), replace(two, flops=1500), three)
    problem = replace(problem, graph=replace(problem.graph, ops=ops))
    plan = evaluate(problem.graph, parse_spec("latency_exact").solve(problem, Limits(30.0)))
    assert plan.status is Status.OPTIMAL and plan.value == pytest.approx(15 + 15 + 1 + 0.1)
    assert [(m.issue, m.due) for m in plan.moves] == [(0, 2)]
    best = TimedOracle(problem).least()
    assert best is not None and plan.value == pytest.approx(best.seconds)


@pytest.mark.slow
def test_proofs_agree_with_annealing_on_small_programs() -> None:
    asked = proved = 0
    for seed in range(60):
        problem = random_problem(random.Random(seed), 4)
        problem = replace(problem, options=replace(problem.options, io="host", inplace=False))
        timed = make_arrays(problem, Limits(5.0))
        if timed is None or not _covers(problem, timed) or len(timed.touch) > 8:
            continue
        found = evaluate(problem.graph, parse_spec("anneal{effort=500}").solve(problem, Limits(20.0)))
        exact = evaluate(problem.graph, parse_spec("latency_exact").solve(problem, Limits(3.0)))
        assert exact.bound <= found.metrics.latency_s * (1 + 1e-9), seed
        asked, proved = asked + 1, proved + (exact.status is Status.OPTIMAL)
    assert asked > 15 and proved > 0.7 * asked
