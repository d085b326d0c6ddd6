"""Whether an engine agrees with the oracle on seeded random problems: optima, statuses and bounds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from memplan.api import evaluate
from memplan.budgets import least_capacity
from memplan.pins import contradiction
from memplan.plan import Plan, Status
from memplan.problem import Problem
from memplan.solver import Budget, parse_spec
from memplan.target import Target
from tests.generate import random_graph, random_options
from tests.oracle import Oracle

ADDRESSES = 6
"""Ops up to which the oracle enumerates addresses too."""

EXACT = ("fixed_order", "ilp", "peak")
"""Solver specs that the oracle is asked about."""


@dataclass(frozen=True)
class Optimum:
    """What the oracle says of a problem: None where there is no plan.

    by_bytes   the optimum with addresses unseen, a lower bound on the true one
    placed     the true optimum, where the problem is small enough; `known` says whether it is
    """

    by_bytes: int | None
    placed: int | None
    known: bool


def random_problem(seed: int, objective: str) -> Problem:
    """Up to 8 ops; views, weights, several outputs, mixed sizes, alignment; tight and loose capacities."""
    rng = random.Random(f"{objective} {seed}")
    sizes = rng.choice(((1, 2, 3, 4, 5, 8), (1, 2, 3, 4, 5, 8), (1, 3, 7, 16), (4,)))
    graph = random_graph(rng, rng.randint(1, 8), sizes)
    options = random_options(rng, objective)
    alignment = rng.choice((1, 1, 2, 4))
    anywhere = objective == "peak" and rng.random() < 0.15
    target = Target(operands="any" if anywhere else "scratchpad").with_scratchpad(None, alignment)
    problem = Problem(graph, target, options)
    if seed % 3 == 0:
        pinned = replace(options, pins=random_pins(random.Random(f"pins {objective} {seed}"), problem))
        problem = replace(problem, options=pinned)
    if objective == "peak" and rng.random() < 0.7:
        return problem
    least = max(least_capacity(problem), problem.min_capacity, 1)
    capacity = rng.choice((max(problem.min_capacity, 1), least, least, least + rng.randint(0, 8), 3 * least))
    return replace(problem, target=target.with_scratchpad(capacity, alignment))


def random_pins(rng: random.Random, problem: Problem) -> dict[str, str]:
    """Up to three pins that make sense one by one; together they may leave no plan."""
    pins = {}
    for s in rng.sample(problem.storages, min(len(problem.storages), rng.randint(1, 3))):
        streamed = s.is_constant and problem.options.weights == "stream"
        words = ["" if streamed else "keep", f"@{rng.randint(0, 4) * problem.target.scratchpad.alignment}"]
        words += [words[0] + words[1]] + ["host"] * (problem.target.operands == "any" and not s.resident)
        pins[s.name] = rng.choice([word for word in words if word])
    return pins


def optimum(problem: Problem) -> Optimum:
    """The optimum by brute force."""
    oracle, capacity = Oracle(problem), problem.capacity
    small = problem.n <= ADDRESSES
    if problem.options.objective == "peak":
        live = max([oracle.least_live_peak(), *(s.place + s.size for s in oracle.things if s.place >= 0 and oracle.lies(s))])
        placed = oracle.least_placed_peak(live) if small else None
        if capacity is not None and live > capacity:
            return Optimum(None, None, True)
        if placed is not None and capacity is not None and placed > capacity:
            placed = None
        return Optimum(live, placed, small)
    by_bytes = oracle.least_traffic()
    if by_bytes is None:
        return Optimum(None, None, True)
    return Optimum(by_bytes, oracle.least_placed_traffic(by_bytes) if small else None, small)


def fault(engine: str, problem: Problem, best: Optimum, plan: Plan) -> str:
    """What is wrong with the engine's answer; nothing if it agrees."""
    if plan.status is Status.INFEASIBLE:
        return "called infeasible" if best.placed is not None or not (best.known or best.by_bytes is None) else ""
    if plan.status is Status.UNKNOWN:
        return "nothing proved" if must_prove(engine, problem, best) else ""
    if best.by_bytes is None or (best.known and best.placed is None):
        return "a plan where there is none"
    least = best.placed if best.placed is not None else best.by_bytes
    assert plan.value is not None
    if plan.value < least:
        return f"the value {plan.value} is below the optimum {least}"
    if best.known and plan.bound > least:
        return f"the bound {plan.bound} is above the optimum {least}"
    if best.known and plan.status is Status.OPTIMAL and plan.value != least:
        return f"the value {plan.value} is called optimal, the optimum is {least}"
    if engine == "peak" and problem.options.objective == "peak" and plan.bound != best.by_bytes:
        if problem.options.order == "free" or plan.bound > least:
            return f"the bound {plan.bound} is not the least live peak {best.by_bytes}"
    if must_prove(engine, problem, best) and plan.status is not Status.OPTIMAL:
        return f"the value {plan.value} is not proved, the bound is {plan.bound}"
    return ""


def must_prove(engine: str, problem: Problem, best: Optimum) -> bool:
    """Whether the engine promises a proof here: nobody does with in-place pairs, whose choice is a heuristic's."""
    if not best.known or problem.inplace_pairs:
        return False
    if engine == "peak":
        return problem.options.objective == "peak" and best.placed == best.by_bytes and best.placed is not None
    return engine == "ilp" or problem.options.order == "program"


def check(engine: str, seeds: Iterable[int], time_limit_s: float = 60.0) -> Counter[str]:
    """How often the engine gave which status over the seeds; AssertionError names the first it got wrong."""
    solver = parse_spec(engine)
    seen: Counter[str] = Counter()
    for seed in seeds:
        for objective in sorted(solver.objectives - {"latency"}):
            problem = random_problem(seed, objective)
            if contradiction(problem):
                best = optimum(problem)
                assert best.placed is None, f"{objective}, seed {seed}: called a contradiction"
                seen["contradiction"] += 1
                continue
            plan = evaluate(problem.graph, solver.solve(problem, Budget(time_limit_s)))
            wrong = fault(solver.name, problem, optimum(problem), plan)
            assert not wrong, f"{engine}, {objective}, seed {seed}: {wrong}"
            seen[f"{objective} {plan.status}"] += 1
            seen["spills"] += bool(plan.metrics.traffic)
    return seen
