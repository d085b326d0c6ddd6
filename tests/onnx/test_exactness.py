"""What tiles promise of their bits, rule by rule; `tests/runtimes/test_tiles.py` holds random tilings to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto

from memplan import Region
from memplan.onnx.exactness import exact_regions, exactness_text
from memplan.tiling.calls import calls
from memplan.tiling.derive import derive
from tests.onnx_models import model, value, weight
from tests.tiling import models
from tests.tiling.models import node


def said(make: Callable[[], ModelProto], *regions: Region) -> str:
    graph = models.loaded(make).graph
    return exactness_text(graph, calls(graph, derive(graph, regions)).values())


def product(rows: int, k: int, columns: int) -> Callable[[], ModelProto]:
    return lambda: model(
        [node("MatMul", ["x", "w"], ["y"], name="product")],
        [value("x", [1, rows, k])],
        [value("y", [1, rows, columns])],
        [weight("w", np.ones((k, columns), np.float32))],
    )


def convolution(channels: int, size: int) -> Callable[[], ModelProto]:
    return lambda: model(
        [node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 1, 1])],
        [value("x", [1, channels, size, size])],
        [value("y", [1, 4, size, size])],
        [weight("w", np.ones((4, channels, 3, 3), np.float32))],
    )


@pytest.mark.parametrize(
    ("make", "region", "text"),
    [
        (models.qdq, Region(("pool", "pool"), (2,), (2,)), "by type"),
        (models.qdq, Region(("x.dq", "pool"), (2,), (2,), 2), "by rule"),
        (models.quantized, Region(("qconv", "qadd"), (2,), (3,)), "by type"),
        (models.attention, Region(("q.turn", "q.turn"), (2,), (3,)), "by type"),
        (models.attention, Region(("scores", "mixed"), (2,), (4,)), "by rule"),
        (models.hourglass, Region(("up", "up"), (2,), (2,)), "no, for op 'up'"),
        (product(12, 300, 40), Region(("product", "product"), (1,), (6,)), "by rule"),
        (product(12, 300, 40), Region(("product", "product"), (1,), (1,)), "no, for op 'product'"),
        (product(12, 300, 40), Region(("product", "product"), (2,), (20,)), "no, for op 'product'"),
        (product(12, 128, 40), Region(("product", "product"), (2,), (20,)), "by rule"),
        (product(12, 300, 160), Region(("product", "product"), (2,), (80,)), "by rule"),
        (convolution(14, 8), Region(("conv", "conv"), (2,), (4,)), "by rule"),
        (convolution(15, 8), Region(("conv", "conv"), (2,), (4,)), "no, for op 'conv'"),
        (convolution(15, 20), Region(("conv", "conv"), (2,), (4,)), "by rule"),
        (convolution(15, 20), Region(("conv", "conv"), (1,), (2,)), "by rule"),
        (convolution(15, 20), Region(("conv", "conv"), (1,), (1,)), "no, for op 'conv'"),
    ],
)  # fmt: skip
def test_a_tiling_says_how_exact_it_is(make: Any, region: Region, text: str) -> None:
    assert said(make, region) == text


def test_the_least_sure_op_is_named() -> None:
    regions = Region(("conv1", "relu6"), (2,), (2,), 2), Region(("conv3", "conv3"), (2, 3), (1, 1))
    assert said(models.residual_cnn, *regions) == "no, for op 'conv3'"


def test_regions_are_cut_short_so_that_they_are_exact() -> None:
    graph = models.loaded(models.residual_cnn).graph
    long = Region(("conv1", "batchnorm"), (2,), (3,))
    tiny = Region(("conv1", "conv1"), (2, 3), (1, 1))
    assert exact_regions(graph, (long,)) == (long,)
    assert exact_regions(graph, (replace(long, ops=("conv1", "mean")),)) == ()  # its last op is not
    assert exact_regions(graph, (tiny, Region(("conv3", "mean"), (2,), (2,)))) == ()
    up = models.loaded(models.hourglass).graph
    assert exact_regions(up, (Region(("up", "conv4"), (3,), (2,), 3),)) == (
        Region(("transposed", "conv4"), (3,), (2,), 3),
    )


def test_nothing_that_is_cut_is_exact() -> None:
    assert said(models.residual_cnn) == "by type"


def test_approximated_elements_are_to_fill_vectors() -> None:
    assert said(models.attention, Region(("erf", "erf"), (1,), (4,))) == "by rule"  # 4 rows of 32
    rows = models.attention
    assert (
        said(lambda: rows(size=3), Region(("erf", "erf"), (1,), (5,))) == "no, for op 'erf'"
    )  # 5 rows of 24
