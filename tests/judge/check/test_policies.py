"""What the options allow and ask for, broken one way at a time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from tests.plans import load, over, row, store
from tests.programs import program

INPLACE = program("x>a a>b b>y", inplace="op0 op1 op2")


def plan_of(graph: Graph, options: Options, rows: list[Residency], moves: list[Move], **more: object) -> Plan:
    plan = Plan(
        graph.name, graph.sha256, Target(), options, "t", Status.FEASIBLE, tuple(op.name for op in graph.ops),
        tuple(rows), tuple(sorted(moves, key=lambda m: (m.issue, m.source == "host"))), graph.aliases,
    )  # fmt: skip
    return replace(plan, **more)  # type: ignore[arg-type]


def pairs_of(pairs: dict[str, str]) -> tuple[InPlace, ...]:
    """The pairs, each at the step at which INPLACE writes the output."""
    return over({b: ("abyxz".index(b), a) for b, a in pairs.items()})


def faults(graph: Graph, plan: Plan) -> list[tuple[str, int | None, tuple[str, ...]]]:
    return [(v.rule, v.step, v.tensors) for v in check(graph, plan, claims=False)]


def in_place(pairs: dict[str, str], options: Options, stop_of_a: int = 2, b_at: int = 0) -> Plan:
    """All at one address, one after the other: x, a and b overwritten in turn, y elsewhere."""
    rows = [row("x", 0, 1, 0 if "a" in pairs else 8, 1), row("a", 0, stop_of_a, 0, 1)]
    rows += [row("b", 1, 3, b_at, 1), row("y", 2, 3, 16, 1)]
    return plan_of(INPLACE, options, rows, [load("x", 0), store("y", 3)], inplace=pairs_of(pairs))


def test_an_activation_is_written_over_where_the_options_say_so() -> None:
    asked = Options(inplace=True)
    assert faults(INPLACE, in_place({"b": "a"}, asked)) == []
    rules = {rule for rule, _, _ in faults(INPLACE, in_place({"b": "a"}, Options()))}
    assert rules == {"inplace"}
    assert faults(INPLACE, in_place({"b": "a", "a": "x"}, replace(asked, donate=("x",)))) == []
    assert faults(INPLACE, in_place({"b": "a", "a": "x"}, asked)) == []  # what a load made
    donated = Options(donate=("x",))
    assert faults(INPLACE, in_place({"a": "x"}, donated, b_at=1)) == []
    assert faults(INPLACE, in_place({"a": "x", "b": "a"}, donated)) == [("inplace", 1, ("b", "a"))]


@pytest.mark.parametrize(
    ("pairs", "stop_of_a", "b_at"),
    [({"b": "x"}, 2, 1), ({"b": "z"}, 2, 1), ({"x": "a"}, 2, 1), ({"b": "a"}, 3, 0), ({"b": "a"}, 2, 1),
     ({"b": "a", "y": "a"}, 2, 0)],
)  # fmt: skip
def test_only_what_the_op_may_write_over_where_it_dies_and_at_its_place(
    pairs: dict[str, str], stop_of_a: int, b_at: int
) -> None:
    found = faults(INPLACE, in_place(pairs, Options(inplace=True), stop_of_a, b_at))
    assert "inplace" in {rule for rule, _, _ in found}


def test_what_is_used_later_or_returned_is_not_written_over() -> None:
    again = program("x>a a>b a,b>y", inplace="op1")
    rows = [
        row("x", 0, 1, 8, 1),
        row("a", 0, 2, 0, 1),
        row("b", 1, 3, 0, 1),
        row("y", 2, 3, 16, 1),
    ]
    moves = [load("x", 0), store("y", 3)]
    plan = plan_of(again, Options(inplace=True), rows, moves, inplace=pairs_of({"b": "a"}))
    assert faults(again, plan) == [("operands", 2, ("a",))]
    returned = replace(INPLACE, outputs=("a", "y"))
    plan = in_place({"b": "a"}, Options(inplace=True))
    stored = (plan.moves[0], store("a", 2), plan.moves[1])
    plan = replace(plan, graph_sha256=returned.sha256, moves=stored)
    assert faults(returned, plan) == [("origin", 2, ("a",))]  # it is gone by then


STREAM = program("x,w>a a>b b,w>y")


@pytest.mark.parametrize(
    ("weights", "spans", "steps"),
    [
        ("stream", [(0, 1), (2, 3)], []),
        ("stream", [(0, 3)], [0]),  # it stays
        ("stream", [(0, 2), (2, 3)], [0]),
        ("tensor", [(0, 3)], []),
        ("tensor", [(0, 1), (2, 3)], []),
        ("ignore", [], []),
        ("ignore", [(0, 1)], [None]),
    ],
)
def test_weights_lie_there_as_the_option_says(
    weights: str, spans: list[tuple[int, int]], steps: list[int | None]
) -> None:
    rows = [
        row("x", 0, 1, 0, 1),
        row("a", 0, 2, 1, 1),
        row("b", 1, 3, 2, 1),
        row("y", 2, 3, 3, 1),
    ]
    rows += [row("w", start, stop, 4, 1) for start, stop in spans]
    moves = [load("x", 0), store("y", 3)]
    moves += [load("w", start) for start, _ in spans]
    plan = plan_of(STREAM, Options(weights=weights), rows, moves)
    assert faults(STREAM, plan) == [("weights", step, ("w",)) for step in steps]


@pytest.mark.parametrize(
    ("x", "y", "moved", "wrong"),
    [
        ((0, 1), (2, 3), (), []),
        ((0, 2), (2, 3), (), [("io", 0, ("x",))]),  # not longer than it is read either
        ((0, 1), None, (), [("operands", 2, ("y",)), ("outputs", 2, ("y",)), ("io", 2, ("y",))]),
        ((0, 1), (2, 3), (store("y", 3),), [("io", None, ("y",))]),
    ],
)
def test_the_caller_s_buffers_lie_in_the_arena_as_long_as_they_are_needed(
    x: tuple[int, int],
    y: tuple[int, int] | None,
    moved: tuple[Move, ...],
    wrong: list[tuple[str, int | None, tuple[str, ...]]],
) -> None:
    rows = [row("x", *x, 8, 1), row("a", 0, 2, 0, 1), row("b", 1, 3, 1, 1)]
    rows += [row("y", *y, 16, 1)] if y else []
    plan = plan_of(INPLACE, Options(io="resident"), rows, list(moved))
    assert faults(INPLACE, plan) == wrong


@pytest.mark.parametrize(("span", "right"), [((0, 1), True), ((0, 2), False), (None, False)])
def test_a_workspace_lies_there_during_its_op_alone(span: tuple[int, int] | None, right: bool) -> None:
    tensors = (Tensor("x", 1, "input"), Tensor("a", 1), Tensor("s", 1, "workspace"), Tensor("y", 1))
    ops = (Op("p", "Conv", ("x",), ("a", "s"), workspace="s"), Op("q", "Conv", ("a",), ("y",)))
    graph = Graph("space", tensors, ops, ("y",))
    rows = [row("x", 0, 1, 0, 1), row("a", 0, 2, 1, 1), row("y", 1, 2, 0, 1)]
    rows += [row("s", *span, 2, 1)] if span else []
    plan = plan_of(graph, Options(), rows, [load("x", 0), store("y", 2)])
    assert (("workspace", 0, ("s",)) in faults(graph, plan)) != right
    assert not right or faults(graph, plan) == []
