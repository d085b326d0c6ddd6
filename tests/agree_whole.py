"""Whether what solvers claim holds of the whole problem, as its options state it: joins, recomputation and moves included.

For each seed a random walk writes down many plans of one tiny problem on a random target; the cheapest that the
checker accepts is a witness: no bound may be above its value, and no solver may call the problem infeasible.

`python -m tests.agree_whole --count 1000 portfolio greedy`
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.judge.check.check import check
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.pin_resolution import resolve_pins
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.planning import plan
from memplan.solving.registry import registry
from tests.generate_wide import walked_plan, wide_graph, wide_options, wide_target

TOLERANCE = 1e-9
"""Relative difference up to which two values count as equal."""


def witnessed(seed: int, ops: int = 4, walks: int = 60) -> tuple[Graph, Plan] | None:
    """The cheapest valid plan that the walks found of a random problem, with its value; None if they found none.

    The capacities are those of one of these plans, so they are tight; some of its places are pinned.
    """
    rng = random.Random(f"whole {seed}")
    graph = wide_graph(rng, rng.randint(1, ops))
    target = _scratchpad_machine(rng) if rng.random() < 0.5 else wide_target(rng)
    options = wide_options(rng, target)
    if options.io != "external" and rng.random() < 0.4:
        inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
        options = replace(options, donate=tuple(x for x in inputs if rng.random() < 0.7))
    if options.recompute == 1:
        options = replace(options, compute_limit=None)
    best: Plan | None = None
    cost = float("inf")
    for _ in range(walks):
        found = walked_plan(rng, graph, target, options)
        if found is None:
            continue
        found = replace(found, target=best.target, options=best.options) if best else found
        if check(graph, found, claims=False):
            continue
        if best is None and rng.random() < 0.3:
            found = _pinned(rng, graph, found)
        value = simulate(graph, found).value(options.objective)
        if value < cost:
            best, cost = replace(found, value=value), value
    return None if best is None else (graph, best)


def _scratchpad_machine(rng: random.Random) -> Target:
    timed = rng.random() < 0.7
    speed = rng.choice((2e9, 4e9, 2e10)) if timed else None
    return two_level(
        "two",
        Memory("scratchpad", None, rng.choice((1, 1, 2, 4)), speed),
        Memory("host", bandwidth=1e9 if timed else None),
        direct=rng.random() < 0.5,
        queues=rng.choice((1, 1, 2)),
        compute=Compute(1e9, {"int8": 2e9}, 1e-9) if timed else Compute(),
    )


def _pinned(rng: random.Random, graph: Graph, found: Plan) -> Plan:
    """The plan with a pin that it keeps, where one of a few does."""
    for _ in range(4):
        if not found.residencies:
            break
        r = rng.choice(found.residencies)
        at, where = f"@{r.offset}", rng.choice(("", r.memory))
        word = rng.choice(("keep", "host", r.memory, where + at, f"keep {r.memory}{at}"))
        name = rng.choice((r.tensor, rng.choice(sorted(set(graph.storage_of.values())))))
        try:
            pins = resolve_pins({name: word}, graph, found.target, found.options)
        except OptionError:
            continue
        pinned = replace(found, options=replace(found.options, pins=pins))
        if not check(graph, pinned, claims=False):
            return pinned
    return found


def fault(found: Plan, least: float) -> str:
    """What is wrong with a checked answer to a problem that has a plan of this value; nothing if it may be right."""
    if found.status is Status.INFEASIBLE:
        return f"called infeasible: {found.reason}"
    if found.bound > least + TOLERANCE * abs(least):
        return f"the bound {found.bound} is above a plan of {least}"
    return ""


def answer(graph: Graph, witness: Plan, solver: str, time_limit_s: float = 20.0) -> Plan:
    """What `memplan.plan` says of the problem of the witness."""
    o, target = witness.options, witness.target
    return plan(
        graph,
        target,
        objective=o.objective,
        weights=o.weights,
        io=o.io,
        inplace=o.inplace,
        join=o.join,
        donate=o.donate,
        order=o.order,
        recompute="any" if o.recompute is None else o.recompute,
        compute_limit=o.compute_limit,
        pins=o.pins,
        solver=solver,
        time_limit_s=time_limit_s,
        workers=1,
    )


def check_solvers(specs: Iterable[str], seeds: Iterable[int], ops: int = 4) -> Counter[str]:
    """How often which solver said what over the seeds; AssertionError names the first that claimed what is not so."""
    seen: Counter[str] = Counter()
    for seed in seeds:
        found = witnessed(seed, ops)
        if found is None:
            continue
        graph, witness = found
        assert witness.value is not None
        for spec in specs:
            if registry()[spec.partition("{")[0]]().lacks(Problem(graph, witness.target, witness.options)):
                continue
            try:
                said = answer(graph, witness, spec)
            except OptionError:
                seen[f"{spec} refused"] += 1
                continue
            wrong = fault(said, witness.value)
            assert not wrong, f"{spec}, seed {seed}: {wrong}"
            seen[f"{spec} {said.status}"] += 1
            worse = said.value is not None and said.value > witness.value * (1 + TOLERANCE)
            seen[f"{spec} dearer than the witness"] += worse
    return seen


def main() -> None:
    """Ask solvers about many problems; an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("specs", nargs="*", default=sorted(registry()), metavar="SPEC")
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
