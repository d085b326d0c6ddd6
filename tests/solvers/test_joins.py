"""Solvers that join ops: which they choose, what becomes of residencies, and agreement with brute force."""

from __future__ import annotations

from dataclasses import replace

import pytest
from memplan_solvers.improve import Answer
from memplan_solvers.joins import conflicts, joining, most, relaxed, undecided
from memplan_solvers.residency import materialise

import memplan
from memplan import make_problem
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.freedoms import as_asked
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.agree_joins import check as agree
from tests.generate import TIMED


def shared() -> Graph:
    """x -> r -> a, x -> b, x -> d; c = a beside b; e = b beside d, larger; c -> u, e, u -> y: b can lie in one of them."""
    sizes = {"x": 1, "r": 1, "a": 1, "b": 4, "d": 8, "c": 5, "e": 12, "u": 1, "y": 1}
    tensors = tuple(Tensor(s, n, "input" if s == "x" else "activation") for s, n in sizes.items())
    ops = (
        Op("r", "Conv", ("x",), ("r",)),
        Op("a", "Relu", ("r",), ("a",), overwrites=(("a", "r"),)),
        Op("b", "Conv", ("x",), ("b",)),
        Op("c", "Concat", ("a", "b"), ("c",), joins=(("a", 0), ("b", 1))),
        Op("u", "Conv", ("c",), ("u",)),
        Op("d", "Conv", ("x",), ("d",)),
        Op("e", "Concat", ("b", "d"), ("e",), joins=(("b", 0), ("d", 4))),
        Op("y", "Conv", ("e", "u"), ("y",)),
    )
    return Graph("shared", tensors, ops, ("y",))


def posed(**options: object) -> Problem:
    return Problem(shared(), memplan.Target(), Options("peak", join=True, **options))  # type: ignore[arg-type]


def test_what_is_a_part_of_two_lies_in_one() -> None:
    problem = posed()
    assert conflicts(problem) == {"c": {"e"}, "e": {"c"}}
    assert most(problem) == ("e",)
    assert undecided(problem, (), ()) == ("c", "e") and undecided(problem, ("c",), ()) == ()
    assert undecided(problem, (), ("c",)) == ("e",)
    assert (relaxed(problem, ("c",)).joined, relaxed(problem, ("c",)).scattered) == (("c",), ())


def test_what_may_lie_in_several_places_before_it_is_joined_stays_scattered() -> None:
    problem = posed(inplace=True)
    less = relaxed(problem, ("c",))  # r lies where a will: its place in c is taken from when r is written
    assert (less.joined, less.scattered) == (("c",), ("c",))
    sizes = {s.name: (s.size, s.touches) for s in less.storages}
    assert sizes["c"] == (4, (1, 2, 3, 4, 6)) and sizes["r"] == (1, (0, 1, 2, 3, 4, 6))
    ops = tuple(
        replace(op, inputs=("r", "x"), overwrites=(("a", "r"), ("a", "x"))) if op.name == "a" else op
        for op in problem.graph.ops
    )
    either = relaxed(replace(problem, graph=replace(problem.graph, ops=ops)), ("c",))
    assert (either.joined, either.scattered) == ((), ("c",))


@pytest.mark.parametrize("solver", ["greedy", "peak", "portfolio"])
def test_the_better_of_two_choices_is_found(solver: str) -> None:
    options = {"objective": "peak", "solver": solver, "workers": 1}
    apart = memplan.plan(shared(), **options)  # type: ignore[arg-type]
    plan = memplan.plan(shared(), join=True, **options)  # type: ignore[arg-type]
    assert (apart.value, plan.value, plan.joined) == (25, 18, ("e",))
    assert plan.bound == (18 if solver != "greedy" else plan.bound)


@pytest.mark.parametrize("solver", ["greedy", "search", "peak", "portfolio"])
def test_what_fits_only_where_ops_are_joined_needs_no_spill(solver: str) -> None:
    limits = {"scratchpad": 18, "solver": solver, "workers": 1}
    assert memplan.plan(shared(), **limits).status is Status.INFEASIBLE  # type: ignore[arg-type]
    plan = memplan.plan(shared(), join=True, **limits)  # type: ignore[arg-type]
    assert (plan.status, plan.value, plan.joined) == (Status.OPTIMAL, 0, ("e",))


