"""Whether latency solvers agree with the brute force of `tests.timed_oracle` on seeded tiny problems: values, statuses, bounds.

`python -m tests.agree_latency --count 1000 latency_exact 'msa{bound=lp}' greedy`
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from memplan.judge.check.check import check
from memplan.judge.evaluate import evaluate
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.two_level import two_level
from memplan.problem.contradictions import contradiction
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.agree import random_pins
from tests.generate import random_graph
from tests.timed_oracle import Timed, TimedOracle

EXACT = ("latency_exact", "msa{bound=lp}", "greedy")
"""Solver specs that the oracle is asked about."""

TOLERANCE = 1e-9
"""Relative difference up to which two times count as equal."""


def random_problem(seed: int, ops: int = 4, covered: bool = False) -> Problem:
    """Up to `ops` ops, mostly tight; any treatment, donated inputs, one or two queues, operands in host or not.

    `covered`: one that `latency_exact` claims to solve.
    """
    rng = random.Random(f"latency {seed}")
    graph = random_graph(rng, rng.randint(1, ops), rng.choice(((1, 2, 3, 4), (2, 4), (4,))))
    options = Options(
        "latency",
        rng.choice(("ignore", "tensor", "tensor", "stream")),
        "host" if covered else rng.choice(("host", "host", "resident")),
        not covered and rng.random() < 0.5,
        "program" if covered else rng.choice(("free", "program", "program")),
    )
    if not covered and rng.random() < 0.2:
        options = replace(options, donate=tuple(t.name for t in graph.tensors if t.kind == "input"))
    alignment = rng.choice((1, 1, 2))
    target = two_level(
        "tiny",
        Memory("scratchpad", None, alignment, rng.choice((2e9, 4e9, 2e10))),
        Memory("host", bandwidth=1e9),
        direct=covered or rng.random() < 0.7,
        queues=1 if covered else rng.choice((1, 2)),
        compute=Compute(rng.choice((1e10, 1e11, 2e9)), {}, rng.choice((0.0, 1e-9))),
    )
    problem = Problem(graph, target, options)
    if not covered and rng.random() < 0.2 and problem.storages:
        problem = replace(problem, options=replace(options, pins=random_pins(rng, problem)))
    room = rng.choice((0, 0, 1, 2, 4, 8, 16))
    capacity = max(1, problem.min_capacity, rng.randint(1, 8)) + room
    return replace(problem, target=target.with_scratchpad(capacity))


def plan_of(problem: Problem, found: Timed) -> Plan:
    """The oracle's answer as a plan; its numbers are left out."""
    graph = problem.graph
    return Plan(
        graph=graph.name,
        graph_sha256=graph.sha256,
        target=problem.target,
        options=problem.options,
        solver="brute force",
        status=Status.FEASIBLE,
        schedule=tuple(graph.ops[i].name for i in found.order),
        residencies=found.residencies,
        moves=found.moves,
        aliases=graph.aliases,
        inplace=found.inplace,
    )


def own_fault(problem: Problem, found: Timed) -> str:
    """What is wrong with the oracle's answer: it is no plan, or not as fast as it says."""
    plan = plan_of(problem, found)
    if problem.target.queues == 2:
        return ""  # it may have left out what a load waits for
    if wrong := check(problem.graph, plan, claims=False):
        return f"the oracle's plan is none: {wrong[0]}"
    seconds = simulate(problem.graph, plan).latency_s
    if abs(seconds - found.seconds) > TOLERANCE * seconds:
        return f"the oracle's plan takes {seconds}, not {found.seconds}"
    return ""


def fault(problem: Problem, plan: Plan, every: bool = False) -> str:
    """What is wrong with a solver's answer; nothing if it agrees with the oracle."""
    oracle = TimedOracle(problem, every)
    if plan.status in (Status.INFEASIBLE, Status.UNKNOWN):
        found = oracle.least() if plan.status is Status.INFEASIBLE else None
        return "called infeasible" if found is not None and not own_fault(problem, found) else ""
    assert plan.value is not None
    found = oracle.least(plan.value * (1 + TOLERANCE) + 1e-30)
    if found is None:
        return f"the oracle knows no plan of {plan.value}"
    if wrong := own_fault(problem, found):
        return wrong
    least = found.seconds * (1 + TOLERANCE)
    if plan.bound > least:
        return f"the bound {plan.bound} is above {found.seconds}"
    if plan.status is Status.OPTIMAL and plan.value > least and problem.target.queues == 1:
        return f"the value {plan.value} is called optimal, the optimum is {found.seconds}"
    return ""


def check_solver(
    spec: str, seeds: Iterable[int], ops: int = 4, every: bool = False, covered: bool = False
) -> Counter[str]:
    """How often the solver gave which status over the seeds; AssertionError names the first that it got wrong."""
    solver, seen = parse_spec(spec), Counter[str]()
    for seed in seeds:
        problem = random_problem(seed, ops, covered)
        if contradiction(problem):
            seen["contradiction"] += 1
            continue
        if solver.lacks(problem):
            seen["refused"] += 1
            continue
        plan = evaluate(problem.graph, solver.solve(problem, Limits(20.0)))
        wrong = fault(problem, plan, every)
        assert not wrong, f"{spec}, seed {seed}: {wrong}"
        seen[str(plan.status)] += 1
    return seen


def main() -> None:
    """Ask solvers about many problems; one line each, and an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("specs", nargs="*", default=EXACT, metavar="SPEC")
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--ops", type=int, default=4, help="ops at most")
    parser.add_argument("--every", action="store_true", help="with plans that waste space and time too")
    parser.add_argument("--covered", action="store_true", help="problems that latency_exact covers")
    args = parser.parse_args()
    for spec in args.specs:
        begin = time.process_time()
        seeds = range(args.first, args.first + args.count)
        seen = check_solver(spec, seeds, args.ops, args.every, args.covered)
        words = ", ".join(f"{n} {what}" for what, n in sorted(seen.items()))
        print(
            f"{spec}: {args.count} problems agree: {words}; {time.process_time() - begin:.0f} s", flush=True
        )


if __name__ == "__main__":
    main()
