"""The order of what touches variables."""

from __future__ import annotations

from memplan.tflite.program import parse
from memplan.tflite.state import ANY_VARIABLE, kept_orders, touched
from tests.tflite_models import stateful


def test_reads_and_assignments_of_a_variable_keep_their_order() -> None:
    states = touched(parse(stateful(), "x"))
    kinds = ["CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ADD", "ASSIGN_VARIABLE", "READ_VARIABLE", "RELU"]
    assert [bool(mine) for mine in states] == [kind.endswith(("ONCE", "VARIABLE")) for kind in kinds]
    assert kept_orders(states) == [[], [], [0], [], [0, 2], [4], []]


def test_two_reads_may_change_places_and_two_variables_too() -> None:
    read, write = {"variable 'a'": False}, {"variable 'a'": True}
    assert kept_orders([write, read, read, write]) == [[], [0], [0], [0, 1, 2]]
    assert kept_orders([write, {"variable 'b'": True}]) == [[], []]


def test_a_handle_of_some_variable_may_be_of_any() -> None:
    assert kept_orders([{"variable 'a'": True}, {ANY_VARIABLE: False}, {"tensor 0.1": True}]) == [[], [0], []]
