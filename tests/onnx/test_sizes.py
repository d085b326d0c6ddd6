"""Sizes that only a run's data decide: refused by name, planned at their bounds."""

from __future__ import annotations

import ast
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

import memplan
from memplan.base.errors import ExecutionError, GraphError, OptionError
from memplan.cli import main
from memplan.cli.common import parse_bounds
from memplan.onnx.read import model_from_bytes
from memplan.runtimes.execute import run
from tests.onnx_models import model, value, weight

node = helper.make_node
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def load(proto: Any, **bounds: tuple[int, ...]) -> memplan.Model:
    return model_from_bytes(proto.SerializeToString(), "net", ".", {}, bounds)


def shapes(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def decided(
    kind: str, reads: list[str], inputs: list[Any], weights: dict[str, Any], opset: int, more: dict[str, Any]
) -> Any:
    """A model in which op "decider" of this kind reads run-time data, and a Cast follows it."""
    outputs = ["r", "ri"] if kind == "TopK" else ["r"]
    nodes = [
        node(kind, reads, outputs, name="decider", **more),
        node("Cast", ["r"], ["y"], to=TensorProto.FLOAT),
    ]
    return model(nodes, inputs, [value("y", None)], [weight(n, w) for n, w in weights.items()], opset)


X = value("x", [2, 40])
AXES = {"axes": shapes(1), "steps": shapes(1), "zero": shapes(0), "nine": shapes(9)}
KINDS: list[tuple[str, list[str], list[Any], dict[str, Any], int, str]] = [
    ("TopK", ["x", "k"], [X, value("k", [1], INT64)], {}, 17, "k"),
    ("Tile", ["x", "n"], [X, value("n", [2], INT64)], {}, 17, "n"),
    ("Slice", ["x", "s", "nine", "axes"], [X, value("s", [1], INT64)], AXES, 17, "s"),
    ("Slice", ["x", "zero", "e", "axes"], [X, value("e", [1], INT64)], AXES, 17, "e"),
    ("Range", ["a", "b", "d"], [value(n, [], INT64) for n in "abd"], {}, 17, "a"),
    ("Resize", ["x", "", "scales"], [X, value("scales", [2])], {}, 17, "scales"),
    ("Resize", ["x", "", "", "sizes"], [X, value("sizes", [2], INT64)], {}, 17, "sizes"),
    ("Expand", ["x", "to"], [value("x", [2, 1]), value("to", [2], INT64)], {}, 17, "to"),
    ("Compress", ["x", "c"], [X, value("c", [80], BOOL)], {}, 17, "c"),
    ("NonZero", ["x"], [X], {}, 17, "x"),
    ("NonMaxSuppression", ["boxes", "scores", "nine"], [value("boxes", [1, 9, 4]), value("scores", [1, 1, 9])],
     AXES, 17, "boxes"),
    ("Unique", ["x"], [X], {}, 17, "x"),
    ("ConstantOfShape", ["to"], [value("to", [2], INT64)], {}, 17, "to"),
    ("Reshape", ["x", "to"], [X, value("to", [2], INT64)], {}, 17, "to"),
    ("Pad", ["x", "pads"], [X, value("pads", [4], INT64)], {}, 17, "pads"),
    ("OneHot", ["i", "depth", "onoff"], [value("i", [4], INT64), value("depth", [], INT64)],
     {"onoff": shapes(0, 1)}, 17, "depth"),
    ("ReduceSum", ["x", "axes"], [X, value("axes", [1], INT64)], {}, 17, "axes"),
    ("Squeeze", ["z", "axes"], [value("z", [1, 3, 1]), value("axes", [1], INT64)], {}, 17, "axes"),
    ("Unsqueeze", ["x", "axes"], [X, value("axes", [1], INT64)], {}, 17, "axes"),
    ("HannWindow", ["size"], [value("size", [], INT64)], {}, 17, "size"),
]  # fmt: skip


def follow(hint: str) -> dict[str, tuple[int, ...]]:
    """The bounds that a hint offers, word by word as a shell takes them; from Python it offers the same."""
    words = shlex.split(hint[: hint.index(" (from Python")])
    bounds = parse_bounds([word for option, word in pairwise(words) if option == "--bound"])
    assert ast.literal_eval(hint[hint.index("bounds=") + 7 : hint.index("}") + 1]) == bounds
    return bounds


@pytest.mark.parametrize(
    ("kind", "reads", "inputs", "weights", "opset", "source"), KINDS, ids=[f"{k[0]}-{k[5]}" for k in KINDS]
)
def test_a_size_that_data_decide_is_refused_and_the_hint_works(
    kind: str, reads: list[str], inputs: list[Any], weights: dict[str, Any], opset: int, source: str
) -> None:
    read = {name: w for name, w in weights.items() if name in reads}
    proto = decided(kind, reads, inputs, read, opset, {})
    with pytest.raises(GraphError, match=rf"op 'decider' \({kind}\).*data of input '{source}'") as caught:
        load(proto)
    bounds = follow(caught.value.hint)
    loaded = load(proto, **bounds)
    assert loaded.graph.tensor["r"].shape == bounds["r"] == loaded.graph.tensor["y"].shape
    assert memplan.plan(loaded).options.bounds == bounds


@pytest.mark.slow(reason="reads many models")
def test_what_shapes_and_constants_decide_is_no_guess() -> None:
    nodes = [
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "first"], ["n"]),
        node("Range", ["zero", "n", "one"], ["r"]),
        node("Tile", ["x", "twice"], ["t"]),
        node("NonZero", ["s"], ["nz"]),
    ]
    constants = {"first": 1, "zero": 0, "one": 1}
    weights = [weight(n, np.array(v, np.int64)) for n, v in constants.items()] + [
        weight("twice", shapes(2, 1))
    ]
    proto = model(nodes, [X], [value("r", None, INT64), value("t", None), value("nz", None, INT64)], weights)
    graph = load(proto).graph
    assert [graph.tensor[n].shape for n in ("r", "t", "nz")] == [(40,), (4, 40), (1, 2)]


