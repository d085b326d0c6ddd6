"""The exact engine against every plan there is on tiny programs, and against annealing on small ones."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import pytest
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.exact import _covers

from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.judge.simulate import simulate
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.plans import load, row, store
from tests.solvers.latency.test_msa import small_problem
from tests.solvers.malloc_game.games import random_problem

SPANS = [[], [(0, 1)], [(1, 2)], [(0, 2)], [(0, 1), (1, 2)]]
STORES = [None, (1, 1), (1, 2), (2, 2)]


def _least(problem: Problem, stacked: bool) -> float:
    """The least latency of every valid plan of a program of two ops, all offsets 0 or each storage at its own."""
    choices = []
    for k, s in enumerate(problem.storages):
        offset = sum(q.size for q in problem.storages[:k]) if stacked else 0
        options = []
        for spans, copied in itertools.product(SPANS, [None] if s.in_host else STORES):
            rows = [row(s.name, a, b, offset, s.size) for a, b in spans]
            moves = [
                load(s.name, a, next((t for t in s.touches if a <= t < b), a))
                for a, b in spans
                if a != s.producer
            ]
            options.append((rows, moves + ([store(s.name, *copied)] if copied else [])))
        choices.append(options)
    least = float("inf")
    graph = problem.graph
    for parts in itertools.product(*choices):
        plan = Plan(
            graph.name,
            graph.sha256,
            problem.target,
            problem.options,
            "all",
            Status.FEASIBLE,
            tuple(op.name for op in graph.ops),
            tuple(r for rows, _ in parts for r in rows),
            tuple(sorted((m for _, moves in parts for m in moves), key=problem.turn)),
            graph.aliases,
        )
        if not check(graph, plan, claims=False):
            least = min(least, simulate(graph, plan).latency_s)
    return least


@pytest.mark.parametrize(
    ("program", "sizes", "capacity", "stacked", "flops"),
    [("x>a a,w>y", {"w": 30}, 100, True, 100), ("x>a a,w>y", {"w": 10}, 10, False, 400), ("x>a x,a>y", {}, 10, False, 50),
     ("x,w>a w,a>y", {"w": 20, "x": 5}, 100, True, 300)],
)  # fmt: skip
@pytest.mark.slow
def test_optimum_is_the_least_of_all_plans(program, sizes, capacity, stacked, flops) -> None:
    problem = small_problem(program, sizes, capacity, flops)
    plan = evaluate(problem.graph, parse_spec("latency_exact").solve(problem, Limits(30.0)))
    assert plan.status is Status.OPTIMAL
    assert plan.value == pytest.approx(_least(problem, stacked), rel=1e-9)


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
