"""Fronts of tilings: no point beats another one, each is what it says, and none is worse than no tiles."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import pytest
from onnx import ModelProto

import memplan
from memplan import Graph, OptionError, TilingFront, TilingPoint
from memplan.judge.check.tiles import tiles
from memplan.solving.capacities import NotFoundInTime
from memplan.solving.planning import PlanOptions
from memplan.solving.testing import chain
from memplan.solving.tiler import tilers
from memplan.solving.tiling import not_worse_than_untiled
from memplan.tiling.derive import derive
from memplan.tiling.measures import mac_factor
from tests.tiling import models

MODELS = (models.attention, models.wide_middle, models.hourglass, models.quantized)


def graph_of(make: Callable[[], ModelProto]) -> Graph:
    return models.loaded(make).graph


@cache
def front_of(make: Callable[[], ModelProto]) -> TilingFront:
    return memplan.tile_front(graph_of(make), io="resident", inplace=True, time_limit_s=1)


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


@pytest.mark.slow(reason="searches tiles")
@pytest.mark.parametrize("make", MODELS)
def test_no_point_of_a_front_beats_another_one_and_all_are_what_they_say(
    make: Callable[[], ModelProto],
) -> None:
    graph, points = graph_of(make), front_of(make).points
    assert make is not models.attention or any(p.live_external < p.live_resident for p in points)
    assert all(a.macs < b.macs and a.peak > b.peak for a, b in zip(points, points[1:], strict=False))
    for point in points:
        derived = derive(graph, point.tiling)
        assert tiles(graph, derived) == [] and len(derived.ops) == point.ops
        assert recounted(graph, derived) == pytest.approx(point.macs, rel=1e-9)
        assert point.live_external <= point.live_resident <= point.peak


@pytest.mark.slow(reason="searches tiles")
@pytest.mark.parametrize("make", MODELS)
def test_tiles_are_never_worse_than_none(make: Callable[[], ModelProto]) -> None:
    graph, front = graph_of(make), front_of(make)
    options = {
        "scratchpad": "max",
        "objective": "peak",
        "io": "resident",
        "inplace": True,
        "order": "program",
    }
    untiled = memplan.plan(graph, **options, time_limit_s=2)
    assert untiled.value is not None and front.within(1).peak <= untiled.value
    best = front.within()
    assert make is not models.wide_middle or best.peak < untiled.value / 2
    planned = memplan.plan(graph, **options, tiling=best.tiling, time_limit_s=4)
    assert memplan.check(graph, planned) == [] and planned.value is not None
    assert planned.value <= best.peak * 1.05  # it is packed within a time limit


def point(macs: float, peak: int) -> TilingPoint:
    return TilingPoint((), peak, macs, 1, peak, peak)


def test_any_point_can_be_asked_for() -> None:
    front = TilingFront(chain(1), (point(1.0, 100), point(1.1, 50), point(1.5, 20)), 0.0)
    assert [front.within(factor).peak for factor in (1, 1.1, 1.49, 2)] == [100, 50, 50, 20]
    assert [front.within(peak=peak).macs for peak in (100, 99, 20)] == [1.0, 1.1, 1.5]
    with pytest.raises(OptionError, match="needs 30 bytes and computes 1.2 times as much") as refused:
        front.within(1.2, 30)
    assert "the least was 50 bytes" in refused.value.hint


def test_a_factor_below_one_is_refused() -> None:
    with pytest.raises(OptionError, match="a factor of 0.5"):
        memplan.tile(chain(3), macs=0.5)


def test_who_does_not_wait_for_compilers_does_not_for_those_of_tilings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waited = list[bool]()

    def planned(*words: Any, compiles: bool = True, **options: Any) -> memplan.Plan:
        waited.append(compiles)
        return memplan.plan(*words, compiles=compiles, **options)

    monkeypatch.setattr("memplan.solving.tiling.plan", planned)
    memplan.tile(chain(3), time_limit_s=1, compiles=False)
    assert waited and not any(waited)


@pytest.mark.slow(reason="searches tiles")
def test_the_regions_of_a_point_are_what_is_asked_for() -> None:
    graph, wanted = graph_of(models.wide_middle), front_of(models.wide_middle).within(1.2)
    options = {"macs": 1.2, "io": "resident", "inplace": True, "time_limit_s": 20}
    regions = memplan.tile(graph, peak=int(wanted.peak * 1.1), **options)
    assert regions and mac_factor(graph, derive(graph, regions)) <= 1.2


def test_searches_are_plug_ins() -> None:
    assert [tiler.name for tiler in tilers()] == ["blocks", "intervals"]


@pytest.mark.slow(reason="searches tiles")
def test_a_tiling_that_does_not_help_gives_way_to_the_untiled_plan() -> None:
    """Where any order is allowed, tiles of an elementwise op alone only add what they copy; those of the search help."""
    graph = graph_of(models.wide_middle)
    asked: PlanOptions = {"objective": "peak", "io": "resident", "inplace": True, "time_limit_s": 2}
    bad = (memplan.Region(("widen", "widen"), (2,), (1,)),)
    for tiling, kept in ((bad, ()), (front_of(models.wide_middle).within().tiling, None)):
        found = memplan.plan(graph, tiling=tiling, **asked)
        best = not_worse_than_untiled(graph, found, asked)
        assert best.tiling == (found.tiling if kept is None else kept)
        assert best.value is not None and found.value is not None and best.value <= found.value
        assert memplan.check(graph, best) == []


def test_a_plan_that_is_cut_short_records_its_tiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object) -> None:
        raise NotFoundInTime("M_P was not found", "give more time")

    monkeypatch.setattr("memplan.solving.planning.resolve_capacity", late)
    graph, tiling = graph_of(models.wide_middle), (memplan.Region(("widen", "relu1"), (2,), (4,)),)
    found = memplan.plan(graph, scratchpad="MH", tiling=tiling)
    assert (found.tiling, found.graph_sha256) == (tiling, graph.sha256)
