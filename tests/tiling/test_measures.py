"""What a tiling computes again."""

from __future__ import annotations

import pytest

from memplan import Region
from memplan.onnx.read import model_from_proto
from memplan.tiling.derive import derive
from memplan.tiling.measures import mac_factor
from tests.tiling import models


def test_a_halo_is_counted_where_it_is_computed_again() -> None:
    graph = model_from_proto(models.residual_cnn(), "net", ".", {}).graph
    ops = ("conv1", "mean")
    kept, again = (mac_factor(graph, derive(graph, (Region(ops, (2,), (2,), cache),))) for cache in (2, None))
    assert kept == pytest.approx(1) and again > 1.1
    assert mac_factor(graph, graph) == 1
