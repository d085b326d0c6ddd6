"""Blocks of rows: which runs are found, and that plans of them need less."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

import memplan
from memplan import Graph, Model, OptionError
from memplan.judge.check.tiles import tiles
from memplan.onnx.read import model_from_proto
from memplan.solving.blocks import live_bytes, runs
from memplan.solving.planning import make_problem
from memplan.solving.testing import chain
from memplan.tiling.derive import derive
from tests.tiling import models


@cache
def attention(rows: int = 128) -> Model:
    return model_from_proto(models.attention(rows), "net", ".", {})


def peak(graph: Graph, tiling: tuple[memplan.Region, ...] = ()) -> float:
    plan = memplan.plan(
        graph, scratchpad="max", objective="peak", io="resident", order="program", tiling=tiling
    )
    assert plan.value is not None and memplan.check(graph, plan) == []
    return plan.value


def test_scores_and_what_follows_them_row_by_row_are_one_run() -> None:
    graph = attention().graph
    number = {op.name: i for i, op in enumerate(graph.ops)}
    run = next(run for run in runs(graph) if run.first <= number["softmax"] <= run.last)
    assert run.first <= number["scores"] and run.last >= number["mixed"] and number["k.turn"] < run.first


def test_runs_share_no_op_and_compute_nothing_twice() -> None:
    graph = attention().graph
    found = runs(graph)
    assert all(one.last < other.first for one, other in zip(found, found[1:], strict=False))
    regions = tuple(
        memplan.Region((graph.ops[run.first].name, graph.ops[run.last].name), (run.axis,), (50,))
        for run in found
    )
    derived = derive(graph, regions)
    assert tiles(graph, derived) == []
    assert sum(op.flops or 0 for op in derived.ops) == sum(op.flops or 0 for op in graph.ops)


def test_live_bytes_are_the_least_peak_of_the_programs_order() -> None:
    for inplace in (False, True):
        problem = make_problem(
            attention().graph, io="resident", objective="peak", inplace=inplace, order="program"
        )
        plan = memplan.plan(
            attention().graph,
            scratchpad="max",
            io="resident",
            objective="peak",
            inplace=inplace,
            order="program",
        )
        assert max(live_bytes(problem)) == plan.value


@pytest.mark.slow(reason="searches tiles")
def test_tiles_need_a_fraction_of_what_the_whole_needs() -> None:
    graph = attention(64).graph
    tiling = memplan.tile(graph, io="resident")
    assert peak(graph, tiling) < 0.25 * peak(graph)


def test_a_model_that_no_tiles_help_gets_none() -> None:
    assert memplan.tile(chain(6)) == ()


def test_a_model_with_a_range_of_sizes_is_refused() -> None:
    ranged = replace(attention(), dims={"N": (1, 4)})
    with pytest.raises(OptionError, match="cannot be cut into tiles while N has a range"):
        memplan.tile(ranged)
    with pytest.raises(OptionError, match="cannot be cut into tiles while N has a range"):
        memplan.plan(ranged, tiling=[memplan.Region(("softmax", "softmax"), (2,), (64,))])
