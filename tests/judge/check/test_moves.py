"""Each rule about residencies and copies, broken one way at a time in one small plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from memplan.judge.check.check import check
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Move, Plan, Residency, Status
from tests.programs import program

GRAPH = program("x>a a>b a,b>y")
ROWS = {
    "x": Residency("x", 0, 1, 3, 1),
    "a": Residency("a", 0, 1, 1, 1),
    "a again": Residency("a", 1, 3, 2, 1),
    "b": Residency("b", 1, 3, 0, 1),
    "y": Residency("y", 2, 3, 4, 1),
}
MOVES = {
    "x": Move("load", "x", 0, 0),
    "a": Move("store", "a", 0, 0),
    "a again": Move("load", "a", 1, 1),
    "y": Move("store", "y", 2, 2),
}
PLAN = Plan(GRAPH.name, GRAPH.sha256, Target(), Options(), "t", Status.FEASIBLE, ("op0", "op1", "op2"))


def broken(
    rows: dict[str, Residency | None], moves: dict[str, Move | None], plan: Plan = PLAN
) -> list[tuple[str, int | None]]:
    """Rule and step of what the checker finds once some rows and moves are others, or left out."""
    changed = replace(plan, residencies=_present(ROWS | rows), moves=_present(MOVES | moves))
    return [(v.rule, v.step) for v in check(GRAPH, changed, claims=False)]


def _present(parts: dict[str, Residency] | dict[str, Residency | None] | dict[str, Move | None]) -> tuple:
    return tuple(part for part in parts.values() if part is not None)


def test_the_plan_itself_breaks_nothing() -> None:
    assert broken({}, {}) == []


def test_origins() -> None:
    assert broken({}, {"x": None}) == [("origin", 0)]
    assert broken({}, {"a": None}) == [("origin", 1)]  # what is loaded was never stored
    late = {"a": MOVES["a"]._replace(issue=1, due=1)}
    assert broken({}, late)[0] == ("origin", 1)  # nor before it is loaded
    assert broken({}, {"b": Move("load", "b", 1, 1)}) == [("origin", 1)]  # while it is produced
    assert broken({"b": ROWS["b"]._replace(start=0)}, {"b": Move("load", "b", 0, 0)})[0] == ("origin", 0)
    assert broken({}, {"twice": MOVES["x"]}) == [("origin", 0)]


def test_loads() -> None:
    assert broken({}, {"c": Move("load", "a", 2, 2)}) == [("moves", 2)]  # begins no residency
    assert ("moves", 1) in broken({"b": None}, {"b": Move("load", "b", 1, 1)})


def test_operands() -> None:
    assert broken({"a again": None}, {"a again": None}) == [("operands", 1), ("operands", 2)]
    assert broken({"b": ROWS["b"]._replace(stop=2)}, {}) == [("operands", 2)]
    anywhere = replace(PLAN, target=two_level(direct=True))
    assert broken({"a again": None}, {"a again": None}, anywhere) == []  # served from where it was stored
    assert broken({"a again": None}, {"a again": None, "a": None}, anywhere) == [
        ("operands", 1),
        ("operands", 2),
    ]


def test_stores() -> None:
    assert broken({}, {"b": Move("store", "b", 0, 0)})[0] == ("moves", 0)  # before it is there
    assert broken({}, {"b": Move("store", "b", 2, 2), "c": Move("store", "b", 1, 1)}) == [
        ("moves", 2)
    ]  # twice
    assert broken({}, {"b": Move("store", "x", 0, 0)}) == [("moves", 0)] * 2  # host has it, no op writes it
    assert broken({}, {"y": None}) == [("outputs", 2)]


def test_a_timed_store_takes_a_step_and_a_timed_load_is_due_by_the_first_use() -> None:
    timed = replace(PLAN, options=Options("latency"))
    stores: dict[str, Move | None] = {"a": Move("store", "a", 0, 1), "y": Move("store", "y", 2, 3)}
    later = {"a again": ROWS["a again"]._replace(start=2)}
    anywhere = replace(timed, target=two_level(direct=True))
    good = stores | {"a again": Move("load", "a", 2, 2)}
    assert broken(later, good, anywhere) == []
    assert broken(later, good | {"a": Move("store", "a", 0, 0)}, anywhere) == [("moves", 0)]  # takes no time
    assert broken(later, good | {"a": Move("store", "a", 0, 2)}, anywhere)[0] == (
        "origin",
        2,
    )  # not yet stored
    late = broken(later, good | {"a again": Move("load", "a", 2, 3)}, anywhere)
    assert late == [("moves", 2)]


@pytest.mark.parametrize("left_out", [(), ("a", "a again")])
def test_under_peak_a_spill_is_none_of_the_plans(left_out: Sequence[str]) -> None:
    peak = replace(PLAN, options=Options("peak"))
    rows: dict[str, Residency | None] = {"a": ROWS["a"]._replace(stop=3), "a again": None} if left_out else {}
    expected = [] if left_out else [("peak", 1), ("peak", 0)]
    assert broken(rows, dict.fromkeys(left_out), peak) == expected
