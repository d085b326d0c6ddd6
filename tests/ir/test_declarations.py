"""What users declare of kinds of ops: words that contradict each other, amounts, and what an op becomes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from memplan.base.errors import GraphError, OptionError
from memplan.ir import declarations
from memplan.ir.declarations import completed, declare_op
from memplan.ir.parts import Op, Tensor

TENSORS = {
    t.name: t for t in (Tensor("a", 8, shape=(2,)), Tensor("b", 16, shape=(4,)), Tensor("y", 8, shape=(2,)))
}
OP = Op("op", "acme::Any", ("a", "b"), ("y",), flops=5, overwrites=(("y", "a"),))


@pytest.fixture(autouse=True)
def nothing_declared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(declarations, "_DECLARED", {})
    yield


def finished(
    op: Op = OP, operands: tuple[str | None, ...] = ("a", None, "b"), **words: Any
) -> tuple[Op, int]:
    declare_op("acme::Any", **words)
    return completed(op, operands, TENSORS, 3)


def test_what_is_not_said_stays_the_importers_word() -> None:
    assert completed(OP, ("a", "b"), TENSORS, 3) == (OP, 3) == finished()
    unknown = Op("op", "acme::Any", ("a", "b"), ("y",))
    assert finished(unknown)[0].once  # nobody knows what a second execution would cost
    assert not finished(unknown, flops=0)[0].once and not finished(unknown, view=True)[0].once
    assert not finished(unknown, once=False)[0].once and finished(once=True)[0].once


def test_operands_are_named_by_position_absent_ones_counted() -> None:
    assert finished(overwrites=[2, 1, 0, 7])[0].overwrites == (("y", "b"), ("y", "a"))
    assert finished(overwrites=[])[0].overwrites == ()
    two = Op("op", "acme::Any", ("a", "b"), ("y", "a"))
    assert finished(two, overwrites=[0])[0].overwrites == ()  # of several results none is meant
    assert finished(joins=True)[0].joins == (("a", 0), ("b", 0)) and finished(joins=False)[0].joins == ()


def test_amounts_are_numbers_sums_of_products_or_functions() -> None:
    factors = {
        "constant": 1,
        "input_elements": 10,
        "output_elements": 100,
        "input_bytes": 1000,
        "output_bytes": 10000,
    }
    op, workspace = finished(flops=factors, workspace=lambda inputs, outputs: len(inputs) * outputs[0].nbytes)
    assert (op.flops, workspace) == (1 + 60 + 200 + 24000 + 80000, 16)
    assert finished(flops=7, workspace=0)[0].flops == 7 and finished(workspace=0)[1] == 0
    for wrong in (lambda i, o: -1, lambda i, o: 1.5, lambda i, o: i[9], {"output_bytes": 2**62}):
        with pytest.raises(GraphError, match="op 'op' is declared to have flops of .*\n.*of 'acme::Any'"):
            finished(flops=wrong)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"view": True, "overwrites": [0]}, "a view that writes bytes"),
        ({"view": True, "joins": True}, "a view that writes bytes"),
        ({"view": True, "workspace": 8}, "a view that writes bytes"),
        ({"overwrites": [-1]}, r"overwrite the operands \[-1\]"),
        ({"overwrites": ["x"]}, r"overwrite the operands \['x'\]"),
        ({"flops": -1}, "the amount -1"),
        ({"workspace": 0.5}, "the amount 0.5"),
        ({"flops": {"output_elements": 1.5}}, "the amount {'output_elements': 1.5}"),
        ({"flops": {"outputs_elements": 2}}, "unit 'outputs_elements'\nhint: did you mean 'output_elements'"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        declare_op("acme::Any", **words)
    assert completed(OP, ("a", "b"), TENSORS, 3) == (OP, 3)
    with pytest.raises(OptionError, match="without a kind"):
        declare_op("")
