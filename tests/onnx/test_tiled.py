"""Tiled models as ONNX files: onnxruntime computes the bits of the whole from nodes named after their ops."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

import memplan
from memplan import GraphError, Region
from memplan.onnx.read import model_from_proto
from memplan.onnx.tiled import TILING, tiled_proto
from memplan.tiling.derive import derive
from tests.onnx_models import model as make_model
from tests.onnx_models import value
from tests.tiling import models
from tests.tiling.models import node
from tests.tiling.poisoned import Reference, session
from tests.tiling.test_derive import TILINGS


def emitted(make: Callable[[], ModelProto], tiling: tuple[Region, ...]) -> ModelProto:
    model = model_from_proto(make(), "net", ".", {})
    proto = tiled_proto(model, tiling, [op.name for op in derive(model.graph, tiling).ops])
    onnx.checker.check_model(proto)
    return proto


@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_onnxruntime_computes_the_bits_of_the_whole(
    make: Callable[[], ModelProto], tiling: list[Region]
) -> None:
    proto = emitted(make, tuple(tiling))
    known = Reference(make(), model_from_proto(make(), "net", ".", {}).graph)
    found = session(proto).run(None, {x.name: known.values[x.name] for x in proto.graph.input})
    for output, array in zip(proto.graph.output, found, strict=True):
        np.testing.assert_array_equal(array, known.values[output.name])


def test_nodes_are_named_after_their_ops() -> None:
    proto = emitted(models.attention, (Region(("scores", "mixed"), (2,), (5,)),))
    names = [n.name for n in proto.graph.node]
    assert [n for n in names if n.startswith("softmax")] == [f"softmax, tile {k} of 3" for k in (1, 2, 3)]
    assert "scores, tile 2 of 3, operand 0" in names  # a Slice
    assert len(names) == len(set(names))
    whole = next(n for n in proto.graph.node if n.output[0] == "o1")
    assert whole.op_type == "Concat" and len(whole.input) == 3
    entry = next(e for e in proto.metadata_props if e.key == TILING)
    assert entry.value == '[{"ops": ["scores", "mixed"], "axes": [2], "tile": [5], "cache": null}]'


def test_a_plan_in_tiles_is_emitted_as_a_model_of_its_own(tmp_path: Path) -> None:
    source = tmp_path / "net.onnx"
    onnx.save(models.qdq(), source)
    model = memplan.load(source)
    tiling = (Region(("x.dq", "pool"), (2,), (2,), 2),)
    plan = memplan.plan(model, scratchpad="max", tiling=tiling, solver="greedy", workers=1)
    (path,) = memplan.emit(model, plan, "onnx", tmp_path / "out")
    again = memplan.load(path)
    assert again.plan is None and len(again.graph.ops) > len(model.graph.ops)
    x = np.random.default_rng(0).integers(-128, 128, (1, 3, 10, 10), np.int8)
    whole, tiled = (session(onnx.load(file)).run(None, {"x": x})[0] for file in (source, path))
    np.testing.assert_array_equal(whole, tiled)


def test_a_sliced_weight_with_the_wrong_numbers_changes_the_output() -> None:
    proto = emitted(models.residual_cnn, (Region(("conv1", "relu6"), (2,), (2,), 2),))
    known = Reference(models.residual_cnn(), model_from_proto(models.residual_cnn(), "net", ".", {}).graph)
    pads = next(
        a
        for n in proto.graph.node
        if re.match("depthwise, tile 2 ", n.name)
        for a in n.attribute
        if a.name == "pads"
    )
    before = list(pads.ints)
    pads.ints[:] = [before[0] + 1, before[1], before[2] - 1, before[3]] if before[2] else [1, *before[1:]]
    try:
        found = session(proto).run(None, {x.name: known.values[x.name] for x in proto.graph.input})
    except Exception:  # sizes no longer fit
        return
    assert not np.array_equal(found[0], known.values["y"])


def test_a_model_without_slices_by_operands_is_refused() -> None:
    proto = make_model(
        [node("Relu", ["x"], ["h"], name="a"), node("Relu", ["h"], ["y"], name="b")],
        [value("x", [8, 4], TensorProto.FLOAT)],
        [value("y", [8, 4], TensorProto.FLOAT)],
        opset=9,
    )
    model = model_from_proto(proto, "net", ".", {})
    with pytest.raises(GraphError, match="opset 9"):
        tiled_proto(model, (Region(("a", "b"), (0,), (2,)),), [])
