"""Joined operands fill the result side by side, or the op joins nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from memplan.ir.graph import Graph
from memplan.ir.joins import joining_fault
from memplan.ir.parts import Op, Tensor

X, A, B, Y = Tensor("x", 8, "input"), Tensor("a", 6), Tensor("b", 4), Tensor("y", 10)
MAKE = (Op("p", "Conv", ("x",), ("a",)), Op("q", "Conv", ("x",), ("b",)))
CAT = Op("cat", "Concat", ("a", "b"), ("y",), joins=(("a", 0), ("b", 6)))
TENSORS = {t.name: t for t in (X, A, B, Y, Tensor("v", 4, place=("x", 0)), Tensor("z", 0))}
ROOT = {name: name for name in TENSORS} | {"v": "x"}


def test_parts_tile_the_result_in_any_order() -> None:
    graph = Graph("g", (X, A, B, Y), (*MAKE, CAT), ("y",))
    assert graph.ops[2].joins == (("a", 0), ("b", 6))
    turned = replace(CAT, joins=(("b", 0), ("a", 4)))
    assert joining_fault(TENSORS, ROOT, turned) == ""
    assert joining_fault(TENSORS, ROOT, replace(turned, joins=(("a", 4), ("b", 0)))) == ""
    empty = replace(CAT, inputs=("a", "z", "b"), joins=(("a", 0), ("z", 6), ("b", 6)))
    assert joining_fault(TENSORS, ROOT, empty) == ""


@pytest.mark.parametrize(
    ("op", "words"),
    [
        (replace(CAT, view=True), "one result to a place of its own"),
        (replace(CAT, outputs=("y", "z")), "one result to a place of its own"),
        (replace(CAT, inputs=("a",)), "'b' is no operand of it"),
        (replace(CAT, inputs=("a", "v"), joins=(("a", 0), ("v", 6))), "'v' lies in 'x'"),
        (replace(CAT, joins=(("a", 0), ("a", 6))), "an operand is there twice"),
        (replace(CAT, joins=(("a", 0), ("b", 5))), "'b' begins at byte 5, what is before it ends at byte 6"),
        (replace(CAT, joins=(("a", 0), ("b", 7))), "'b' begins at byte 7, what is before it ends at byte 6"),
        (replace(CAT, joins=(("a", 0),)), "its parts have 6 bytes, 'y' has 10"),
    ],
)
def test_what_does_not_make_up_the_result_is_found(op: Op, words: str) -> None:
    assert words in joining_fault(TENSORS, ROOT, op)
