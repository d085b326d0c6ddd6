"""How far latency solvers are from the least latency of random programs, where `latency_exact` proves it.

python -m tests.solvers.latency.optima 4 6 8 12
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from math import exp, log

from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.exact import _covers

from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.solvers.malloc_game.games import random_problem

SOLVERS = ("msa", "msa_tuned", "brkga", "anneal", "malloc_game")
PROGRAMS, EXACT_S, SOLVER_S = 14, 5.0, 1.0
"""Programs of each number of ops; seconds for the constraint program and for the solvers."""


def programs(ops: int) -> Iterator[Problem]:
    """Programs of this many ops, or one less, that the constraint program covers."""
    seed = 1000 * ops
    while True:
        seed += 1
        problem = random_problem(random.Random(seed), ops)
        problem = replace(problem, options=replace(problem.options, io="host", inplace=False))
        timed = make_arrays(problem, Limits(5.0))
        if timed is not None and _covers(problem, timed) and problem.n >= ops - 1 and timed.movable.any():
            yield problem


def latency(problem: Problem, spec: str, seconds: float) -> tuple[float, bool]:
    """The latency of a solver's plan, and whether it is proved least."""
    plan = evaluate(problem.graph, parse_spec(spec).solve(problem, Limits(seconds)))
    return plan.metrics.latency_s, plan.status is Status.OPTIMAL


def row(ops: int) -> str:
    """One row of the table: proved, then by solver mean excess (geometric) and how many are optimal."""
    ratios: dict[str, list[float]] = {spec: [] for spec in SOLVERS}
    for problem, _ in zip(programs(ops), range(PROGRAMS), strict=False):
        least, proved = latency(problem, "latency_exact", EXACT_S)
        for spec in SOLVERS if proved else ():
            ratios[spec].append(latency(problem, spec, SOLVER_S)[0] / least)
            assert ratios[spec][-1] > 1 - 1e-9, f"{spec} is below the proved optimum of {problem.graph.name}"
    count = len(ratios["msa"])
    cells = (
        f"{exp(sum(map(log, v)) / max(1, count)):.4f}, {sum(x < 1 + 1e-9 for x in v)}"
        for v in ratios.values()
    )
    return f"| {ops} | {count} of {PROGRAMS} | {' | '.join(cells)} |"


if __name__ == "__main__":
    print(f"| ops | proved | {' | '.join(SOLVERS)} |\n| ---: | ---: |{' ---: |' * len(SOLVERS)}")
    for size in map(int, sys.argv[1:]):
        print(row(size), flush=True)
