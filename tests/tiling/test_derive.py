"""Tiles compute what the whole op computes, from what they say they need, out of pieces that are there by then."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from onnx import ModelProto

from memplan import Access, Graph, Op, OptionError, Tensor
from memplan.judge.check.tiles import tiles
from memplan.tiling.calls import calls
from memplan.tiling.derive import derive
from memplan.tiling.record import Region
from tests.tiling import models
from tests.tiling.poisoned import Reference, execute


@cache
def reference(make: Callable[[], ModelProto]) -> Reference:
    return Reference(make(), models.loaded(make).graph)


TILINGS = [
    (models.attention, [Region(("q.turn", "residual2"), (1,), (5,))]),
    (models.attention, [Region(("norm1", "residual2"), (1,), (4,))]),
    (models.attention, [Region(("norm1", "norm1"), (1,), (4,)), Region(("q.product", "q.split"), (1,), (4,)), Region(("q.turn", "residual1"), (1,), (4,)), Region(("norm2", "residual2"), (1,), (3,))]),
    (models.attention, [Region(("scores", "mixed"), (1, 2), (1, 3))]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2,), (2,), 2)]),
    (models.residual_cnn, [Region(("conv1", "mean"), (3,), (1,), 3)]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2,), (2,))]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2, 3), (2, 3), 2)]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2, 3), (2, 2), 3)]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2, 3), (4, 4))]),
    (models.residual_cnn, [Region(("conv1", "relu1"), (2,), (2,), 2), Region(("depthwise", "mean"), (2,), (1,), 2)]),
    (models.residual_cnn, [Region(("conv1", "relu6"), (2,), (2,), 2), Region(("conv3", "add"), (1, 2), (2, 3))]),
    (models.residual_cnn, [Region(("depthwise", "relu6"), (1,), (2,))]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2,), (2,), 2, slices=4)]),
    (models.residual_cnn, [Region(("conv1", "mean"), (2, 3), (4, 4), slices=3)]),
    (models.residual_cnn, [Region(("conv1", "relu1"), (2,), (2,), 2), Region(("depthwise", "mean"), (3,), (2,), 3, slices=2)]),
    (models.hourglass, [Region(("conv1", "conv4"), (2,), (2,), 2)]),
    (models.hourglass, [Region(("conv1", "conv4"), (2,), (3,))]),
    (models.hourglass, [Region(("conv1", "conv4"), (2, 3), (3, 4), 3)]),
    (models.hourglass, [Region(("conv1", "down"), (2,), (1,), 2), Region(("up", "conv4"), (3,), (2,), 3)]),
    (models.quantized, [Region(("qconv", "iconv"), (2,), (3,), 2)]),
    (models.quantized, [Region(("qconv", "iconv"), (2, 3), (3, 4))]),
    (models.quantized, [Region(("qconv", "qconv"), (1,), (1,)), Region(("conv", "conv"), (1,), (2,))]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_tiles_compute_what_the_whole_computes(make: Callable[[], ModelProto], tiling: list[Region]) -> None:
    known = reference(make)
    derived = derive(known.graph, tuple(tiling))
    assert sum(op.tile is not None for op in derived.ops) > 2
    held = execute(known, derived)
    for name in derived.outputs:
        np.testing.assert_array_equal(held[name], known.values[name])


@pytest.mark.parametrize(("make", "tiling"), TILINGS)
def test_nothing_is_computed_twice_without_a_halo_or_along_the_axis_where_it_is_kept(
    make: Callable[[], ModelProto], tiling: list[Region]
) -> None:
    known = reference(make).graph
    spent = sum(op.flops or 0 for op in derive(known, tuple(tiling)).ops)
    if make is models.attention or all(r.axes == (r.cache,) for r in tiling):
        assert spent <= sum(op.flops or 0 for op in known.ops)


def test_a_halo_that_is_not_kept_is_computed_twice() -> None:
    known = reference(models.residual_cnn).graph
    spent = [
        sum(op.flops or 0 for op in derive(known, (Region(("conv1", "mean"), (2,), (2,), cache),)).ops)
        for cache in (None, 2)
    ]
    assert spent[0] > spent[1] == sum(op.flops or 0 for op in known.ops)


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ([Region(("conv1", "nowhere"), (2,), (1,))], "'nowhere', which is no op"),
        ([Region(("relu1", "conv1"), (2,), (1,))], "which comes after 'conv1'"),
        ([Region(("conv1", "relu1"), (4,), (1,))], "'relu1' cannot be cut along axis 4"),
        ([Region(("conv1", "relu1"), (2,), (1,)), Region(("relu1", "add"), (2,), (1,))], "begins before the one listed before"),
        ([Region(("conv1", "conv3"), (2, 3), (1, 1))], "'r1', which is needed outside of its region, is cut along several"),
        ([Region(("conv3", "dilated"), (2,), (1,))], "no op of its region reads what op 'conv3' makes"),
    ],
)  # fmt: skip
def test_a_region_that_cannot_be_tiled_is_refused(regions: list[Region], said: str) -> None:
    with pytest.raises(OptionError) as refused:
        derive(reference(models.residual_cnn).graph, tuple(regions))
    assert said in refused.value.message


def test_an_operand_without_elements_is_read_by_each_tile() -> None:
    x, roi, y = (
        Tensor("x", 32, "input", shape=(8,)),
        Tensor("roi", 0, "constant", shape=(0,)),
        Tensor("y", 32, shape=(8,)),
    )
    op = Op("resize", "Resize", ("x", "roi"), ("y",), 8, needs=((Access(0),), (None,)))
    graph = Graph("net", (x, roi, y), (op,), ("y",))
    derived = derive(graph, (Region(("resize", "resize"), (0,), (4,)),))
    assert [op.inputs for op in derived.ops] == [("x", "roi"), ("x", "roi", "y.1")]
    assert tiles(graph, derived) == [] and len(calls(graph, derived)) == 2


def test_a_graph_without_regions_is_itself() -> None:
    graph = reference(models.residual_cnn).graph
    assert derive(graph, ()) is graph


def test_what_is_gathered_is_the_workspace_of_its_tile() -> None:
    graph = reference(models.attention).graph
    derived = derive(graph, (Region(("scores", "mixed"), (2,), (3,)),))
    op = next(op for op in derived.ops if op.name == "scores[:,:,3:6]")
    assert op.workspace is not None  # three rows of each of two heads do not adjoin
    assert derived.tensor[op.workspace].nbytes == 2 * 3 * 4 * 4
    masked = next(op for op in derived.ops if op.name == "masked[:,:,3:6]")
    assert masked.workspace is None  # but those of the mask, which all heads share, do
    assert masked.overwrites == ((masked.outputs[0], masked.inputs[0]),)


def test_a_tile_continues_the_tensor_that_the_one_before_has_left() -> None:
    graph = reference(models.attention).graph
    derived = derive(graph, (Region(("scores", "residual2"), (1,), (5,)),))
    last = [op for op in derived.ops if op.tile is not None and op.tile[0] == "residual2"]
    assert [op.results for op in last] == [("y.1",), ("y.2",), ("y",)]
    assert [op.overwrites for op in last] == [(), (("y.2", "y.1"),), (("y", "y.2"),)]
    assert derived.tensor["y"] == graph.tensor["y"]


def test_a_slice_gathers_its_channels_alone_and_continues_the_chunk() -> None:
    """A depthwise convolution of four channels by rows, which it gathers: whole, or one channel after the other."""
    known = reference(models.residual_cnn).graph
    spaces = []
    for slices in (1, 4):
        derived = derive(known, (Region(("conv1", "mean"), (2,), (2,), 2, slices),))
        tiles_ = [op for op in derived.ops if op.tile and op.tile[0] == "depthwise" and op.workspace]
        spaces.append({derived.tensor[op.workspace or ""].nbytes for op in tiles_})
        if slices == 4:
            second = tiles_[1]
            assert second.overwrites == ((second.results[0], tiles_[0].results[0]),)
            assert derived.tensor[second.results[0]].part == derived.tensor[tiles_[0].results[0]].part
    assert max(spaces[0]) == 4 * max(spaces[1])
