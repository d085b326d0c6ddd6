"""What happens at each step of a plan, told by hand."""

from __future__ import annotations

from memplan.judge.events import events_of, note
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Plan, Status
from tests.plans import load, over, row, store
from tests.programs import program

GRAPH = program("x>a a>b b>y", inplace="op1")
X, A, B, AGAIN = (
    row("x", 0, 1, 0, 1), row("a", 0, 2, 1, 1), row("b", 1, 2, 1, 1), row("b", 2, 3, 0, 1)
)  # fmt: skip
Y = row("y", 2, 3, 1, 1)
MOVES = (load("x", 0), store("b", 2, 2), load("b", 2), store("y", 3, 3))
PLAN = Plan(
    GRAPH.name, GRAPH.sha256, Target(), Options("latency", inplace=True), "t", Status.FEASIBLE,
    ("op0", "op1", "op2"), (X, A, B, AGAIN, Y), MOVES, inplace=over({"b": (1, "a")}),
)  # fmt: skip


def test_residencies_begin_and_end_and_copies_count_where_they_are_due() -> None:
    events = events_of(PLAN)
    assert events.begins == {0: [X, A], 1: [B], 2: [AGAIN, Y]}
    assert events.ends == {0: [X], 1: [A, B], 2: [AGAIN, Y]}
    assert events.loads == {0: [X], 2: [AGAIN]} and events.stores == {1: ["b"], 2: ["y"]}
    assert events.loaded == {"x", "b"}


def test_a_note_tells_what_the_plan_says_of_an_op_and_nothing_empty() -> None:
    events = events_of(PLAN)
    notes = [note(GRAPH, PLAN, events, op, t) for t, op in enumerate(GRAPH.ops)]
    place = {"memory": "scratchpad", "offset": 1, "size": 1, "start": 0, "stop": 2}
    loaded = {"x": {"memory": "scratchpad", "offset": 0, "size": 1, "start": 0, "stop": 1}}
    assert notes[0] == {"step": 0, "outputs": {"a": place}, "loads": loaded, "frees": ["x"]}
    assert notes[1]["inplace"] == {"b": "a"} and notes[1]["spilled"] == ["b"] and "loads" not in notes[1]
    assert (
        notes[1]["stores"] == ["b"]
        and notes[2]["stores"] == ["y"]
        and list(notes[2]["loads"]) == ["b"]
        and "spilled" not in notes[2]
    )
