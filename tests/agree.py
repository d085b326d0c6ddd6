"""Whether an engine agrees with the oracle on seeded random problems: optima, statuses and bounds.

`python -m tests.agree --count 10000` asks every engine about as many problems of each of its objectives;
`python -m tests.agree --rules --count 2000` leaves out each pruning rule in turn.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from unittest.mock import patch

from memplan_solvers.ilp.steps import Steps
from memplan_solvers.peak.directions import Directions
from memplan_solvers.peak.live import live_model, live_peak
from memplan_solvers.peak.rules import RULES
from memplan_solvers.peak.search import minimum_peak_order
from memplan_solvers.search.chain_bound import chain_bound
from memplan_solvers.search.direction import Direction
from memplan_solvers.search.engine import RULES as STATE_RULES
from memplan_solvers.search.engine import Engine
from memplan_solvers.search.frontier import Frontiers
from memplan_solvers.search.layered_search import search_layers
from memplan_solvers.search.lns import PartialPlan
from memplan_solvers.search.subproblem import PROHIBITIVE, whole

from memplan.ir.graph import Graph
from memplan.judge.evaluate import evaluate
from memplan.machine.two_level import two_level
from memplan.problem.contradictions import contradiction
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver
from tests.generate import random_graph, random_options
from tests.oracle import Oracle

ADDRESSES = 6
"""Ops up to which the oracle enumerates addresses too."""

EXACT = ("benders", "fixed_order", "ilp", "peak", "search")
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


def random_problem(
    seed: int, objective: str, ops: int = 8, donate: bool = False, pins: bool = True
) -> Problem:
    """Up to `ops` ops, a third with `pins`; views, weights, several outputs, mixed sizes, alignment; tight and loose capacities.

    With `donate` most inputs are donated, and some ops update their first input.
    """
    rng = random.Random(f"{objective} {seed}")
    sizes = rng.choice(((1, 2, 3, 4, 5, 8), (1, 2, 3, 4, 5, 8), (1, 3, 7, 16), (4,)))
    graph = random_graph(rng, rng.randint(1, ops), sizes)
    options = random_options(rng, objective)
    if donate:
        graph, options = _donated(graph, options, random.Random(seed))
    alignment = rng.choice((1, 1, 2, 4))
    anywhere = objective == "peak" and rng.random() < 0.15
    target = two_level(direct=anywhere).with_scratchpad(None, alignment)
    problem = Problem(graph, target, options)
    if pins and seed % 6 == 0:
        pinned = replace(options, pins=random_pins(random.Random(f"pins {objective} {seed}"), problem))
        problem = replace(problem, options=pinned)
    if objective == "peak" and rng.random() < 0.7:
        return problem
    least = max(least_capacity(problem), problem.min_capacity, 1)
    capacity = rng.choice((max(problem.min_capacity, 1), least, least, least + rng.randint(0, 8), 3 * least))
    return replace(problem, target=target.with_scratchpad(capacity, alignment))


def _donated(graph: Graph, options: Options, rng: random.Random) -> tuple[Graph, Options]:
    inputs = tuple(t.name for t in graph.tensors if t.kind == "input" and rng.random() < 0.8)
    kinds = {"Conv": "aten.index_copy.default", "MatMul": "Add"}
    ops = tuple(
        replace(op, kind=kinds.get(op.kind, op.kind)) if rng.random() < 0.6 else op for op in graph.ops
    )
    return replace(graph, ops=ops), replace(options, donate=inputs)


def random_pins(rng: random.Random, problem: Problem) -> dict[str, str]:
    """Up to three pins that make sense one by one; together they may leave no plan."""
    pins = {}
    for s in rng.sample(problem.storages, min(len(problem.storages), rng.randint(1, 3))):
        streamed = s.is_constant and problem.options.weights == "stream"
        words = ["" if streamed else "keep", f"@{rng.randint(0, 4) * problem.target.scratchpad.alignment}"]
        outside = problem.target.direct and not s.resident
        outside = outside and problem.graph.tensor[s.name].kind != "workspace"
        words += [words[0] + words[1]] + ["host"] * outside
        pins[s.name] = rng.choice([word for word in words if word])
    return pins


def optimum(problem: Problem) -> Optimum:
    """The optimum by brute force."""
    oracle, capacity = Oracle(problem), problem.capacity
    small = problem.n <= ADDRESSES
    if problem.options.objective == "peak":
        live = max(
            [
                oracle.least_live_peak(),
                *(s.place + s.size for s in oracle.things if s.place >= 0 and oracle.lies(s)),
            ]
        )
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
        fair = (
            best.known or best.by_bytes is None or problem.options.pins
        )  # pinned places may leave no addresses
        return "called infeasible" if best.placed is not None or not fair else ""
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
        pinned = any("@" in word for word in problem.options.pins.values())
        beside_pinned = pinned and plan.bound > best.by_bytes  # live bytes know nothing of places
        if not beside_pinned and (problem.options.order == "free" or plan.bound > least):
            return f"the bound {plan.bound} is not the least live peak {best.by_bytes}"
    if must_prove(engine, problem, best) and plan.status is not Status.OPTIMAL:
        return f"the value {plan.value} is not proved, the bound is {plan.bound}"
    return ""


def must_prove(engine: str, problem: Problem, best: Optimum) -> bool:
    """Whether the engine promises a proof here.

    Nobody does with in-place pairs, whose choice is a heuristic's, nor where a bound counts one reload a storage.
    """
    if not best.known or problem.inplace_pairs or problem.options.donate or engine == "benders":
        return False
    fixed = any(
        "@" in str(pin) for pin in problem.options.pins.values()
    )  # then an order has addresses by luck
    if engine == "peak" or (engine == "portfolio" and problem.options.objective == "peak"):
        return (
            problem.options.objective == "peak"
            and not fixed
            and best.placed == best.by_bytes
            and best.placed is not None
        )
    if engine == "search":
        return best.placed == best.by_bytes and best.placed is not None and not fixed
    return engine == "ilp" or problem.options.order == "program"


def solved(engine: str | Solver, problem: Problem, time_limit_s: float = 60.0) -> Plan:
    """The engine's checked and evaluated plan."""
    return evaluate(problem.graph, parse_spec(engine).solve(problem, Limits(time_limit_s)))


