"""The ways to cut the result of one op into tiles, which are the elements of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memplan.tiling.record import Region
from memplan_solvers.tiling.accounts import Accounts, Bytes
from memplan_solvers.tiling.loops import Flags, loop

MOST_TILES = 128
"""The most tiles along one axis."""

MOST_OPS = 3072
"""The most tile ops of one region: so many are derived and planned in some seconds."""

SLICES = (1, 4, 16)
"""Into how many slices channels are cut."""

SHORT = 1 / 8
"""Pieces are short along an axis if they have no more than so much of its elements."""


class Candidates:
    """Sizes of tiles along some axes of an op's result, along which of them what was made is kept, and numbers of slices.

    Args:
        accounts: of the problem.
        last: the program position of the op.
        axes: of its result.
    """

    def __init__(self, accounts: Accounts, last: int, axes: Sequence[int]) -> None:
        self.accounts, self.last, self.size = accounts, last, accounts.shape(last)
        self.loops = [loop(axis, self.size[axis], MOST_TILES, axis in accounts.slid) for axis in axes]
        self.picked = self._picked()

    def _picked(self) -> list[NDArray[np.int64]]:
        """For each loop the choices of the candidates: at most one of the loops keeps what it made, one is cut."""
        grids = np.meshgrid(*(np.arange(len(found.sizes)) for found in self.loops), indexing="ij")
        flat = [grid.ravel() for grid in grids]
        cached = sum(found.cached[k].astype(int) for found, k in zip(self.loops, flat, strict=True))
        tiles = np.ones(len(flat[0]))
        for found, k in zip(self.loops, flat, strict=True):
            tiles *= np.bincount(found.choice)[k]
        fits = (cached <= 1) & (tiles > 1) & (tiles <= MOST_OPS)
        self.tiles: Bytes = np.tile(tiles[fits], len(SLICES))
        self.slices = np.repeat(SLICES, int(fits.sum()))
        return [np.tile(k[fits], len(SLICES)) for k in flat]

    @cached_property
    def short(self) -> dict[int, Flags]:
        """By axis whether the candidates' tiles are short along it."""
        return {
            found.axis: (found.sizes <= SHORT * self.size[found.axis])[picked]
            for found, picked in zip(self.loops, self.picked, strict=True)
            if found.axis in self.accounts.slid
        }

    @cached_property
    def cached(self) -> Flags:
        """Whether the candidates keep what they made along one of the axes."""
        found = np.zeros(len(self.tiles), bool)
        for this, picked in zip(self.loops, self.picked, strict=True):
            found |= this.cached[picked]
        return found

    def outer(self, number: int) -> Flags:
        """By candidate whether the loop of this number is the outermost one."""
        mine, others = self.loops[number], [k for k in range(len(self.loops)) if k != number]
        cut = [found.sizes < self.size[found.axis] for found in self.loops]
        outer = cut[number][self.picked[number]]
        for other in others:
            inner = (
                mine.cached[self.picked[number]]
                if number < other
                else ~self.loops[other].cached[self.picked[other]]
            )
            outer = outer & ~(cut[other][self.picked[other]] & inner)
        return outer

    def region(self, first: int, candidate: int) -> Region:
        """The record of a candidate of the region that begins with `first`."""
        axes, sizes, cache = [], [], None
        for found, picked in zip(self.loops, self.picked, strict=True):
            choice = picked[candidate]
            if found.sizes[choice] < self.size[found.axis]:
                axes.append(found.axis)
                sizes.append(int(found.sizes[choice]))
                cache = found.axis if found.cached[choice] else cache
        ops = self.accounts.graph.ops
        names = (ops[first].name, ops[self.last].name)
        return Region(names, tuple(axes), tuple(sizes), cache, int(self.slices[candidate]))
