"""Regions that make no sense are refused."""

from __future__ import annotations

from typing import Any

import pytest

from memplan import OptionError
from memplan.tiling.record import Region


@pytest.mark.parametrize(
    ("axes", "tile", "cache"),
    [((), (), None), ((1, 2), (3,), None), ((2, 1), (1, 1), None), ((1, 1), (1, 1), None), ((-1,), (1,), None),
     ((1,), (0,), None), ((1,), (2,), 2)],
)  # fmt: skip
def test_a_region_whose_fields_do_not_fit_is_refused(axes: Any, tile: Any, cache: Any) -> None:
    with pytest.raises(OptionError):
        Region(("a", "b"), axes, tile, cache)


def test_a_region_is_written_as_plan_files_have_it() -> None:
    found = Region(("a", "b"), (2, 3), (4, 8), 3).to_dict()
    assert found == {"ops": ["a", "b"], "axes": [2, 3], "tile": [4, 8], "cache": 3, "slices": 1}
