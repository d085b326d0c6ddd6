"""What the tiles of a region need of its ops, found op by op backwards from the last one, and what that takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from memplan.ir.boxes import contiguous
from memplan.ir.needs import cut_axes
from memplan.ir.parts import Access
from memplan_solvers.tiling.accounts import Accounts, Bytes
from memplan_solvers.tiling.candidates import Candidates
from memplan_solvers.tiling.loops import Flags, Reach, asked, measured, read_at_once, same, tiles_of

Reader = tuple[int, int]
"""Who reads a tensor: the op's program position, and the number of the operand."""


class Reaches:
    """The ops of a region so far, by program position, and what the tiles need of them along each loop; None where that
    is all of it in any tile.

    Args:
        accounts: of the problem.
        ways: to cut the region.
    """

    def __init__(self, accounts: Accounts, ways: Candidates) -> None:
        self.accounts, self.ways = accounts, ways
        first = [tiles_of(found, ways.size[found.axis]) for found in ways.loops]
        self.reach: dict[int, list[Reach | None]] = {ways.last: list(first)}
        self.readers: dict[str, list[Reader]] = {}
        self.void = np.zeros(len(ways.tiles), bool)
        """By candidate whether a tile needs nothing but padding of an operand: it is none."""

    def extend(self, position: int) -> bool:
        """Take in the op before those that are in the region; whether that can be."""
        if position != self.ways.last:
            found = self._reached(position)
            if found is None:
                return False
            self.reach[position] = found
        for operand, name in enumerate(self.accounts.graph.ops[position].inputs):
            self.readers.setdefault(name, []).append((position, operand))
            self.void = self.void | self._void(position, operand)
        return True

    def _void(self, position: int, operand: int) -> Flags:
        found = np.zeros(len(self.ways.tiles), bool)
        op = self.accounts.graph.ops[position]
        shape = self.accounts.graph.tensor[op.inputs[operand]].shape or ()
        for reach, this, picked in zip(self.reach[position], self.ways.loops, self.ways.picked, strict=True):
            axis = None if reach is None or not op.needs else follows(op.needs[operand], reach.axis)
            access = None if axis is None else op.needs[operand][axis]
            if reach is not None and axis is not None and access is not None:
                first, stop = asked(reach, access, shape[axis])
                found |= np.logical_or.reduceat(~reach.empty & (first >= stop), this.starts)[picked]
        return found

    def escapes(self, position: int) -> bool:
        """Whether a result of an op before the last one is wanted behind the region."""
        op = self.accounts.graph.ops[position]
        wanted = self.accounts.stop(op) > self.ways.last + 1
        return position != self.ways.last and (
            wanted or any(name in self.accounts.graph.outputs for name in op.results)
        )

    def readers_of(self, position: int) -> list[Reader]:
        """Who of the region reads what the op makes."""
        ops = self.accounts.graph.ops
        return [reader for name in ops[position].results for reader in self.readers.get(name, ())]

    def _reached(self, position: int) -> list[Reach | None] | None:
        """What the tiles need of the op along each loop; None where it cannot be in the region, or all need all of it."""
        graph, op = self.accounts.graph, self.accounts.graph.ops[position]
        shape, cut, escapes = self.accounts.shape(position), cut_axes(op), self.escapes(position)
        readers = self.readers_of(position)
        if not readers:
            return None
        found: list[Reach | None] = []
        for number, this in enumerate(self.ways.loops):
            asked_for = []
            axes: set[int | None] = set()
            for reader, operand in readers:
                reach, needs = self.reach[reader][number], graph.ops[reader].needs
                axis = None if reach is None or not needs else follows(needs[operand], reach.axis)
                axes.add(axis if axis in cut else None)
                if reach is not None and axis is not None:
                    access = needs[operand][axis]
                    assert access is not None
                    size = (graph.tensor[graph.ops[reader].inputs[operand]].shape or ())[axis]
                    asked_for.append(asked(reach, access, size))
            axis = axes.pop() if len(axes) == 1 else None
            if axis is None:
                found.append(None)
                continue
            first = np.minimum.reduce([a for a, _ in asked_for])
            stop = np.maximum.reduce([b for _, b in asked_for])
            found.append(measured(this, axis, shape[axis], first, stop, escapes))
        return found if any(reach is not None for reach in found) else None

    def along_one(self, position: int) -> Flags:
        """By candidate whether what the tiles need of the op varies along one loop at most."""
        varies = np.zeros(len(self.ways.tiles), int)
        for reach, this, picked in zip(self.reach[position], self.ways.loops, self.ways.picked, strict=True):
            if reach is not None:
                varies += (np.bincount(this.choice) > 1)[picked]
        one: Flags = varies <= 1
        return one

    def varies(self, reader: int, operand: int) -> bool:
        """Whether what the op needs of its operand varies with the tiles."""
        needs = self.accounts.graph.ops[reader].needs
        return any(
            reach is not None and follows(needs[operand], reach.axis) is not None
            for reach in self.reach[reader]
        )

    def chunk(self, position: int) -> tuple[Bytes, Bytes]:
        """Bytes of what the tiles have of an op's results, and of what of it stays from tile to tile; nothing of what is
        there whole."""
        op, none = self.accounts.graph.ops[position], np.zeros(len(self.ways.tiles))
        if op.view or position == self.ways.last or self.escapes(position):
            return none, none
        unit = sum(self._unit(position, name) for name in op.results)
        there = unit * self.product(position, "live")
        return there, np.where(self.ways.cached, unit * self.product(position, "stay"), 0)

    def in_pieces(self, position: int, reader: int, operand: int) -> Bytes:
        """What a reader's step takes more, or less, since the op it reads is in the region: it gathers what does not lie in
        one piece, and may write over what does."""
        op, by = self.accounts.graph.ops[position], self.accounts.graph.ops[reader]
        together = np.ones(len(self.ways.tiles), bool)
        for number, picked in enumerate(self.ways.picked):
            together &= self._same(number, position, reader, operand)[picked]
        read = self.read(reader, operand)[0] * self.slice(reader)
        more = np.where(together, 0, read) - self.gathered(reader, operand)
        over = any(under == by.inputs[operand] for _, under in by.overwrites)
        if over and self.accounts.problem.options.inplace and reader == self.accounts.stop(op) - 1:
            there, stays = self.chunk(reader)
            written = np.minimum(self.chunk(position)[0], np.where(there > stays, there - stays, there))
            more = more - np.where(together, written, 0)
        return more

    def product(self, position: int, measure: str) -> Bytes:
        """By candidate the product of what is measured of an op along the loops."""
        found = np.ones(len(self.ways.tiles))
        for reach, picked in zip(self.reach[position], self.ways.picked, strict=True):
            if reach is not None:
                found = found * getattr(reach, measure)[picked]
        return found

    def flops(self, position: int) -> Bytes:
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        found: Bytes = self.accounts.flops[position] / prod(sizes) * self.product(position, "total")
        return found

    def scattered(self, position: int) -> Bytes:
        """Bytes that a tile op copies into a tensor that is whole, where its box does not lie contiguous there."""
        axes = [reach.axis for reach in self.reach[position] if reach is not None]
        if _adjoining(self.accounts.shape(position), axes):
            return np.zeros(len(self.ways.tiles))
        name = self.accounts.graph.ops[position].results[0]
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        nbytes = self.accounts.graph.tensor[name].nbytes / prod(sizes) * self.slice(position)
        return nbytes * self.product(position, "part")

    def read(self, position: int, operand: int) -> tuple[Bytes, list[int]]:
        """Bytes of an operand that a tile op reads at once, and the axes along which that is a part of it."""
        op = self.accounts.graph.ops[position]
        tensor = self.accounts.graph.tensor[op.inputs[operand]]
        shape, axes = tensor.shape or (), list[int]()
        found = np.full(len(self.ways.tiles), float(tensor.nbytes))
        if not op.needs or op.view or tensor.kind == "constant":
            return 0 * found, axes
        for reach, this, picked in zip(self.reach[position], self.ways.loops, self.ways.picked, strict=True):
            axis = None if reach is None else follows(op.needs[operand], reach.axis)
            access = None if axis is None else op.needs[operand][axis]
            if reach is not None and axis is not None and access is not None:
                axes.append(axis)
                found *= read_at_once(this, reach, access, shape[axis])[picked] / shape[axis]
        return found, axes

    def gathered(self, position: int, operand: int) -> Bytes:
        """Bytes of an operand that a tile op gathers where it is there whole."""
        tensor = self.accounts.graph.tensor[self.accounts.graph.ops[position].inputs[operand]]
        read, axes = self.read(position, operand)
        apart = (read < tensor.nbytes) & (not _adjoining(tensor.shape or (), axes))
        return np.where(apart, read * self.slice(position), 0)

    def slice(self, position: int) -> Bytes:
        """By candidate which share of an op's channels a slice has: so much of what is copied is copied at once."""
        channels = self.accounts.channels(position)
        return np.ceil(channels / self.ways.slices) / channels

    def ops(self, position: int) -> Bytes:
        """How many ops the tiles of an op are: windows are copied, and those of channels in slices."""
        needs = self.accounts.graph.ops[position].needs
        slid = any(access != Access(access.axis) for access in (needs or [()])[0] if access is not None)
        found = np.ones(len(self.ways.tiles))
        for reach, this, picked in zip(self.reach[position], self.ways.loops, self.ways.picked, strict=True):
            found = found * (np.bincount(this.choice) if reach is None else reach.parts)[picked]
        return found / self.slice(position) if slid else found

    def workspace(self, position: int) -> Bytes:
        """Bytes of what a tile op gathers if its operands are there whole, and of what the op itself needs."""
        op = self.accounts.graph.ops[position]
        found = np.zeros(len(self.ways.tiles))
        for operand in range(len(op.inputs)):
            found = found + self.gathered(position, operand)
        return found + (self.accounts.graph.tensor[op.workspace].nbytes if op.workspace is not None else 0)

    def _same(self, number: int, position: int, reader: int, operand: int) -> Flags:
        """By choice of a loop whether the reader's tiles ask for just what the op's tiles make."""
        needs, this = self.accounts.graph.ops[reader].needs, self.ways.loops[number]
        made, by = self.reach[position][number], self.reach[reader][number]
        access = None if made is None or not needs else needs[operand][made.axis]
        if made is None or by is None or access is None:
            return np.full(len(this.sizes), made is None and (by is None or access is None))
        return same(this, asked(by, access, made.size), made, by)

    def first(self, number: int, reader: int, operand: int) -> NDArray[np.float64]:
        """By tile of a loop where what the reader needs of its operand begins, as a share of the axis."""
        reach, op = self.reach[reader][number], self.accounts.graph.ops[reader]
        axis = None if reach is None or not op.needs else follows(op.needs[operand], reach.axis)
        access = None if axis is None else op.needs[operand][axis]
        if reach is None or axis is None or access is None:
            return np.zeros(len(self.ways.loops[number].choice))
        size = (self.accounts.graph.tensor[op.inputs[operand]].shape or ())[axis]
        return np.minimum(asked(reach, access, size)[0] / size, 1)

    def _unit(self, position: int, name: str) -> float:
        """Bytes of a tensor, as long as the op's result along the loops, by element of these axes."""
        if not self.accounts.placed(name):
            return 0.0
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        return self.accounts.graph.tensor[name].nbytes / prod(sizes)


def follows(axes: Sequence[Access | None], axis: int) -> int | None:
    """The axis of an operand that follows this axis of the result."""
    return next((k for k, access in enumerate(axes) if access is not None and access.axis == axis), None)


def _adjoining(shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether a part of a row-major tensor along these axes lies in one piece."""
    part = tuple((0, max(size // 2, 1) if axis in axes else size) for axis, size in enumerate(shape))
    return contiguous(part, tuple((0, size) for size in shape))
