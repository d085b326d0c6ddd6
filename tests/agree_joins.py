"""Whether solvers that join ops agree with brute force over all orders and all choices of what is joined.

`python -m tests.agree_joins --count 10000` asks each of them about as many problems of each of its objectives.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from memplan.base.units import align_up
from memplan.judge.evaluate import evaluate
from memplan.machine.two_level import two_level
from memplan.problem.contradictions import contradiction
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.agree import random_pins
from tests.generate_joins import joining_graph
from tests.oracle import Oracle

HOSTING = 6
"""Ops up to which operands lie in the places of parts."""

SOLVERS = {"greedy": ("peak", "traffic"), "peak": ("peak", "traffic"), "search": ("traffic",)}
"""Solver specs, each with the objectives that it is asked about."""


def joining_problem(seed: int, objective: str, ops: int = 8) -> Problem:
    """Up to `ops` ops, some of which can be joined, under any options, pins and alignments, tight and loose."""
    rng = random.Random(f"joins {objective} {seed}")
    graph = joining_graph(rng, rng.randint(3, ops), rng.choice(((1, 2, 3, 4), (2, 4), (4, 8))))
    options = Options(
        objective,
        weights=rng.choice(("ignore", "tensor", "stream")),
        io=rng.choice(("host", "host", "resident", "external")),
        inplace=rng.random() < 0.5,
        order=rng.choice(("free", "free", "program")),
        join=True,
    )
    unit = rng.choice((1, 1, 2, 4))
    target = two_level(direct=objective == "peak" and rng.random() < 0.1).with_scratchpad(None, unit)
    problem = Problem(graph, target, options)
    if seed % 6 == 0:
        problem = replace(problem, options=replace(options, pins=random_pins(rng, problem)))
    if objective == "peak" and rng.random() < 0.6:
        return problem
    capacity = align_up(max(problem.min_capacity, 1) + rng.choice((0, 0, 1, 3, 6)), unit)
    return replace(problem, target=target.with_scratchpad(capacity, unit))


def optimum(problem: Problem) -> int | None:
    """The least live peak or traffic over all choices, addresses unseen; None where no choice has a plan.

    That operands may lie where a part will be written over them is looked at for peaks of at most `HOSTING` ops; else
    this may be above the optimum in place.
    """
    oracles = [Oracle(problem, joined) for joined in Oracle.choices(problem)]
    if problem.options.objective == "traffic":
        return min((v for o in oracles if (v := o.least_traffic()) is not None), default=None)
    hosting = problem.options.inplace and problem.n <= HOSTING and not problem.target.direct
    least = min(o.least_hosting_peak() if hosting else o.least_live_peak() for o in oracles)
    return None if problem.capacity is not None and least > problem.capacity else least


def fault(engine: str, problem: Problem, least: int | None, plan: Plan) -> str:
    """What is wrong with the answer of an engine that was given time enough; nothing if it agrees."""
    hosting, pinned = bool(problem.inplace_pairs), bool(problem.options.pins)
    if plan.status is Status.INFEASIBLE:
        return "called infeasible" if least is not None and not pinned else ""
    if plan.status is Status.UNKNOWN:
        return ""
    assert plan.value is not None
    if least is None:
        return "" if hosting else "a plan where there is none"
    if plan.value < least and not hosting:
        return f"the value {plan.value} is below the optimum {least}"
    if plan.bound > least and not pinned:
        return f"the bound {plan.bound} is above the optimum {least}"
    exact = engine == "peak" and problem.options.objective == "peak" and not (hosting or pinned)
    if exact and plan.bound != least:
        return f"the bound {plan.bound} is not the least live peak {least}"
    return ""


def check(engine: str, objective: str, seeds: Iterable[int], time_limit_s: float = 60.0) -> Counter[str]:
    """How often the engine gave which status, joined ops and met the optimum; AssertionError at the first fault.

    Nor may what joins be worse than what does not where the answer without is proved.
    """
    seen: Counter[str] = Counter()
    for seed in seeds:
        problem = joining_problem(seed, objective)
        if contradiction(problem):
            continue
        least = optimum(problem)
        plan = evaluate(problem.graph, parse_spec(engine).solve(problem, Limits(time_limit_s)))
        wrong = fault(engine, problem, least, plan)
        assert not wrong, f"{engine}, {objective}, seed {seed}: {wrong}"
        apart = replace(problem, options=replace(problem.options, join=False))
        if apart.capacity is None or apart.min_capacity <= apart.capacity:
            without = evaluate(apart.graph, parse_spec(engine).solve(apart, Limits(time_limit_s)))
            worse = without.value is not None and (plan.value is None or plan.value > without.value)
            assert not worse, (
                f"{engine}, {objective}, seed {seed}: {plan.value}, {without.value} without joins"
            )
            seen["better"] += plan.value is not None and (without.value is None or plan.value < without.value)
        seen[str(plan.status)] += 1
        seen["joined"] += bool(plan.joined)
        seen["at the optimum"] += plan.value == least
    return seen


def main() -> None:
    """Ask solvers about many problems; one line each, and an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("engines", nargs="*", default=list(SOLVERS), metavar="SPEC")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    args = parser.parse_args()
    for engine in args.engines:
        for objective in SOLVERS.get(engine.partition("{")[0], ("peak", "traffic")):
            begin = time.process_time()
            seen = check(engine, objective, range(args.first, args.first + args.count))
            words = ", ".join(f"{n} {what}" for what, n in sorted(seen.items()))
            seconds = time.process_time() - begin
            print(f"{engine}, {objective}: {args.count} problems agree: {words}; {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
