"""The conformance suite for solvers: run `memplan.testing.check_solver("mine")` in your tests.

It asks nothing about quality, only what every caller relies on: valid plans under every policy,
true bounds and statuses, determinism, the time limit and cancellation.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace

from memplan.base.clock import Clock
from memplan.base.errors import InvalidPlanError, MemplanError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import CHOICES, Options
from memplan.problem.plan import Plan, Status, without_times
from memplan.problem.problem import Problem
from memplan.solving.capacities import least_capacity
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from memplan.solving.solver import Solver

NO_PLAN = (Status.INFEASIBLE, Status.UNKNOWN)
ROUNDING = 1e-9
"""Relative difference between two sums of the same seconds."""

TIMED = two_level(
    "conformance",
    Memory("scratchpad", bandwidth=4e9),
    Memory("host", bandwidth=1e9),
    direct=True,
    compute=Compute(1e9),
)
PINS: tuple[dict[str, str], ...] = (
    {"a": "keep"}, {"a": "keep", "b": "keep"}, {"b": "@0"}, {"a": "keep@8", "b": "@0", "c": "@12"}, {"y": "@2"},
)  # fmt: skip
PINS_TO_HOST: tuple[dict[str, str], ...] = (
    {"a": "host"},
    {"x": "host", "b": "keep@4"},
    {"y": "host", "a": "host"},
)


TRIES = 3
"""How often a solver may miss the time limit: a busy machine is not its fault."""


SAMPLE_S = 0.1
"""Seconds of work by which it is measured how busy the machine is."""


class ConformanceError(AssertionError):
    """A solver broke one of the suite's promises; the message names the check and the case."""


def check_solver(solver: str | Solver, time_limit_s: float = 60.0) -> int:
    """Run every check on `solver` (a spec string or an instance); how many problems it was given.

    ConformanceError names the first check that fails.
    """
    chosen = parse_spec(solver)
    count = 0
    for case, problem, optimum in problems(chosen):
        count += 1
        limits = Limits(time_limit_s=time_limit_s, workers=1, seed=7)
        before = (problem.graph.sha256, problem.target, problem.options)
        plan = _solve(chosen, problem, limits, case)
        if (problem.graph.sha256, problem.target, problem.options) != before:
            raise ConformanceError(f"{case}: the problem was changed")
        again = _solve(chosen, problem, Limits(time_limit_s=time_limit_s, workers=1, seed=7), case)
        _same(case, plan, again)
        _true(case, problem, plan, optimum)
    _check_limits(chosen)
    return count


def machine(solver: Solver, objective: str) -> Target:
    """The machine for which the solver is asked: one whose ops use the backing memory too, where latency asks
    for that or the solver does.
    """
    return TIMED if objective == "latency" or "scratchpad" not in solver.supports.operands else Target()


def problems(solver: Solver) -> Iterator[tuple[str, Problem, float | None]]:
    """Named problems that `solver` supports and must answer, each with its optimum where that is known."""
    for case, problem, optimum in itertools.chain(_treated(solver), pinned_problems(solver)):
        if not solver.lacks(problem):
            yield case, problem, optimum


def _treated(solver: Solver) -> Iterator[tuple[str, Problem, float | None]]:
    """Every graph under every policy, without a limit and at the least capacity."""
    for graph in graphs():
        for weights, io, inplace, order in itertools.product(
            ("ignore", "tensor", "stream"), CHOICES["io"], (False, True), ("free", "program")
        ):
            for objective in sorted(solver.supports.objectives):
                options = Options(objective, weights, io, inplace, order)
                target = machine(solver, objective)
                wide = Problem(graph, target, options)
                least = max(least_capacity(wide), wide.min_capacity, 1)
                for capacity in dict.fromkeys((None, least)):
                    problem = replace(wide, target=target.with_scratchpad(capacity))
                    words = f"{graph.name}, {objective}, weights {weights}, io {io}, inplace {inplace}, order {order}"
                    optimum = None
                    if objective == "traffic" and capacity is None:
                        optimum = wide.free_bound  # nothing has to be spilled
                    yield f"{words}, capacity {capacity}", problem, optimum