def check(
    engine: str, seeds: Iterable[int], time_limit_s: float = 60.0, donate: bool = False
) -> Counter[str]:
    """How often the engine gave which status over the seeds; AssertionError names the first it got wrong."""
    solver = parse_spec(engine)
    seen: Counter[str] = Counter()
    for seed in seeds:
        for objective in sorted({*solver.supports.objectives} & {"traffic", "peak"}):
            problem = random_problem(seed, objective, ADDRESSES if donate else 8, donate)
            if contradiction(problem):
                best = optimum(problem)
                assert best.placed is None, f"{objective}, seed {seed}: called a contradiction"
                seen["contradiction"] += 1
                continue
            plan = solved(solver, problem, time_limit_s)
            wrong = fault(solver.name, problem, optimum(problem), plan)
            assert not wrong, f"{engine}, {objective}, seed {seed}: {wrong}"
            seen[f"{objective} {plan.status}"] += 1
            seen["spills"] += bool(plan.metrics.traffic)
            seen["donated"] += any(problem.graph.tensor[s].kind == "input" for s in plan.overwritten.values())
    return seen


def check_rule(rule: str | None, seeds: Iterable[int]) -> int:
    """How many least live peaks the search gets right without `rule`; AssertionError at the first it does not."""
    count = 0
    for seed in seeds:
        problem = random_problem(seed, "peak", ops=11, pins=False)
        least = Oracle(problem).least_live_peak()
        found = minimum_peak_order(problem, Limits(60.0), rules=RULES - {rule})
        assert (found.peak, found.bound) == (least, least), (
            f"without {rule}, seed {seed}: {found}, not {least}"
        )
        if problem.options.order == "program" or least == 0:
            continue
        # Heuristics settle most small graphs: ask the search itself, just above and just below.
        model = live_model(problem)
        search = Directions(model, RULES - {rule})
        order, proof = (search.within(limit, Limits(60.0), 10**9) for limit in (least, least - 1))
        assert isinstance(order, tuple) and live_peak(model, order) == least, (
            f"without {rule}, seed {seed}: {order}"
        )
        assert isinstance(proof, int) and least - 1 < proof <= least, f"without {rule}, seed {seed}: {proof}"
        count += 1
    return count


def check_states_without(rule: str | None, seeds: Iterable[int]) -> int:
    """How many least traffics with spills the search over states gets right without `rule`, each problem as one piece.

    It is searched in both directions, where it has two, and fits by bytes as found.
    """
    spilled = 0
    for seed in seeds:
        problem = random_problem(seed, "traffic", pins=False)
        least, subproblem = Oracle(problem).least_traffic(), whole(problem)
        for backwards in (False, True)[: 1 + subproblem.reversible]:
            case = f"search without {rule}, {backwards=}, seed {seed}"
            found, plan = Direction(subproblem, backwards, STATE_RULES - {rule}).search(
                PROHIBITIVE, Limits(60.0)
            )
            value = None if found.value is None else found.value + problem.free_bound
            assert found.complete and value == least, f"{case}: {value}, not {least}"
            assert (plan is None) == (value is None), case
            if plan is not None:
                assert found.bound == found.value == plan.value, f"{case}: {found.bound}, {plan.value}"
                assert bytes_needed(plan) <= subproblem.capacity, case
        spilled += bool(found.value)
    return spilled