def test_an_operand_lies_in_the_place_of_the_part_that_is_written_over_it() -> None:
    problem = joining(posed(inplace=True), ("c",))
    plan = _greedy(problem)
    assert plan.inplace == (InPlace(plan.schedule.index("a"), "a", "r"),)
    rows = {r.tensor: r for r in plan.residencies}
    assert rows["r"].offset == rows["c"].offset and rows["r"].stop == plan.schedule.index("a") + 1
    assert evaluate(problem.graph, as_asked(posed(inplace=True), plan)).joined == ("c",)


def _greedy(problem: Problem) -> Plan:
    return parse_spec("greedy").solve(problem, Limits())


@pytest.mark.parametrize("chosen", [("c",), ("e",)])
def test_a_plan_with_joined_ops_is_read_back(chosen: tuple[str, ...]) -> None:
    problem = joining(posed(inplace=True), chosen)
    plan = _greedy(problem)
    answer = Answer.of_plan(problem, plan)
    assert answer is not None and plan.joined == chosen
    residencies, moves, inplace = materialise(answer.walk, answer.blocks, answer.offsets)
    assert (sorted(residencies), tuple(moves), sorted(inplace)) == (
        sorted(plan.residencies),
        plan.moves,
        sorted(plan.inplace),
    )
    assert Answer.of_plan(posed(inplace=True), plan) is None


def test_latencies_are_planned_without_joins_and_claim_no_more_than_is_free() -> None:
    plan = memplan.plan(shared(), TIMED, objective="latency", join=True, solver="greedy", workers=1)
    assert plan.schedule and not plan.joined and plan.options.join
    assert plan.bound <= plan.value  # type: ignore[operator]


def test_where_nothing_can_be_joined_the_proof_holds() -> None:
    graph = shared()
    bare = replace(graph, ops=tuple(replace(op, joins=()) for op in graph.ops))
    plan = memplan.plan(bare, objective="peak", join=True, solver="peak", workers=1)
    assert plan.status is Status.OPTIMAL and plan.options.join


@pytest.mark.slow(reason="plans many graphs")
@pytest.mark.parametrize(
    ("solver", "objective"), [("greedy", "peak"), ("greedy", "traffic"), ("search", "traffic")]
)
def test_they_agree_with_brute_force(solver: str, objective: str) -> None:
    seen = agree(solver, objective, range(40, 140))
    assert seen["joined"] and seen["better"] and seen["optimal"]


def test_what_stands_for_an_output_may_be_written_over() -> None:
    assert sum(agree("search", "traffic", range(9524, 9525)).values())


@pytest.mark.slow(reason="a long loop over seeds")
@pytest.mark.parametrize(
    ("solver", "objective"), [("greedy", "peak"), ("greedy", "traffic"), ("search", "traffic")]
)
def test_they_agree_with_brute_force_at_length(solver: str, objective: str) -> None:
    assert agree(solver, objective, range(120, 800))["optimal"] > 150


def _spilled_between() -> Graph:
    """J joins a and b and is read at once and in the end; between, two ops need all the bytes that there are."""
    sizes = {"x": 1, "a": 4, "b": 4, "J": 8, "c": 1, "d": 8, "e": 1, "y": 1}
    tensors = tuple(Tensor(name, n, "input" if name == "x" else "activation") for name, n in sizes.items())
    ops = (
        Op("left", "Conv", ("x",), ("a",)),
        Op("right", "Conv", ("x",), ("b",)),
        Op("join", "Concat", ("a", "b"), ("J",), joins=(("a", 0), ("b", 4))),
        Op("read", "Conv", ("J",), ("c",)),
        Op("grow", "Conv", ("c",), ("d",)),
        Op("shrink", "Conv", ("d",), ("e",)),
        Op("last", "Conv", ("J", "e"), ("y",)),
    )
    return Graph("g", tensors, ops, ("y",))


def test_a_joined_result_leaves_once_it_is_joined() -> None:
    problem = make_problem(_spilled_between(), join=True, scratchpad=12)
    plan = evaluate(problem.graph, parse_spec("greedy").solve(problem, Limits(60)))
    assert plan.joined == ("join",) and plan.value == 2 * 8
    assert [r.start for r in plan.residencies if r.tensor == "J"] == [0, 6]


def test_an_op_that_fits_neither_way_leaves_no_plan() -> None:
    wider = replace(_spilled_between(), tensors=(Tensor("x", 3, "input"), *_spilled_between().tensors[1:]))
    problem = make_problem(wider, join=True, scratchpad=10)
    assert problem.min_capacity <= 10  # 11 while x is read if it is joined, 16 if it is not
    plan = parse_spec("greedy").solve(problem, Limits(60))
    assert plan.status is Status.INFEASIBLE and "'join'" in plan.reason