def test_a_size_is_followed_through_ops_to_the_data_that_decide_it() -> None:
    nodes = [
        node("Cast", ["m"], ["k0"], to=INT64),
        node("Add", ["k0", "one"], ["k"]),
        node("TopK", ["x", "k"], ["r", ""], name="top"),
        node("Shape", ["r"], ["s"]),
        node("ConstantOfShape", ["s"], ["y"], name="fill"),
    ]
    proto = model(nodes, [X, value("m", [1])], [value("y", None)], [weight("one", shapes(1))])
    with pytest.raises(GraphError, match=r"op 'top' \(TopK\).*input 'm', through its operand 'k'"):
        load(proto)
    assert load(proto, r=(2, 4)).graph.tensor["y"].shape == (2, 4)


def topk() -> Any:
    return decided("TopK", ["x", "k"], [X, value("k", [1], INT64)], {}, 17, {})


def test_a_hint_fills_in_what_is_known_and_names_what_is_not() -> None:
    columns = model(
        [node("Compress", ["x", "c"], ["some columns"], axis=1)],
        [X, value("c", [40], BOOL)],
        [value("some columns", [2, "some"])],
    )
    with pytest.raises(GraphError) as caught:
        load(columns)
    assert "--bound 'some columns=2,40'" in caught.value.hint
    assert caught.value.hint.endswith("for you to choose: axis 1 of 'some columns'")
    bounds = follow(caught.value.hint)
    assert load(columns, **bounds).graph.tensor["some columns"].shape == (2, 40)
    with pytest.raises(OptionError, match=r"\[3, 7\] contradicts the shape \[2, \?\]") as wrong:
        load(columns, **{"some columns": (3, 7)})
    assert follow(wrong.value.hint) == {"some columns": (2, 7)}


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"r": (3,), "ri": (2, 3)}, r"\[3\] contradicts the shape \[\?, \?\] of tensor 'r'"),
        ({"x": (2, 40)}, "'x' is an input"),
        ({"rr": (2, 40)}, "no tensor 'rr'"),
    ],
)
def test_bounds_that_contradict_what_is_known(bounds: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load(topk(), **bounds)


def test_a_bound_beside_a_static_size_is_refused() -> None:
    proto = model([node("Relu", ["x"], ["y"])], [X], [value("y", None)])
    with pytest.raises(OptionError, match=r"\[2, 41\] contradicts the shape \[2, 40\] of tensor 'y'"):
        load(proto, y=(2, 41))


def test_a_bounded_plan_runs_where_its_sizes_are_reached_and_says_so_where_not() -> None:
    loaded = load(topk(), r=(2, 5), ri=(2, 5))
    plan = memplan.plan(loaded)
    x = np.random.default_rng(0).standard_normal((2, 40), np.float32)
    assert run(loaded, plan, {"x": x, "k": shapes(5)}).identical
    with pytest.raises(ExecutionError, match=r"'r' = \[2, 5\]"):
        run(loaded, plan, {"x": x, "k": shapes(4)})


def test_the_command_line_records_bounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(topk().SerializeToString())
    assert main(["plan", str(path), "-o", str(tmp_path)]) == 2
    assert "--bound r=" in capsys.readouterr().err
    bounds = ["--bound", "r=2,5", "--bound", "ri=2,5"]
    assert main(["plan", str(path), *bounds, "-o", str(tmp_path), "--emit", "json,onnx"]) == 0
    assert main(["check", str(path), str(tmp_path / "net.plan.json")]) == 0
    assert main(["check", str(tmp_path / "net.memplan.onnx")]) == 0
    assert main(["show", str(path), "--bound", "r=2,x"]) == 2
    assert "write TENSOR=SHAPE" in capsys.readouterr().err
