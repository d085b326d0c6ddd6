"""Tiled models as ONNX files: onnxruntime computes the bits of the whole from nodes named after their ops."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto

import memplan
from memplan import Graph, GraphError, Region
from memplan.onnx.exactness import Exactness, exactness
from memplan.onnx.read import model_from_proto
from memplan.onnx.tiled import TILING, tiled_proto
from memplan.tiling.calls import calls
from memplan.tiling.derive import derive
from tests.onnx_models import model as make_model
from tests.onnx_models import value
from tests.tiling import models
from tests.tiling.drawn import drawn, tiling_of
from tests.tiling.models import node
from tests.tiling.poisoned import garbage, session
from tests.tiling.test_derive import TILINGS


def emitted(make: Callable[[], ModelProto], tiling: tuple[Region, ...]) -> ModelProto:
    model = models.loaded(make)
    proto = tiled_proto(model, tiling, [op.name for op in derive(model.graph, tiling).ops])
    onnx.checker.check_model(proto)
    return proto


def computed(proto: ModelProto, inputs: dict[str, Any]) -> list[Any]:
    """The outputs by onnxruntime with its optimisations off."""
    found: list[Any] = session(proto).run(None, inputs)
    return found


def inputs_of(graph: Graph) -> dict[str, Any]:
    """Random inputs."""
    rng = np.random.default_rng(3)
    given = [t for t in graph.tensors if t.kind == "input"]
    return {t.name: garbage(t.dtype or "", t.shape or (), rng) for t in given}


@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_onnxruntime_computes_the_bits_of_the_whole(
    make: Callable[[], ModelProto], tiling: list[Region]
) -> None:
    fed = inputs_of(models.loaded(make).graph)
    for whole, tiled in zip(computed(make(), fed), computed(emitted(make, tuple(tiling)), fed), strict=True):
        np.testing.assert_array_equal(tiled, whole)


@pytest.mark.slow(reason="reads many models")
def test_random_models_are_as_exact_as_they_say() -> None:
    seen = 0
    for rng in map(random.Random, range(10)):
        proto = drawn(rng)
        model = model_from_proto(proto, "net", ".", {})
        tiling = tiling_of(model.graph, rng)
        derived = derive(model.graph, tiling)
        level, name = exactness(model.graph, calls(model.graph, derived).values())
        fed = inputs_of(model.graph)
        tiled = computed(tiled_proto(model, tiling, [op.name for op in derived.ops]), fed)
        for one, other in zip(computed(proto, fed), tiled, strict=True):
            if level is Exactness.NO:
                np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
            else:
                np.testing.assert_array_equal(one, other, f"{tiling}, {name}")
                seen += level is Exactness.BY_RULE
    assert seen


def test_nodes_are_named_after_their_ops() -> None:
    proto = emitted(models.attention, (Region(("scores", "mixed"), (2,), (5,)),))
    names = [n.name for n in proto.graph.node]
    assert [n for n in names if n.startswith("softmax")] == [f"softmax, tile {k} of 3" for k in (1, 2, 3)]
    assert "scores, tile 2 of 3, operand 0" in names  # a Slice
    assert len(names) == len(set(names))
    whole = next(n for n in proto.graph.node if n.output[0] == "o1")
    assert whole.op_type == "Concat" and len(whole.input) == 3
    entry = next(e for e in proto.metadata_props if e.key == TILING)
    assert (
        entry.value == '[{"ops": ["scores", "mixed"], "axes": [2], "tile": [5], "cache": null, "slices": 1}]'
    )


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


def test_wrong_padding_changes_the_output() -> None:
    make, regions = models.residual_cnn, (Region(("conv1", "relu6"), (2,), (2,), 2),)
    fed, proto = inputs_of(models.loaded(make).graph), emitted(make, regions)
    first = next(
        n for n in proto.graph.node if n.op_type == "Conv" and n.name.startswith("depthwise, tile 1 of ")
    )
    pads = next(a for a in first.attribute if a.name == "pads").ints
    assert list(pads) == [1, 1, 0, 1]
    pads[:] = [0, 1, 1, 1]  # a row of zeros behind the first rows instead of in front of them
    assert not np.array_equal(computed(proto, fed)[0], computed(make(), fed)[0])


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
