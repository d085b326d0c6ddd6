"""What makes a graph: what is refused, and what follows from views and kernels."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from memplan.base.errors import GraphError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.ir.sorting import sort_ops

X, A, Y = Tensor("x", 8, "input"), Tensor("a", 8), Tensor("y", 8)
P, Q = Op("p", "Conv", ("x",), ("a",)), Op("q", "Conv", ("a",), ("y",))
RIGHT: dict[str, Any] = {"name": "g", "tensors": (X, A, Y), "ops": (P, Q), "outputs": ("y",)}


VIEW = replace(Q, kind="Reshape", view=True)
SPACE = Tensor("space", 4, "workspace")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "a\nb"}, "line break"),
        ({"tensors": (X, A, A, Y)}, "two tensors are named 'a'"),
        ({"tensors": (X, A)}, "'q' writes the undeclared tensor 'y'"),
        ({"tensors": (X, Y)}, "'p' writes the undeclared tensor 'a'"),
        ({"tensors": (X, A, replace(Y, nbytes=-1))}, "'y' has -1 bytes"),
        ({"tensors": (X, A, replace(Y, nbytes=2**62))}, "add up to 46"),
        (
            {"tensors": (X, A, replace(Y, kind="output"))},
            "'y' has kind 'output'.*\n.*among the graph's outputs",
        ),
        ({"tensors": (X, A, Y, Tensor("", 1))}, "has no name"),
        ({"tensors": (X, A, replace(Y, shape=(2, 4), strides=(1,)))}, "1 strides"),
        ({"ops": (Q, P)}, "'q' reads 'a' before it is written"),
        ({"ops": (P, replace(Q, name="p"))}, "two ops are named 'p'"),
        ({"ops": (P, replace(P, name="q"))}, "'a' is written twice"),
        ({"ops": (replace(P, outputs=("x",)), Q)}, "input 'x' is written by an op"),
        ({"ops": (P,)}, "activation 'y' has no producer"),
        ({"ops": (Q,)}, "'q' reads 'a', which no op writes"),
        ({"outputs": ("z",)}, "'z' cannot be an output"),
        ({"outputs": ("y", "y")}, "lists an output twice"),
        ({"updates": (("y", "a"),)}, "'y' cannot be the next value of 'a'"),
        ({"updates": (("a", "x"),)}, "'a' cannot be the next value of 'x'"),
        ({"updates": (("y", "x"), ("y", "x"))}, "in two updates"),
        (
            {"tensors": (X, A, replace(Y, place=("x", 0)))},
            "'y' is said to lie in 'x', but its storage is 'y'",
        ),
        (
            {"tensors": (X, A, replace(Y, nbytes=9)), "ops": (P, VIEW)},
            "makes 'y' larger than its storage 'a'",
        ),
        ({"tensors": (X, A, replace(Y, place=("a", 1))), "ops": (P, VIEW)}, "makes 'y' larger"),
        ({"ops": (P, replace(Q, overwrites=(("a", "y"),)))}, "it does not write it"),
        ({"ops": (P, replace(Q, overwrites=(("y", "x"),)))}, "'x' is no operand of it"),
        (
            {"tensors": (X, A, Y, SPACE), "ops": (P, replace(Q, outputs=("y", "space")))},
            "names the workspace None",
        ),
        ({"ops": (P, replace(Q, workspace="y"))}, "names the workspace 'y', its outputs have"),
        ({"tensors": (X, replace(A, alignment=0), Y)}, "'a' is aligned to 0 bytes"),
        (
            {"tensors": (X, A, replace(Y, alignment=4)), "ops": (P, VIEW)},
            "'y', which has an alignment.*\n.*align 'a'",
        ),
        ({"ops": (P, replace(Q, joins=(("x", 0),)))}, "cannot join its operands: 'x' is no operand"),
        (
            {"ops": (P, replace(Q, joins=(("a", 1),)))},
            "'a' begins at byte 1, what is before it ends at byte 0",
        ),
        ({"ops": (replace(P, after=("z",)), Q)}, "'p' is to come after 'z', which is no op"),
        ({"ops": (replace(P, after=("q",)), Q)}, "'p' is to come after 'q', which the program runs later"),
        ({"ops": (replace(P, after=("p",)), Q)}, "'p' is to come after 'p'"),
        ({"ops": (replace(P, source=("net\nlayer",)), Q)}, "line break"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(wrong: dict[str, Any], words: str) -> None:
    assert Graph(**RIGHT).producer == {"a": 0, "y": 1}
    with pytest.raises(GraphError, match=words):
        Graph(**RIGHT | wrong)


def test_a_view_of_a_view_lies_in_the_root() -> None:
    tensors = (X, replace(A, nbytes=6, place=("x", 2)), replace(Y, nbytes=4, place=("x", 4)))
    graph = Graph(**RIGHT | {"tensors": tensors, "ops": (replace(P, view=True), VIEW)})
    assert graph.storage_of == {"x": "x", "a": "x", "y": "x"} and graph.aliases == {"a": "x", "y": "x"}
    assert graph.output_storages == {"x"}


def test_the_digest_is_of_all_that_is_said_of_the_graph() -> None:
    graph = Graph(**RIGHT)
    changes: list[dict[str, Any]] = [
        {"name": "h"}, {"outputs": ("y", "a")}, {"updates": (("y", "x"),)}, {"tensors": (X, A, replace(Y, nbytes=9))},
        {"tensors": (X, A, replace(Y, dtype="int8"))}, {"tensors": (X, A, replace(Y, shape=(8,)))},
        {"ops": (P, replace(Q, flops=1))}, {"ops": (P, replace(Q, overwrites=(("y", "a"),)))}, {"ops": (P, VIEW)},
        {"ops": (P, replace(Q, joins=(("a", 0),)))}, {"ops": (P, replace(Q, once=True))},
        {"ops": (P, replace(Q, after=("p",)))}, {"tensors": (X, A, replace(Y, alignment=4))},
    ]  # fmt: skip
    digests = {graph.sha256, *(Graph(**RIGHT | change).sha256 for change in changes)}
    assert len(digests) == 1 + len(changes) and Graph(**RIGHT).sha256 == graph.sha256
    known = Graph(**RIGHT | {"ops": (P, replace(Q, source=("net", "head")))})
    assert known.sha256 == graph.sha256  # where an op came from changes no plan


def test_the_digest_of_a_graph_that_claims_nothing_stays_what_it_is() -> None:
    assert Graph(**RIGHT).sha256 == "dbbe1abc6cdd0d9b0e4b0d8ee51cc9fe8508e11ae0a61a736fbeb87b5b464872"


def test_an_op_waits_for_what_it_reads_and_for_what_it_comes_after() -> None:
    r, out = Op("r", "Conv", ("x",), ("b",), after=("q", "p")), Tensor("b", 8)
    graph = Graph(**RIGHT | {"tensors": (X, A, Y, out), "ops": (P, Q, r)})
    assert graph.preds == ((), (0,), (1, 0))
    assert sort_ops([r, Q, P], {"x"}) == [P, Q, r]
    with pytest.raises(GraphError, match="op 'q' depends on itself"):
        sort_ops([P, replace(Q, after=("r",)), r], {"x"})


def test_ops_are_sorted_as_close_to_the_given_order_as_can_be() -> None:
    for seed in range(100):
        dice = random.Random(seed)
        ops = [
            Op(str(k), "Conv", tuple({f"t{j}" for j in range(k) if dice.random() < 0.3} | {"x"}), (f"t{k}",))
            for k in range(8)
        ]
        dice.shuffle(ops)
        left, order, ready = list(ops), [], {"x"}
        while left:  # always the first that can run
            order.append(next(op for op in left if ready.issuperset(op.inputs)))
            left.remove(order[-1])
            ready.update(order[-1].outputs)
        assert sort_ops(ops, {"x"}) == order
    with pytest.raises(GraphError, match="op 'q' depends on itself"):
        sort_ops([P, replace(Q, inputs=("y",)), Op("r", "Conv", ("y",), ("z",))], {"x"})
