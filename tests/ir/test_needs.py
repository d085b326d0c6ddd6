"""What ops say they need: what is no such thing is refused, and files keep it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import memplan
from memplan import Graph, GraphError, Op, Tensor
from memplan.io.graph_json import graph_from_dict
from memplan.ir.needs import cut_axes, needed, padding
from memplan.ir.parts import Access

X, Y = Tensor("x", 40, "input", shape=(1, 10)), Tensor("y", 20, shape=(1, 5))
POOL = Op("pool", "Pool", ("x",), ("y",), 5, needs=((None, Access(1, 2, 1, 2)),))
GRAPH = Graph("net", (X, Y), (POOL,), ("y",))


def test_a_window_reaches_into_the_padding_at_both_ends() -> None:
    assert needed(POOL, 0, (1, 10), ((0, 1), (0, 2))) == ((0, 1), (0, 4))
    assert padding(POOL, 0, (1, 10), ((0, 1), (0, 2))) == ((0, 0), (1, 0))
    assert needed(POOL, 0, (1, 10), ((0, 1), (4, 5))) == ((0, 1), (7, 10))
    assert needed(POOL, 0, (1, 9), ((0, 1), (3, 5))) == ((0, 1), (5, 9))
    assert padding(POOL, 0, (1, 9), ((0, 1), (3, 5))) == ((0, 0), (0, 1))


def test_what_nobody_knows_needs_everything_and_is_not_cut() -> None:
    silent = replace(POOL, needs=())
    assert needed(silent, 0, (1, 10), ((0, 1), (0, 1))) == ((0, 1), (0, 10))
    assert padding(silent, 0, (1, 10), ((0, 1), (0, 1))) == ((0, 0), (0, 0))
    assert not cut_axes(silent) and not cut_axes(replace(POOL, once=True)) and cut_axes(POOL) == {1}


def test_files_keep_needs_tiles_and_parts(tmp_path: Any) -> None:
    part = Tensor("y[:,0:2]", 8, shape=(1, 2), part=("y", ((0, 1), (0, 2))))
    tile = Op("pool[:,0:2]", "Pool", ("x",), (part.name,), 2, tile=("pool", ((0, 1), (0, 2))))
    graph = Graph("net", (X, Y, part), (POOL, tile), ("y", part.name))
    assert memplan.read_graph(memplan.write_graph(graph, tmp_path / "g.json")) == graph


def test_needs_are_no_part_of_what_a_plan_is_tied_to() -> None:
    assert GRAPH.sha256 == replace(GRAPH, ops=(replace(POOL, needs=()),)).sha256
    tile = replace(POOL, tile=("whole", ((0, 1), (0, 5))))
    assert GRAPH.sha256 != replace(GRAPH, ops=(tile,)).sha256


@pytest.mark.parametrize(
    "needs",
    [
        ((Access(0),),),
        ((Access(0), Access(1)), ()),
        ((Access(0), Access(2)),),
        ((Access(0), Access(1, stride=0)),),
        ((Access(0), Access(1, factor=0)),),
    ],
)
def test_needs_that_fit_no_operand_are_refused(needs: Any) -> None:
    with pytest.raises(GraphError, match="what op 'pool' needs is unclear"):
        replace(GRAPH, ops=(replace(POOL, needs=needs),))


def test_results_that_differ_along_what_is_cut_are_refused() -> None:
    other = Tensor("z", 12, shape=(1, 3))
    with pytest.raises(GraphError, match="its results differ in length along axis 1"):
        Graph("net", (X, Y, other), (replace(POOL, outputs=("y", "z")),), ("y",))


def test_a_part_that_does_not_fit_its_shape_is_refused() -> None:
    with pytest.raises(GraphError, match="which does not fit its shape"):
        replace(GRAPH, tensors=(X, replace(Y, part=("whole", ((0, 1), (0, 4))))))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("needs", [[0]]),
        ("needs", 1),
        ("needs", [[[0, "1"]]]),
        ("tile", ["a"]),
        ("tile", [1, []]),
        ("tile", ["a", [[0]]]),
    ],
)
def test_files_that_say_nonsense_are_refused(key: str, value: Any) -> None:
    data: Any = GRAPH.to_dict()
    data["ops"][0][key] = value
    with pytest.raises(GraphError, match=f"'{key}' is "):
        graph_from_dict(data, "here")