def pinned_problems(solver: Solver) -> Iterator[tuple[str, Problem, float | None]]:
    """Problems with pins that leave a plan, at the least capacity that does."""
    diamond = next(graph for graph in graphs() if graph.name == "diamond")
    for objective, io in itertools.product(sorted(solver.supports.objectives), ("host", "resident")):
        target = machine(solver, objective)
        for pins in PINS + (PINS_TO_HOST if target.direct else ()):
            if io == "resident" and "host" in (pins.get("x"), pins.get("y")):
                continue
            wide = Problem(diamond, target, Options(objective, io=io, pins=pins))
            for capacity in (None, wide.min_capacity + 8):
                problem = replace(wide, target=target.with_scratchpad(capacity))
                yield f"diamond, {objective}, io {io}, pins {pins}, capacity {capacity}", problem, None


def graphs() -> list[Graph]:
    """Small graphs with one difficulty each."""

    def tensor(name: str, nbytes: int, kind: str = "activation") -> Tensor:
        return Tensor(name, nbytes, kind, "int8", (nbytes,))

    x = tensor("x", 4, "input")
    w = tensor("w", 3, "constant")
    return [
        Graph("empty", (), ()),
        Graph("one op", (x, w, tensor("y", 2)), (Op("a", "Conv", ("x", "w"), ("y",), 8),), ("y",)),
        Graph(
            "zero bytes",
            (x, tensor("z", 0), tensor("y", 1)),
            (Op("a", "Conv", ("x",), ("z",)), Op("b", "Conv", ("z",), ("y",))),
            ("y",),
        ),
        Graph(
            "diamond",
            (x, tensor("a", 4), tensor("b", 8), tensor("c", 2), tensor("y", 4)),
            (
                Op("p", "Relu", ("x",), ("a",), overwrites=(("a", "x"),)),
                Op("q", "Conv", ("a",), ("b",)),
                Op("r", "Conv", ("a",), ("c",)),
                Op("s", "Add", ("b", "c"), ("y",)),
            ),
            ("y",),
        ),
        Graph(
            "several outputs",
            (x, tensor("a", 2), tensor("b", 2), tensor("dead", 5), tensor("y", 2)),
            (
                Op("p", "Split", ("x",), ("a", "b", "dead")),
                Op("q", "Relu", ("a",), ("y",), overwrites=(("y", "a"),)),
            ),
            ("b", "y"),
        ),
        Graph(
            "view",
            (x, w, tensor("v", 4), tensor("a", 4), tensor("u", 4)),
            (
                Op("p", "Reshape", ("x",), ("v",), view=True),
                Op("q", "Conv", ("v", "w"), ("a",)),
                Op("r", "Flatten", ("a",), ("u",), view=True),
            ),
            ("u",),
        ),
        Graph(
            "returned input and workspace",
            (x, tensor("a", 4), tensor("scratch", 5, "workspace"), tensor("y", 4)),
            (
                Op("p", "Conv", ("x",), ("a", "scratch"), workspace="scratch"),
                Op("q", "Relu", ("a",), ("y",), overwrites=(("y", "a"),)),
            ),
            ("x", "y"),
        ),
        Graph(
            "one op after another",  # the other way round is better by bytes
            (x, tensor("z", 1, "input"), tensor("a", 8), tensor("b", 1), tensor("y", 4)),
            (
                Op("p", "Conv", ("z",), ("a",)),
                Op("q", "Conv", ("x",), ("b",), after=("p",)),
                Op("r", "Conv", ("a", "b"), ("y",)),
            ),
            ("y",),
        ),
        Graph(
            "weights used twice",
            (x, w, tensor("a", 6), tensor("b", 6), tensor("y", 4)),
            (
                Op("p", "Conv", ("x", "w"), ("a",)),
                Op("q", "Relu", ("a",), ("b",), overwrites=(("b", "a"),)),
                Op("r", "Conv", ("b", "w", "x"), ("y",)),
            ),
            ("y",),
        ),
    ]


