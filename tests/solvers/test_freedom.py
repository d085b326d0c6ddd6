"""Who may do more does no worse: in place, donated inputs, any order."""

from __future__ import annotations

import random
from itertools import combinations, count, pairwise

import pytest
from memplan_solvers import portfolio
from memplan_solvers.restricted import less_in_place, value_of

import memplan
from memplan.base.clock import Clock
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from memplan.solving.testing import TIMED
from tests.generate import random_graph
from tests.graphs import graph_of

FREEDOMS = ("inplace", "order", "donate")
SETS = [frozenset(x) for k in range(4) for x in combinations(FREEDOMS, k)]
QUICK = "portfolio{skip=malloc_game+ilp+fixed_order}"


def cost(graph: Graph, objective: str, solver: str, capacity: str, freedoms: frozenset[str]) -> float:
    """What the plan with these freedoms costs, infinite where there is none; `capacity` is that of the program's order."""
    target = TIMED if objective == "latency" else "scratchpad"
    fixed = make_problem(graph, target, scratchpad=capacity, objective=objective, order="program")
    inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
    plan = memplan.plan(
        graph,
        target,
        scratchpad="max" if fixed.capacity is None else fixed.capacity,
        objective=objective,
        solver=solver,
        time_limit_s=60,
        workers=1,
        inplace="inplace" in freedoms,
        order="free" if "order" in freedoms else "program",
        donate=inputs if "donate" in freedoms else (),
    )
    return float("inf") if plan.status in (Status.INFEASIBLE, Status.UNKNOWN) else float(plan.value or 0)


def compared(graph: Graph, objective: str, solver: str, capacity: str) -> int:
    """How often one more freedom cost less, whatever there was before; AssertionError where it cost more."""
    costs = {freedoms: cost(graph, objective, solver, capacity, freedoms) for freedoms in SETS}
    steps = [(less, less | {more}) for less in SETS for more in FREEDOMS if more not in less]
    for less, more in steps:
        assert costs[more] <= costs[less] * (1 + 1e-9), (graph.name, objective, solver, less, more, costs)
    return sum(costs[more] < costs[less] for less, more in steps)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["traffic", "peak", "latency"])
@pytest.mark.parametrize("solver", ["greedy", QUICK])
def test_more_freedom_is_never_worse_on_random_graphs(objective: str, solver: str) -> None:
    """Graphs of a few ops, on which the solvers end by themselves long before the time is up."""
    few = solver != "greedy"
    gains = 0
    for seed in range(2 if few else 12):
        graph = random_graph(random.Random(seed), 7 if few else 12)
        gains += compared(graph, objective, solver, "max" if objective == "peak" else "MR")
    assert gains


def cut_after(asks: int) -> Limits:
    """Limits that are spent once they have been asked so often whether they are."""
    asked = count()
    return Limits(1e6, cancel=lambda: next(asked) >= asks)


def test_greedy_that_is_cut_has_done_what_it_would_have_done_with_less_freedom() -> None:
    cut = 0
    for seed in range(6):
        graph = random_graph(random.Random(seed), 20)
        inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
        fixed = make_problem(graph, scratchpad="MR")
        free = make_problem(graph, scratchpad=fixed.capacity, inplace=True, donate=inputs)
        for asks in (1, 3, 10, 30, 100):
            values = []
            for problem in (fixed, free):
                limits = cut_after(asks)
                values.append(value_of(problem, parse_spec("greedy").solve(problem, limits)))
                cut += limits.cancelled()
            assert values[1] <= values[0], (seed, asks)
    assert cut


class CountedWork(Clock):
    """A clock by which time goes by as it is asked for: the same work takes the same time."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    @property
    def seconds(self) -> float:
        self.asked += 1
        return self.asked / 1000


@pytest.mark.slow(reason="plans many graphs")
def test_the_portfolio_that_is_cut_has_done_what_it_would_have_done_with_less_freedom() -> None:
    cut = 0
    for seed in range(6):
        graph = random_graph(random.Random(seed), 30)
        inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
        fixed = make_problem(graph, scratchpad="MR")
        free = make_problem(graph, scratchpad=fixed.capacity, inplace=True, donate=inputs)
        for seconds in (0.02, 0.1, 0.3):
            values = []
            for problem in (fixed, free):
                limits = Limits(seconds, clock=CountedWork())
                values.append(value_of(problem, parse_spec("portfolio{skip=ilp}").solve(problem, limits)))
                cut += limits.spent()
            assert values[1] <= values[0], (seed, seconds)
    assert cut


def test_the_portfolio_knows_the_programs_order_where_its_parts_choose_a_worse_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    part, met = "baseline{schedule=peak}", 0
    monkeypatch.setitem(portfolio.ROUNDS, "traffic", (portfolio.Round(1.0, (part,)),))
    for seed in range(30, 50):
        graph = random_graph(random.Random(seed), 10)
        free, ordered = (cost(graph, "traffic", part, "MR", x) for x in (frozenset({"order"}), frozenset()))
        assert cost(graph, "traffic", "portfolio", "MR", frozenset({"order"})) == min(free, ordered)
        met += ordered < free
    assert met


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["traffic", "peak", "latency"])
@pytest.mark.parametrize("solver", ["greedy", QUICK])
def test_more_freedom_is_never_worse_on_many_random_graphs(objective: str, solver: str) -> None:
    gains = 0
    for seed in range(200, 220 if solver != "greedy" else 250):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(4, 9 if solver != "greedy" else 20))
        capacity = "max" if objective == "peak" else rng.choice(("MR", "MH"))
        gains += compared(graph, objective, solver, capacity)
    assert gains


@pytest.mark.slow(reason="plans whole nets eight times")
@pytest.mark.parametrize("objective", ["traffic", "peak", "latency"])
@pytest.mark.parametrize(
    ("name", "solver"),
    [
        ("resnet8_int8", "greedy"),
        ("ds_cnn_int8", "greedy"),
        ("tc_resnet8", "greedy"),
        ("resnet8_int8", QUICK),
    ],
)
def test_more_freedom_is_never_worse_on_nets(name: str, solver: str, objective: str) -> None:
    compared(memplan.load(name).graph, objective, solver, "max" if objective == "peak" else "MR")


def test_every_lack_of_freedom_that_makes_a_difference_is_tried_once() -> None:
    names, kinds = "xabc", ("input", "activation", "activation", "output")
    tensors = tuple(Tensor(name, 4, kind, "int8", (4,)) for name, kind in zip(names, kinds, strict=True))
    ops = tuple(Op(f"relu {y}", "Relu", (x,), (y,)) for x, y in pairwise(names))
    graph = graph_of("relus", tensors, ops)

    def tried(**options: object) -> list[tuple[str, bool, tuple[str, ...]]]:
        problem = make_problem(graph, io="resident", **options)  # type: ignore[arg-type]
        return [(o.order, o.inplace, o.donate) for o in (less.options for less in less_in_place(problem))]

    everything = [("free", True, ("x",)), *tried(inplace=True, donate=["x"])]
    assert len(everything) == len(set(everything)) == 4
    assert tried(inplace=True, order="program") == [("program", False, ())]
    assert not tried() and not tried(order="program")
    assert not tried(inplace=True, donate=["x"], scratchpad=7), "nothing less has room"
