"""Which ops are cut into slices of their channels, and into which."""

from __future__ import annotations

import pytest

from memplan.onnx.read import model_from_proto
from memplan.tiling.slices import slice_axis, slices
from tests.tiling import models


@pytest.mark.parametrize(
    ("name", "axis"),
    [("conv1", None), ("relu1", 1), ("depthwise", 1), ("conv3", None), ("add", 1), ("pool", 1)],
)
def test_ops_that_work_on_each_channel_alone_are_cut_along_them(name: str, axis: int | None) -> None:
    graph = model_from_proto(models.residual_cnn(), "net", ".", {}).graph
    assert slice_axis(graph, next(op for op in graph.ops if op.name == name)) == axis


def test_what_only_renames_bytes_and_what_has_several_results_is_not_cut() -> None:
    attention = model_from_proto(models.attention(), "net", ".", {}).graph
    hourglass = model_from_proto(models.hourglass(), "net", ".", {}).graph
    ops = {op.name: (graph, op) for graph in (attention, hourglass) for op in graph.ops}
    assert [slice_axis(*ops[name]) for name in ("q.split", "split")] == [None, None]
    assert slice_axis(*ops["softmax"]) == 1  # rows within a head, which lie side by side


@pytest.mark.parametrize(
    ("count", "parts"), [(1, [(1, 4)]), (2, [(1, 3), (3, 4)]), (9, [(1, 2), (2, 3), (3, 4)])]
)
def test_slices_are_alike_but_the_last(count: int, parts: list[tuple[int, int]]) -> None:
    graph = model_from_proto(models.residual_cnn(), "net", ".", {}).graph
    ops = {op.name: op for op in graph.ops}
    box = ((0, 1), (1, 4), (0, 4), (2, 3))
    assert slices(graph, ops["depthwise"], box, count) == [(box[0], part, *box[2:]) for part in parts]
    assert slices(graph, ops["conv3"], box, count) == [box]
