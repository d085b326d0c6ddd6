"""When copies are ready, what serves an execution, and what a move reads."""

from __future__ import annotations

from dataclasses import replace

from memplan.judge.copies import HOME, WRITTEN, Copies, Copy
from memplan.judge.plan_view import PlanView
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move
from tests.judge.test_plan_view import GRAPH, MOVES, PLAN, ROWS
from tests.plans import load, row, store


def copies(moves: tuple[Move, ...] = MOVES, **fields: object) -> Copies:
    return Copies(PlanView(GRAPH, replace(PLAN, moves=moves, **fields)))  # type: ignore[arg-type]


def test_what_makes_a_copy_says_when_it_is_ready() -> None:
    found = copies().found
    assert found["x", "host"] == [Copy(0, 0, 4, 4, (HOME,))]
    assert found["x", "scratchpad"] == [Copy(0, 0, 1, 1, (0,), 0)]
    assert found["a", "scratchpad"] == [Copy(0, 1, 2, 2, (WRITTEN,), 4), Copy(2, 2, 3, 3, (2,), 4)]
    assert found["a", "host"] == [Copy(2, 2, 4, 4, (1,))]
    elsewhere = copies(residencies=tuple(r for r in ROWS if r.tensor != "b"))
    assert elsewhere.found["b", "host"] == [Copy(1, 2, 4, 4, (WRITTEN,))]
    assert elsewhere.destinations["b"] == ["host"] and copies().destinations["b"] == ["scratchpad"]


def test_an_execution_is_served_by_the_first_memory_where_a_copy_is_ready() -> None:
    moves = (load("x", 0), store("a", 1, 2), load("a", 2, 3), store("y", 3))
    timed = {"moves": moves, "options": Options("latency")}
    assert copies().served == {"x": ["scratchpad"], "a": ["scratchpad"] * 2, "b": ["scratchpad"]}
    assert copies(**timed, target=two_level(direct=True)).served["a"] == ["scratchpad", "host"]
    assert copies(**timed).served["a"] == ["scratchpad", None]  # under way
    assert copies(residencies=()).served["x"] == [None]


def test_a_move_reads_what_is_ready_or_made_by_one_listed_before() -> None:
    assert copies().sources[1] == Copy(0, 1, 2, 2, (WRITTEN,), 4)
    assert copies().sources[2] == Copy(2, 2, 4, 4, (1,))
    swapped = (MOVES[0], MOVES[2], MOVES[1], MOVES[3])
    assert copies(swapped).sources[1] is None


def test_what_is_overwritten_ends_a_step_sooner_for_moves() -> None:
    rows = (row("a", 0, 2, 4, 4), row("b", 1, 3, 4, 4))
    found = copies((store("a", 2),), residencies=rows, inplace=(InPlace(1, "b", "a"),))
    assert found.found["a", "scratchpad"] == [Copy(0, 1, 2, 1, (WRITTEN,), 4)]
    assert found.served["a"][0] == "scratchpad" and found.sources[0] is None


def test_a_renewed_buffer_ends_where_its_next_value_begins() -> None:
    graph = replace(GRAPH, updates=(("y", "x"),))
    plan = replace(
        PLAN, target=two_level(direct=True), options=Options(donate=("x",)), residencies=(), moves=()
    )
    assert Copies(PlanView(graph, plan)).found["x", "host"] == [Copy(0, 0, 2, 2, (HOME,))]
