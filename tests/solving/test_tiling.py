"""Fronts of tilings: no point beats another one, each is what it says, and none is worse than no tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod

import pytest
from onnx import ModelProto

import memplan
from memplan import Graph, OptionError, Region, TilingFront, TilingPoint
from memplan.judge.check.tiles import tiles
from memplan.onnx.read import model_from_proto
from memplan.solving.tiler import tilers
from memplan.solving.testing import chain
from memplan.tiling.derive import derive
from tests.tiling import models

MODELS = (models.attention, models.residual_cnn, models.hourglass, models.quantized)


@cache
def graph_of(make: Callable[[], ModelProto]) -> Graph:
    return model_from_proto(make(), "net", ".", {}).graph


@cache
def front_of(make: Callable[[], ModelProto]) -> TilingFront:
    return memplan.tile_front(graph_of(make), io="external", inplace=True, time_limit_s=6)


def recounted(graph: Graph, derived: Graph) -> float:
    """What the derived graph computes by the boxes of its tiles, as a multiple of what the graph does."""
    op_of = {op.name: op for op in graph.ops}
    spent = 0.0
    for op in derived.ops:
        name, box = op.tile or (op.name, ())
        shape = graph.tensor[op_of[name].results[0]].shape or ()
        part = prod(stop - first for first, stop in box) / prod(shape) if box else 1.0
        spent += part * (op_of[name].flops or 0)
    return spent / sum(op.flops or 0 for op in graph.ops)


@pytest.mark.parametrize("make", MODELS)
def test_no_point_of_a_front_beats_another_one_and_all_are_what_they_say(
    make: Callable[[], ModelProto],
) -> None:
    graph, points = graph_of(make), front_of(make).points
    assert all(a.macs < b.macs and a.peak > b.peak for a, b in zip(points, points[1:], strict=False))
    for point in points:
        derived = derive(graph, point.tiling)
        assert tiles(graph, derived) == [] and len(derived.ops) == point.ops
        assert recounted(graph, derived) == pytest.approx(point.macs, rel=1e-9)


@pytest.mark.parametrize("make", MODELS)
def test_tiles_are_never_worse_than_none(make: Callable[[], ModelProto]) -> None:
    graph, front = graph_of(make), front_of(make)
    options = {
        "scratchpad": "max",
        "objective": "peak",
        "io": "external",
        "inplace": True,
        "order": "program",
    }
    untiled = memplan.plan(graph, **options, time_limit_s=2)
    assert untiled.value is not None and front.within(1).peak <= untiled.value
    best = front.within()
    assert best.peak < untiled.value
    planned = memplan.plan(graph, **options, tiling=best.tiling, time_limit_s=4)
    assert memplan.check(graph, planned) == [] and planned.value is not None
    assert planned.value <= best.peak * 1.05  # it is packed within a time limit


def point(macs: float, peak: int) -> TilingPoint:
    return TilingPoint((), peak, macs, 1, "by type")


def test_any_point_can_be_asked_for() -> None:
    front = TilingFront("net", (point(1.0, 100), point(1.1, 50), point(1.5, 20)), 0.0)
    assert [front.within(factor).peak for factor in (1, 1.1, 1.49, 2)] == [100, 50, 50, 20]
    assert [front.within(peak=peak).macs for peak in (100, 99, 20)] == [1.0, 1.1, 1.5]
    with pytest.raises(OptionError, match="needs 30 bytes and computes 1.2 times as much") as refused:
        front.within(1.2, 30)
    assert "the least was 50 bytes" in refused.value.hint


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(OptionError, match="a factor of 0.5"):
        memplan.tile(chain(3), macs=0.5)


def test_a_peak_is_asked_for() -> None:
    graph, front = graph_of(models.quantized), front_of(models.quantized)
    wanted = front.points[-1].peak
    regions = memplan.tile(graph, macs=2, peak=int(wanted * 1.1), io="external", inplace=True, time_limit_s=6)
    assert regions and all(isinstance(region, Region) for region in regions)


def test_searches_are_plug_ins() -> None:
    assert [tiler.name for tiler in tilers()] == ["blocks", "intervals"]
