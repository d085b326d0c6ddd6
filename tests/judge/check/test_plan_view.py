"""A plan seen from its storages: joined residencies, and when host has a copy."""

from __future__ import annotations

from memplan.judge.check.plan_view import PlanView, Violation
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


def view(rows: tuple[Residency, ...] = ROWS, moves: tuple[Move, ...] = MOVES, **options: str) -> PlanView:
    schedule = tuple(op.name for op in GRAPH.ops)
    plan = Plan(
        GRAPH.name, GRAPH.sha256, Target(), Options(**options), "t", Status.FEASIBLE, schedule, rows, moves
    )
    return PlanView(GRAPH, plan)


def test_rows_that_meet_at_one_place_are_one_residency_unless_a_load_comes_between() -> None:
    found = view().residencies
    assert found["a"] == [row("a", 0, 2, 4, 4), row("a", 2, 3, 4, 4)]
    assert view(moves=MOVES[:2]).residencies["a"] == [row("a", 0, 3, 4, 4)]
    apart = tuple(r._replace(offset=16) if r == ROWS[2] else r for r in ROWS)
    assert [r.start for r in view(apart).residencies["a"]] == [0, 1, 2]


def test_where_a_storage_lies_at_a_step() -> None:
    found = view()
    assert [found.at("b", t) for t in range(3)] == [None, ROWS[3], ROWS[3]]
    assert [found.at("x", t) for t in range(3)] == [ROWS[0], None, None]
    assert found.at("z", 0) is None


def test_who_makes_and_uses_what_and_when() -> None:
    found = view()
    assert found.produced == {"a": 0, "b": 1, "y": 2} and found.uses == {"x": [0], "a": [1, 2], "b": [2]}
    assert found.stored == {"a": 2, "y": 3} and [m.issue for m in found.loads["a"]] == [2]


def test_host_has_what_it_was_given_what_was_stored_and_what_was_made_there() -> None:
    found = view()
    assert [found.host_copy("x", t, inclusive=False) for t in range(3)] == [True] * 3
    assert [found.host_copy("a", t, inclusive=False) for t in range(4)] == [False, False, False, True]
    assert found.host_copy("a", 2) and not found.host_copy("a", 1)
    assert not found.host_copy("b", 3)
    elsewhere = view(tuple(r for r in ROWS if r.tensor != "b"))
    assert [elsewhere.host_copy("b", t, inclusive=False) for t in range(1, 3)] == [False, True]


def test_the_caller_s_buffers_lie_in_the_arena_and_nowhere_in_host() -> None:
    found = view(io="resident")
    assert [found.resident_io(name) for name in "xaby"] == [True, False, False, True]
    assert not found.host_copy("x", 2) and view().resident_io("x") is False


def test_a_violation_says_where() -> None:
    assert str(Violation("space", "it hurts", 3)) == "space: it hurts (step 3)"
    assert str(Violation("space", "it hurts")) == "space: it hurts"
