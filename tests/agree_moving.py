"""Whether what solvers say of tiny problems on targets of any memories, moves and joins included, holds against brute force.

The least traffic and the least peak are known. Of latencies a plan is known, that of the least traffic: no bound may be
above its seconds, and nobody may find a plan where there is none, or none where there is one.

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
    objectives = ("traffic", "traffic", "peak", "peak", "latency")
    objective = rng.choice(objectives if target.timed else objectives[:4])
    alone = rng.random() < (0.9 if objective == "peak" else 0.1)
    if alone:  # what the peak is sought for: ops that use the first memory alone, and no constants
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
            objective=objective,
            weights="ignore" if alone else rng.choice(("ignore", "tensor", "stream")),
            io=rng.choice(("host", "host", "resident", "external")),
            inplace=not join and rng.random() < 0.6,
            order=rng.choice(("free", "free", "program")),
            join=join,
        )
    except OptionError:
        return None


def fault(said: Plan, known: float | None) -> str:
    """What is wrong with a checked answer to a problem; empty if nothing.

    Args:
        said: the answer.
        known: the value of a plan of the problem, the optimum unless latency is minimised; None where it has no plan.
    """
    least = said.options.objective != "latency"
    if known is None:
        return f"a plan of {said.value} where there is none" if said.value is not None else ""
    if said.value is not None and least and said.value < known - 1e-9:
        return f"a plan of {said.value} where the optimum is {known}"
    if said.status is Status.INFEASIBLE:
        return f"called infeasible with a plan of {known}: {said.reason}"
    if said.bound > known * (1 + 1e-9):
        return f"the bound {said.bound} is above a plan of {known}"
    return ""


def known_value(problem: Problem, most: int) -> float | None:
    """The value of a plan that brute force finds, the optimum unless latency is minimised; None where there is none.

    TooMany where that takes more than so many nodes.
    """
    stepped = problem
    if problem.options.objective == "latency":  # any plan of the step model is one
        stepped = replace(problem, options=replace(problem.options, objective="traffic"))
    oracle = MovingOracle(stepped, most)
    if (least := oracle.least()) is None:
        return None
    plan = oracle.plan()
    assert plan.value == least, f"the oracle's plan is worth {plan.value}, not {least}"
    return (
        least
        if stepped is problem
        else evaluate(problem.graph, replace(plan, options=problem.options, bound=0)).value
    )


def check_solvers(
    specs: Iterable[str], seeds: Iterable[int], ops: int = 4, most: int = 4_000
) -> Counter[str]:
    """How often which solver said what; AssertionError names the first that claimed what is not so.

    Args:
        specs: the solvers.
        seeds: of the problems.
        ops: how many of them a problem has at most, before joins.
        most: nodes that brute force looks at, for each choice of what is joined, before it leaves a problem out.
    """
    seen: Counter[str] = Counter()
    for seed in seeds:
        problem = tiny_problem(seed, ops)
        solvers = {spec: parse_spec(spec) for spec in specs}
        asked = {spec: solver for spec, solver in solvers.items() if problem and not solver.lacks(problem)}
        if problem is None or not asked:
            continue
        try:
            known = known_value(problem, most)
        except TooMany:
            seen["too many states"] += 1
            continue
        seen["compared"] += 1
        seen.update(_traits(problem, known))
        for spec, solver in asked.items():
            said = evaluate(problem.graph, solve_within(solver, problem, Limits(5)))
            wrong = fault(said, known)
            assert not wrong, f"{spec}, seed {seed}: {wrong}"
            seen[f"{spec} {said.status}"] += 1
            seen[f"{spec} least"] += said.value is not None and said.value == known
            seen[f"{spec} joined"] += bool(said.joined)
    return seen


def _traits(problem: Problem, known: float | None) -> list[str]:
    """What is counted of a problem."""
    options, target = problem.options, problem.target
    return [
        f"objective {options.objective}, {'without' if known is None else 'with'} a plan",
        f"io {options.io}",
        f"weights {options.weights}",
        f"order {options.order}",
        *(f"option {word}" for word in ("inplace", "join") if getattr(options, word)),
        f"{len(target.memories)} memories, {'moves' if target.queues else 'no moves'}",
        f"{problem.n} ops",
    ]


def main() -> None:
    """Ask solvers about many problems; an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("specs", nargs="*", default=["greedy", "placement", "portfolio"], metavar="SPEC")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--ops", type=int, default=4, help="ops at most, before joins")
    parser.add_argument("--most", type=int, default=4_000, help="nodes that brute force looks at")
    args = parser.parse_args()
    begin = time.process_time()
    seen = check_solvers(args.specs, range(args.first, args.first + args.count), args.ops, args.most)
    for what, n in sorted(seen.items()):
        print(f"{n:7} {what}")
    print(f"{seen['compared']} problems agree; {time.process_time() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
