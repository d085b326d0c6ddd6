"""Whether what solvers say of tiny problems on targets of any memories, moves and joins included, holds against brute force.

`python -m tests.agree_moving --count 1000 greedy placement portfolio`
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from memplan.base.errors import OptionError
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.freedoms import solve_within
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from tests.generate_wide import wide_graph, wide_target
from tests.moving_oracle import MovingOracle, TooMany

UNIT = 4
"""Alignment of all memories, so that few offsets are to be tried."""


def tiny_problem(seed: int, ops: int = 4) -> Problem | None:
    """A random problem of a few ops, on one to three memories of a few units each, that the oracle takes; None where
    memplan refuses it.
    """
    rng = random.Random(f"moving {seed}")
    graph = wide_graph(rng, rng.randint(1, ops))
    target = wide_target(rng)
    while len(target.memories) > 3:
        target = wide_target(rng)
    if rng.random() < 0.3:  # what the peak is sought for: ops that use the first memory alone
        target = replace(target, operands={}, home={})
    memories = tuple(
        replace(
            m, alignment=UNIT, capacity=rng.choice((2, 3, 3, 4, 5, None)) if m in target.addressed else None
        )
        for m in target.memories
    )
    memories = tuple(replace(m, capacity=m.capacity and m.capacity * UNIT) for m in memories)
    target = replace(target, memories=memories)
    join = rng.random() < 0.4
    try:
        return make_problem(
            graph,
            target,
            objective=rng.choice(("traffic", "traffic", "traffic", "peak")),
            weights=rng.choice(("ignore", "tensor", "stream")),
            io=rng.choice(("host", "host", "resident", "external")),
            inplace=not join and rng.random() < 0.6,
            order=rng.choice(("free", "free", "program")),
            join=join,
        )
    except OptionError:
        return None


def fault(said: Plan, least: float | None) -> str:
    """What is wrong with a checked answer to a problem whose optimum this is, None where it has no plan; empty if nothing."""
    if said.value is not None and (least is None or said.value < least - 1e-9):
        return f"a plan of {said.value} where the optimum is {least}"
    if least is not None and said.status is Status.INFEASIBLE:
        return f"called infeasible with a plan of {least}: {said.reason}"
    if least is not None and said.bound > least + 1e-9:
        return f"the bound {said.bound} is above the optimum {least}"
    return ""


def check_solvers(specs: Iterable[str], seeds: Iterable[int], ops: int = 4) -> Counter[str]:
    """How often which solver said what; AssertionError names the first that claimed what is not so."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        problem = tiny_problem(seed, ops)
        solvers = {spec: parse_spec(spec) for spec in specs}
        asked = {spec: solver for spec, solver in solvers.items() if problem and not solver.lacks(problem)}
        if problem is None or not asked:
            continue
        try:
            least = (oracle := MovingOracle(problem)).least()
        except TooMany:
            seen["too many states"] += 1
            continue
        if least is not None:
            plan = oracle.plan()
            assert plan.value == least, f"seed {seed}: the oracle's plan is worth {plan.value}, not {least}"
        seen[f"{problem.options.objective} {'without' if least is None else 'with'} a plan"] += 1
        for spec, solver in asked.items():
            said = evaluate(problem.graph, solve_within(solver, problem, Limits(20)))
            wrong = fault(said, least)
            assert not wrong, f"{spec}, seed {seed}: {wrong}"
            seen[f"{spec} {said.status}"] += 1
            seen[f"{spec} least"] += said.value is not None and said.value == least
            seen[f"{spec} joined"] += bool(said.joined)
    return seen


def main() -> None:
    """Ask solvers about many problems; an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("specs", nargs="*", default=["greedy", "placement", "portfolio"], metavar="SPEC")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--ops", type=int, default=4, help="ops at most, before joins")
    args = parser.parse_args()
    begin = time.process_time()
    seen = check_solvers(args.specs, range(args.first, args.first + args.count), args.ops)
    for what, n in sorted(seen.items()):
        print(f"{n:7} {what}")
    print(f"{args.count} problems agree; {time.process_time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