def chain(ops: int) -> Graph:
    """A long graph with skip connections: work for as long as anybody likes."""
    tensors = [Tensor("t0", 64, "input")]
    made = []
    for i in range(1, ops + 1):
        tensors.append(Tensor(f"t{i}", 32 + (37 * i) % 64))
        skip = f"t{(i * 2654435761 >> 7) % i}"
        made.append(Op(f"op{i}", "Add", tuple(dict.fromkeys((f"t{i - 1}", skip))), (f"t{i}",)))
    return Graph(f"chain{ops}", tuple(tensors), tuple(made), (f"t{ops}",))


def _solve(solver: Solver, problem: Problem, limits: Limits, case: str) -> Plan:
    try:
        return evaluate(problem.graph, solver.solve(problem, limits))
    except InvalidPlanError as error:
        raise ConformanceError(f"{case}: {error}") from error
    except MemplanError as error:
        raise ConformanceError(f"{case}: the solver refused a fair problem: {error}") from error


def _same(case: str, plan: Plan, again: Plan) -> None:
    if without_times(plan) != without_times(again):
        raise ConformanceError(f"{case}: two runs with the same seed gave different plans")


def _true(case: str, problem: Problem, plan: Plan, optimum: float | None) -> None:
    capacity = problem.capacity
    fits = capacity is None or problem.min_capacity <= capacity
    if plan.status is Status.INFEASIBLE and fits and capacity is None:
        raise ConformanceError(f"{case}: called infeasible without a limit")
    if plan.status in NO_PLAN:
        easy = problem.options.io == "host" and problem.options.objective == "traffic"
        if easy and fits:
            raise ConformanceError(f"{case}: no plan, though one exists wherever each op fits")
        return
    if plan.bound < problem.free_bound * (1 - ROUNDING):
        raise ConformanceError(f"{case}: bound {plan.bound} below the free bound {problem.free_bound}")
    if optimum is not None and plan.value is not None and plan.bound > optimum:
        raise ConformanceError(f"{case}: bound {plan.bound} above the optimum {optimum}")


def slowdown() -> float:
    """How many seconds of a limit pass for one of this thread's work: 1 on an idle machine, more beside busy processes."""
    clock, worked = Clock(), time.thread_time()
    while time.thread_time() - worked < SAMPLE_S:
        pass
    return max(1.0, clock.seconds / SAMPLE_S)


def _check_limits(solver: Solver) -> None:
    """The time limit within 10 % + 1 s of work, and an answer soon after a cancellation."""
    objective = max(solver.supports.objectives)
    target = machine(solver, objective)
    wide = Problem(chain(2000), target, Options(objective))
    problem = replace(wide, target=target.with_scratchpad(max(wide.min_capacity, 2000)))
    limit = 1.0
    for what, seconds, cancel in (("time limit", limit, None), ("cancellation", 60.0, lambda: True)):
        beyond = list[float]()
        while len(beyond) < TRIES and min(beyond, default=9.0) > 1.0:
            before, limits = slowdown(), Limits(time_limit_s=seconds, cancel=cancel)
            plan = solver.solve(problem, limits)
            spent = limits.seconds  # what is compiled, once on a machine, left out
            beyond.append((spent - 1.1 * limit) / max(before, slowdown()))
            if plan.status in NO_PLAN and plan.schedule:
                raise ConformanceError(f"{what}: a plan that is {plan.status} carries a schedule")
        if min(beyond) > 1.0:
            raise ConformanceError(f"{what}: {min(beyond):.1f} s were spent beyond the {limit} s allowed")
