"""A plan seen from its storages: merged residencies, who writes and reads what, where each is at home."""

from __future__ import annotations

from dataclasses import replace

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.plan_view import Part, PlanView
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Move, Plan, Residency, Status
from tests.plans import load, row, store
from tests.programs import program

GRAPH = program("x>a a>b a,b>y", {"x": 4, "a": 4, "b": 4, "y": 4})
ROWS = (
    row("x", 0, 1, 0, 4),
    row("a", 0, 1, 4, 4),
    row("a", 1, 2, 4, 4),  # the same place: one residency
    row("b", 1, 3, 0, 4),
    row("a", 2, 3, 4, 4),  # the same place, but loaded anew
    row("y", 2, 3, 8, 4),
)
MOVES = (load("x", 0), store("a", 2), load("a", 2), store("y", 3))
PLAN = Plan(
    GRAPH.name, GRAPH.sha256, Target(), Options(), "t", Status.FEASIBLE, ("op0", "op1", "op2"), ROWS, MOVES
)


def view(rows: tuple[Residency, ...] = ROWS, moves: tuple[Move, ...] = MOVES, **options: str) -> PlanView:
    return PlanView(GRAPH, replace(PLAN, residencies=rows, moves=moves, options=Options(**options)))  # type: ignore[arg-type]


def test_rows_that_meet_at_one_place_are_one_residency_unless_a_move_comes_between() -> None:
    assert view().residencies["a", "scratchpad"] == [row("a", 0, 2, 4, 4), row("a", 2, 3, 4, 4)]
    assert view(moves=MOVES[:2]).residencies["a", "scratchpad"] == [row("a", 0, 3, 4, 4)]
    apart = tuple(r._replace(offset=16) if r == ROWS[2] else r for r in ROWS)
    assert [r.start for r in view(apart).residencies["a", "scratchpad"]] == [0, 1, 2]


def test_an_execution_that_writes_again_begins_a_residency() -> None:
    again = replace(PLAN, schedule=("op0", "op0", "op1", "op2"), options=Options(recompute=2))
    found = PlanView(GRAPH, replace(again, residencies=ROWS[1:3], moves=()))
    assert [r.start for r in found.residencies["a", "scratchpad"]] == [0, 1]
    assert found.steps["op0"] == [0, 1] and found.begins["a"] == {0: 1, 1: 2}


def test_who_makes_and_uses_what_and_when() -> None:
    found = view()
    assert found.written == {"a": [0], "b": [1], "y": [2]}
    assert found.uses == {"x": [0], "a": [1, 2], "b": [2]}


def test_homes() -> None:
    assert [view().home(s) for s in "xy"] == ["host", "host"]
    assert [view(io="resident").home(s) for s in "xy"] == ["scratchpad", "scratchpad"]
    outside = view(io="external")
    assert outside.is_callers("x") and not outside.is_callers("a") and not outside.is_placeable("y")
    assert [view().role(s) for s in "xay"] == ["inputs", "activations", "outputs"]


def test_parts_of_a_joined_output_that_is_a_part_itself_lie_in_the_outermost() -> None:
    tensors = (Tensor("x", 1, "input"), *(Tensor(s, 1) for s in "abc"), Tensor("ab", 2), Tensor("abc", 3))
    ops = (
        *(Op(f"make {s}", "Conv", ("x",), (s,)) for s in "bac"),
        Op("inner", "Concat", ("a", "b"), ("ab",), joins=(("a", 0), ("b", 1))),
        Op("outer", "Concat", ("ab", "c"), ("abc",), joins=(("ab", 0), ("c", 2))),
    )
    graph = Graph("nested", tensors, ops, ("abc",))
    schedule = tuple(op.name for op in ops)
    plan = replace(PLAN, schedule=schedule, residencies=(), moves=(), joined=("inner", "outer"))
    found = PlanView(graph, plan)
    assert found.parts == {
        "a": Part("abc", 0),
        "b": Part("abc", 1),
        "ab": Part("abc", 0),
        "c": Part("abc", 2),
    }
    assert found.begins == {"abc": {0: 5}} and set(found.uses) == {"x"}
