"""What a tiling computes again, and whether its results stay the same bit for bit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from onnx import ModelProto

from memplan import Region
from memplan.onnx.read import model_from_proto
from memplan.tiling.derive import derive
from memplan.tiling.measures import exactness, mac_factor
from tests.tiling import models


@pytest.mark.parametrize(
    ("make", "ops", "axis", "exact"),
    [
        (models.quantized, ("qconv", "qconv"), 2, "by type"),
        (models.attention, ("scores", "mixed"), 2, "by rule"),
        (models.residual_cnn, ("conv1", "relu1"), 2, "no"),
    ],
)
def test_exactness_is_that_of_the_weakest_op(
    make: Callable[[], ModelProto], ops: tuple[str, str], axis: int, exact: str
) -> None:
    graph = model_from_proto(make(), "net", ".", {}).graph
    assert exactness(graph, derive(graph, (Region(ops, (axis,), (2,)),))) == exact


def test_a_halo_is_counted_where_it_is_computed_again() -> None:
    graph = model_from_proto(models.residual_cnn(), "net", ".", {}).graph
    ops = ("conv1", "mean")
    kept, again = (mac_factor(graph, derive(graph, (Region(ops, (2,), (2,), cache),))) for cache in (2, None))
    assert kept == pytest.approx(1) and again > 1.1
    assert mac_factor(graph, graph) == 1