def bytes_needed(plan: PartialPlan) -> int:
    """The most bytes that are present at once; the plan fits by bytes where that is within the capacity."""
    subproblem, most = plan.subproblem, 0
    for t, i in enumerate(plan.order):
        present = set(subproblem.touched[i])
        for s, steps in enumerate(plan.steps):
            exists = subproblem.begun[s] or (steps and steps[0] < t)
            needed = subproblem.closing[s] or (steps and steps[-1] > t)
            if exists and needed and plan.inside(s, t + 1):
                present.add(s)
        saved, sources = subproblem.over.get(i, (0, ()))
        if not any(plan.steps[s][-1] == t for s in sources):
            saved = 0
        most = max(most, sum(subproblem.size[s] for s in present) + subproblem.extra[i] - saved)
    return most


def check_frontiers(rule: str | None, seeds: Iterable[int]) -> int:
    """How often loads and stores alone prove more than peaks do; AssertionError where a frontier is above an optimum.

    With frontiers for what costs less than, as much as and far more than the optimum the search, without `rule`, agrees.
    """
    sharper = 0
    for seed in seeds:
        problem = random_problem(seed, "traffic", pins=False)
        least = Oracle(problem).least_traffic()
        if least is None or least == problem.free_bound:
            continue
        value = int(least - problem.free_bound)
        for below in (value, value + 1, PROHIBITIVE):
            engine = Engine(whole(problem), STATE_RULES - {rule})
            assert engine.tabulate(Limits(60.0))
            free = sum(engine.root())
            low = Frontiers(engine).extend(below, Limits(60.0), 1_000_000)
            known = [
                bool(len(points.first))
                for front in engine.fronts[:1]
                for points in (front.loads, front.stores)
            ]
            assert all(known) if low < below else low == below
            found = search_layers(engine, below, Limits(60.0))
            assert low <= value, f"frontiers without {rule}, seed {seed}: {low} is above {value}"
            expected = value if below > value else None
            assert (found.value, found.complete) == (expected, True), (
                f"frontiers without {rule}, seed {seed}: {found}"
            )
        sharper += low > free
    return sharper


def check_chain_bound(seeds: Iterable[int]) -> int:
    """How often what one chain lacks proves something; AssertionError where it is above the optimum."""
    positive = 0
    for seed in seeds:
        problem = random_problem(seed, "traffic", pins=False)
        least, subproblem = Oracle(problem).least_traffic(), whole(problem)
        if least is None:
            continue
        bound = chain_bound(subproblem, Limits(60.0))
        assert bound + problem.free_bound <= least, f"chain, seed {seed}: {bound} is above {least}"
        positive += bound > 0
    return positive


def check_program_without(rule: str, seeds: Iterable[int]) -> int:
    """How many problems `ilp` gets right without its windows or its twins; AssertionError at the first it does not."""
    whole = property(lambda steps: [(0, len(steps.ops) - 1)] * len(steps.ops))
    count = 0
    with patch.object(Steps, rule, {"windows": whole, "twins": []}[rule]):
        for seed in seeds:
            objective = ("peak", "traffic")[seed % 2]
            problem = random_problem(seed, objective)
            wrong = fault("ilp", problem, optimum(problem), solved("ilp", problem))
            assert not wrong, f"ilp without {rule}, {objective}, seed {seed}: {wrong}"
            count += 1
    return count


def main() -> None:
    """Ask engines about many problems; one line each, and an AssertionError at the first fault."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("engines", nargs="*", default=EXACT, metavar="SPEC")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--donate", action="store_true", help="with donated inputs")
    parser.add_argument("--rules", action="store_true", help="leave out each rule instead of asking engines")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.count)
    if args.rules:
        for rule in sorted(RULES):
            print(f"peak search without {rule}: {check_rule(rule, seeds)} graphs agree", flush=True)
        for rule in sorted(STATE_RULES):
            print(
                f"search without {rule}: {args.count} graphs agree, {check_states_without(rule, seeds)} spill",
                flush=True,
            )
        for rule in ("", *sorted(STATE_RULES)):
            print(
                f"frontiers, search without {rule or 'nothing'}: {check_frontiers(rule, seeds)} sharper",
                flush=True,
            )
        print(f"chain bound: {check_chain_bound(seeds)} above 0", flush=True)
        for rule in ("twins", "windows"):
            print(f"ilp without {rule}: {check_program_without(rule, seeds)} graphs agree", flush=True)
        return
    for engine in args.engines:
        begin = time.process_time()
        seen = check(engine, seeds, donate=args.donate)
        words = ", ".join(f"{n} {what}" for what, n in sorted(seen.items()))
        print(
            f"{engine}: {args.count} problems an objective agree: {words}; {time.process_time() - begin:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
