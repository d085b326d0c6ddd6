"""Random tilings of small models: whatever is derived computes what the whole does, and the checker accepts it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from onnx import ModelProto

from memplan import Graph, OptionError, Region
from memplan.ir.needs import cut_axes
from memplan.judge.check.tiles import tiles
from memplan.tiling.derive import derive
from tests.tiling import models
from tests.tiling.poisoned import execute
from tests.tiling.test_derive import reference

MODELS = (models.attention, models.residual_cnn, models.hourglass, models.quantized)


def random_tiling(graph: Graph, rng: random.Random) -> tuple[Region, ...]:
    """Regions of any length, axes, size, cache and number of slices, one behind the other."""
    regions, at = [], 0
    while at < len(graph.ops):
        last = min(len(graph.ops) - 1, at + int(rng.expovariate(0.3)))
        op = graph.ops[last]
        cut, shape = sorted(cut_axes(op)), graph.tensor[op.results[0]].shape or ()
        if not cut or rng.random() < 0.3:
            at += 1
            continue
        axes = tuple(sorted(rng.sample(cut, min(len(cut), rng.choice((1, 1, 2))))))
        size = tuple(rng.randint(1, shape[axis]) for axis in axes)
        cache, slices = rng.choice((None, *axes)), rng.choice((1, 1, 2, 5))
        regions.append(Region((graph.ops[at].name, op.name), axes, size, cache, slices))
        at = last + 1
    return tuple(regions)


def execute_random(make: Callable[[], ModelProto], rng: random.Random, count: int) -> None:
    """So many tilings that can be derived are checked and executed; of those drawn some cannot."""
    known, derived = reference(make), 0
    for _ in range(50 * count):
        tiling = random_tiling(known.graph, rng)
        try:
            graph = derive(known.graph, tiling)
        except OptionError:
            continue
        assert tiles(known.graph, graph) == [], tiling
        execute(known, graph)
        derived += 1
        if derived == count:
            return
    pytest.fail(f"only {derived} of {50 * count} tilings can be derived")


@pytest.mark.parametrize("make", MODELS)
def test_whatever_is_derived_computes_the_same(make: Callable[[], ModelProto]) -> None:
    execute_random(make, random.Random(11), 8)


@pytest.mark.slow
@pytest.mark.parametrize("make", MODELS)
def test_many_of_them(make: Callable[[], ModelProto]) -> None:
    execute_random(make, random.Random(12), 100)
