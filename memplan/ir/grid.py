"""Every combination of sizes that ranges allow, and columns: numbers that follow from them, one for each combination."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from memplan.base.errors import OptionError

Column = NDArray[Any]
"""A number for each point of a grid, the last dimension fastest."""

MOST_POINTS = 2**14
"""Combinations beyond which ranges are not looked at one by one, and so not at all."""


class Grid:
    """The points of the product of ranges, by name; the last point has every upper end.

    What is true of all points is proved, since there are no others. OptionError where they are too many to look at.
    """

    def __init__(self, ranges: Mapping[str, tuple[int, int]]) -> None:
        self.ranges = dict(ranges)
        self.lengths = [high - low + 1 for low, high in ranges.values()]
        self.points = math.prod(self.lengths)
        if self.points > MOST_POINTS:
            listed = ", ".join(f"{name}={low}..{high}" for name, (low, high) in ranges.items())
            raise OptionError(
                f"the ranges {listed} hold {self.points:,} sizes, of which at most {MOST_POINTS:,} are looked at",
                "give narrower ranges, or single sizes to some dimensions",
            )
        axes = [np.arange(low, high + 1, dtype=np.int64) for low, high in ranges.values()]
        self.columns = dict(zip(ranges, (m.ravel() for m in np.meshgrid(*axes, indexing="ij")), strict=True))

    def full(self, number: int) -> Column:
        """The column of a number that is the same everywhere."""
        return np.full(self.points, number, np.int64)

    def product(self, columns: Sequence[Column]) -> Column:
        """The product of columns, as of the sizes of a tensor's axes its elements."""
        found = self.full(1)
        for column in columns:
            found = found * column
        return found

    def fall(self, column: Column) -> tuple[int, int] | None:
        """Two neighbouring points, the first smaller in one dimension, between which the column falls; None
        where nowhere.
        """
        places = np.arange(self.points).reshape(self.lengths)
        values = column.reshape(self.lengths)
        for axis in range(len(self.lengths)):
            falls = np.argwhere(np.diff(values, axis=axis) < 0)
            if len(falls):
                at = tuple(falls[-1])
                after = tuple(x + (i == axis) for i, x in enumerate(at))
                return int(places[at]), int(places[after])
        return None

    def words(self, point: int) -> str:
        """The sizes at a point, for people."""
        return ", ".join(f"{name}={column[point]}" for name, column in self.columns.items())
