"""Subgraphs that operators call."""

from __future__ import annotations

import pytest

from memplan.base.errors import GraphError
from memplan.tflite.bodies import DEEPEST, LARGEST, called_bodies
from memplan.tflite.program import parse
from tests.tflite_models import Sub, conditional, counting, tflite

IMAGE = 4 * 4 * 4 * 4


def test_the_hungriest_subgraph_decides() -> None:
    (body,) = called_bodies(parse(conditional(), "x")).values()
    assert body.nbytes == IMAGE * 8 + IMAGE  # 32 channels beside 4
    assert {n for n, _ in body.offsets} == {1, 2}


def test_tensors_that_live_together_lie_apart() -> None:
    program = parse(counting(), "x")
    (body,) = called_bodies(program).values()
    places = {i: offset for (n, i), offset in body.offsets.items() if n == 2}
    body_graph = program.subgraphs[2]
    carried, wide = body_graph.inputs[0], body_graph.operators[0].outputs[0]
    assert abs(places[carried] - places[wide]) >= body_graph.tensors[carried].nbytes
    assert all(offset % 16 == 0 for offset in body.offsets.values())


def nested(depth: int, last: int) -> bytes:
    """A CALL_ONCE in a CALL_ONCE and so on; the innermost calls subgraph `last`, where that is not 0."""
    subs = [Sub() for _ in range(depth + 1)]
    for i, sub in enumerate(subs):
        called = i + 1 if i < depth else last
        x = sub.constant([1.0])
        sub.op("ABS", [x], (64,))
        if called:
            sub.op("CALL_ONCE", [], None, {0: ("i", called)})
    return tflite(*subs)


def test_subgraphs_within_subgraphs() -> None:
    (body,) = called_bodies(parse(nested(3, 0), "x")).values()
    assert len(body.offsets) == 3 and body.nbytes == 256


@pytest.mark.parametrize(
    "made", [nested(2, 1), nested(2, 2), nested(DEEPEST + 1, 0)], ids=["circle", "itself", "deep"]
)
def test_one_place_for_each_tensor(made: bytes) -> None:
    with pytest.raises(GraphError, match="in two places, or too deep"):
        called_bodies(parse(made, "x"))


def test_a_subgraph_that_is_too_large_to_call_is_refused() -> None:
    main, called = Sub(), Sub()
    main.op("CALL_ONCE", [], None, {0: ("i", 1)})
    for _ in range(LARGEST + 1):
        called.tensor((4,))
    with pytest.raises(GraphError, match="is called and has 5001 tensors"):
        called_bodies(parse(tflite(main, called), "x"))
