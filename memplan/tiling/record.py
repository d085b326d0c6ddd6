"""What a plan records of its tiling: which ops were cut into tiles, along which axes, of which size."""

from __future__ import annotations

from dataclasses import dataclass

from memplan.base.errors import OptionError


@dataclass(frozen=True)
class Region:
    """Ops that adjoin in the program, and are executed tile by tile of what the last of them makes.

    Args:
        ops: the names of the first and of the last one.
        axes: axes of the last one's result that are cut, in rising order.
        tile: for each of them how many elements a tile has; the last tile has what is left.
        cache: the one of `axes` along which what tiles before have made is kept, so that nothing is computed twice
            for its sake: it is the innermost loop. None where every tile computes all that it needs.
        slices: into how many parts the channels of a tile are cut where an op works on each alone (`slices.slice_axis`)
            and has to copy what it reads or makes, so that it copies but a part of that at once.

    Raises:
        OptionError: these do not fit each other.
    """

    ops: tuple[str, str]
    axes: tuple[int, ...]
    tile: tuple[int, ...]
    cache: int | None = None
    slices: int = 1

    def __post_init__(self) -> None:
        if not self.axes or len(self.axes) != len(self.tile) or list(self.axes) != sorted(set(self.axes)):
            raise OptionError(
                f"a region is cut along the axes {self.axes} into tiles of {self.tile}",
                "give a size for each axis, the axes in rising order",
            )
        if min(self.axes) < 0 or min(*self.tile, self.slices) < 1:
            raise OptionError(
                f"a region is cut along the axes {self.axes} into tiles of {self.tile} in {self.slices} slices",
                "axes count from 0, sizes and slices from 1",
            )
        if self.cache is not None and self.cache not in self.axes:
            raise OptionError(
                f"a region keeps what it made along axis {self.cache}", f"it is cut along {self.axes}"
            )

    def to_dict(self) -> dict[str, object]:
        """The region as plan files have it."""
        return {
            "ops": list(self.ops),
            "axes": list(self.axes),
            "tile": list(self.tile),
            "cache": self.cache,
            "slices": self.slices,
        }


Tiling = tuple[Region, ...]
"""Regions in the order of the program, which share no op."""
