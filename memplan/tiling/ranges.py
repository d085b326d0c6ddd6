"""What each tile of a region computes: boxes of its ops' results, by going backwards from the region's last op."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

from memplan.base.errors import OptionError
from memplan.ir.boxes import Box, hull, whole
from memplan.ir.graph import Graph
from memplan.ir.needs import cut_axes, needed
from memplan.ir.parts import Access
from memplan.tiling.record import Region

Index = tuple[int, ...]
"""The number of a tile along each of its region's axes."""

Boxes = dict[int, Box]
"""Boxes of results by the program position of their op."""

Readers = dict[str, list[tuple[int, int]]]
"""Who reads a tensor: program position and number of the operand."""


class Kept(NamedTuple):
    """Along which of the region's axes, by number, what an op has made is kept, and along which axis of its results."""

    loop: int
    axis: int


class Work(NamedTuple):
    """The op at `position` of the program computes `box` of its results, in the tile of that number."""

    position: int
    tile: Index
    box: Box


@dataclass(frozen=True)
class Ranges:
    """A region of a graph, and what its tiles compute.

    Args:
        graph: what is tiled.
        region: the record.
        escaping: names of the tensors of the region that are wanted outside of it.

    Raises:
        OptionError: the region cannot be tiled like this.
    """

    graph: Graph
    region: Region
    escaping: frozenset[str]

    @cached_property
    def positions(self) -> range:
        """The region's ops, by program position."""
        number = {op.name: i for i, op in enumerate(self.graph.ops)}
        for name in self.region.ops:
            if name not in number:
                raise OptionError(f"a region is to begin or end with '{name}', which is no op", "name an op")
        first, last = (number[name] for name in self.region.ops)
        if last < first:
            raise OptionError(
                f"a region begins with '{self.region.ops[0]}', which comes after '{self.region.ops[1]}'",
                "name the first op in the program's order first",
            )
        return range(first, last + 1)

    @cached_property
    def tiles(self) -> list[tuple[Index, Box]]:
        """Tiles of the last op's result in the order in which they are computed, the cached axis innermost."""
        box = made_by(self.graph, self.positions[-1])
        cuts = []
        for axis, size in zip(self.region.axes, self.region.tile, strict=True):
            if axis >= len(box) or axis not in cut_axes(self.graph.ops[self.positions[-1]]):
                raise OptionError(
                    f"op '{self.region.ops[1]}' cannot be cut along axis {axis} of its result",
                    "cut along another axis, or end the region elsewhere",
                )
            stop = box[axis][1]
            cuts.append([(a, min(a + size, stop)) for a in range(0, stop, size)])
        order = sorted(range(len(cuts)), key=lambda loop: self.region.axes[loop] == self.region.cache)
        tiles = []
        for numbers in product(*(range(len(cuts[loop])) for loop in order)):
            index = tuple(numbers[order.index(loop)] for loop in range(len(cuts)))
            part = dict(zip(self.region.axes, (cuts[k][i] for k, i in enumerate(index)), strict=True))
            tiles.append((index, tuple(part.get(axis, interval) for axis, interval in enumerate(box))))
        return tiles

    def work(self) -> Iterator[Work]:
        """What is computed, in order; what is kept for a later tile apart from what is not."""
        for number, (index, _) in enumerate(self.tiles):
            cuts = self._cuts(number)
            for position in self.positions:
                if (box := self._made[0][number].get(position)) is not None:
                    yield from (Work(position, index, part) for part in _parts(box, cuts[position]))

    def _cuts(self, number: int) -> dict[int, set[tuple[int, int]]]:
        """Where boxes are parted in a tile, as pairs of an axis and an element, by the position of their op.

        They are where what a later tile needs begins, so that all before it can go; and where those that read element by element are parted, so
        that these find what they read by itself, and may write over it.
        """
        made, firsts = self._made
        cuts: dict[int, set[tuple[int, int]]] = {}
        for position in reversed(self.positions):
            own = cuts.setdefault(position, set())
            if (kept := self.kept.get(position)) is not None and position in made[number]:
                first, stop = made[number][position][kept.axis]
                wanted = firsts.get((position, self.scope(position, self.tiles[number][0])), [])
                later = wanted[bisect_right(wanted, first) : bisect_left(wanted, stop)]
                own |= {(kept.axis, at) for at in later}
            op = self.graph.ops[position]
            for reader, operand in self._readers.get(op.results[0], ()):
                if reader in made[number] and self.graph.ops[reader].needs:
                    follows = self.graph.ops[reader].needs[operand]
                    axes = {access: axis for axis, access in enumerate(follows) if axis in cut_axes(op)}
                    own |= {(axes[Access(axis)], at) for axis, at in cuts[reader] if Access(axis) in axes}
        return cuts

    def scope(self, position: int, index: Index) -> Index:
        """Tiles with the same scope share what the op at `position` makes."""
        kept = self.kept.get(position)
        loops = self._dependent[position] - ({kept.loop} if kept else set())
        return tuple(index[loop] for loop in sorted(loops))

    def reads_whole(self, position: int, operand: int) -> bool:
        """Whether the first tile needs the whole of an operand of the op."""
        op = self.graph.ops[position]
        shape = self.graph.tensor[op.inputs[operand]].shape or ()
        return needed(op, operand, shape, self.needed_by_all[0][position]) == whole(shape)

    @cached_property
    def kept(self) -> dict[int, Kept]:
        """Ops whose results stay until no later tile needs them: along the cached axis, and those wanted outside."""
        found = dict(self._escaping)
        for position in self.positions:
            for loop in self._dependent[position]:
                axes = self._varying(self.needed_by_all, position, loop)
                if self.region.axes[loop] == self.region.cache and len(axes) == 1:
                    found[position] = Kept(loop, axes.pop())
        return found

    @cached_property
    def _readers(self) -> Readers:
        return readers(self.graph, self.positions)

    @cached_property
    def needed_by_all(self) -> list[Boxes]:
        """For each tile all that it needs, whatever was made before."""
        return [self._backwards(index, tile, self._escaping) for index, tile in self.tiles]

    @cached_property
    def _dependent(self) -> dict[int, set[int]]:
        """For each op the loops on which depends what of it a tile needs."""
        loops = range(len(self.region.axes))
        return {
            position: {loop for loop in loops if self._varying(self.needed_by_all, position, loop)}
            for position in self.positions
        }

    def _varying(self, boxes: list[Boxes], position: int, loop: int) -> set[int]:
        """Axes along which what is needed of the op varies with the loop."""
        at = {index: boxes[number][position] for number, (index, _) in enumerate(self.tiles)}
        return {
            axis
            for index, box in at.items()
            for axis, (one, other) in enumerate(
                zip(box, at[(*index[:loop], 0, *index[loop + 1 :])], strict=True)
            )
            if one != other
        }

    @cached_property
    def _escaping(self) -> dict[int, Kept]:
        """Ops before the last one whose results are wanted outside: each is computed along one loop, and kept."""
        found = {}
        for position in self.positions[:-1]:
            wanted = next((name for name in self.graph.ops[position].results if name in self.escaping), None)
            if wanted is None:
                continue
            boxes = [self._backwards(index, tile, {}) for index, tile in self.tiles]
            varying = {
                Kept(loop, axis)
                for loop in range(len(self.region.axes))
                for axis in self._varying(boxes, position, loop)
            }
            full = made_by(self.graph, position)
            if len(varying) > 1 or any(
                boxes[0][position][axis] != full[axis]
                for axis in range(len(full))
                if axis not in {k.axis for k in varying}
            ):
                raise OptionError(
                    f"'{wanted}', which is needed outside of its region, is cut along several axes",
                    "end the region there, or cut along one axis",
                )
            if varying:
                found[position] = varying.pop()
        return found

    def _backwards(self, index: Index, tile: Box, escaping: Mapping[int, Kept]) -> Boxes:
        """What of each op the tile needs, if it computes all of it."""
        boxes: Boxes = {}
        for position in reversed(self.positions):
            box = (
                tile if position == self.positions[-1] else asked(self.graph, self._readers, position, boxes)
            )
            if box is None:
                raise OptionError(
                    f"no op of its region reads what op '{self.graph.ops[position].name}' makes",
                    "let the region begin after it, or end with it",
                )
            boxes[position] = widened(self.graph, position, self._reaching(position, index, box, escaping))
        return boxes

    def _reaching(self, position: int, index: Index, box: Box, escaping: Mapping[int, Kept]) -> Box:
        """The box, up to the ends of what is wanted outside in the first and last tile, so that nothing of it is missing."""
        kept = escaping.get(position)
        if kept is None:
            return box
        (first, stop), size = box[kept.axis], made_by(self.graph, position)[kept.axis][1]
        last = self.tiles[-1][0][kept.loop]
        part = (0 if index[kept.loop] == 0 else first, size if index[kept.loop] == last else stop)
        return (*box[: kept.axis], part, *box[kept.axis + 1 :])

    @cached_property
    def _made(self) -> tuple[list[Boxes], dict[tuple[int, Index], list[int]]]:
        """For each tile what is computed, without what was made before; and by position and scope of each op where along
        its kept axis begins what tiles ask for, in rising order."""
        done: dict[tuple[int, Index], int] = {}
        made: list[Boxes] = []
        firsts: dict[tuple[int, Index], set[int]] = {}
        for index, tile in self.tiles:
            boxes: Boxes = {}
            for position in reversed(self.positions):
                box = (
                    tile
                    if position == self.positions[-1]
                    else asked(self.graph, self._readers, position, boxes)
                )
                if box is None:
                    if position not in self._escaping:
                        continue
                    box = self.needed_by_all[len(made)][position]
                kept, key = self.kept.get(position), (position, self.scope(position, index))
                if kept is None:
                    if key not in done:
                        boxes[position], done[key] = widened(self.graph, position, box), 0
                    continue
                firsts.setdefault(key, set()).add(box[kept.axis][0])
                box = widened(self.graph, position, self._reaching(position, index, box, self._escaping))
                first, stop = max(box[kept.axis][0], done.get(key, 0)), box[kept.axis][1]
                if first < stop:
                    boxes[position] = (*box[: kept.axis], (first, stop), *box[kept.axis + 1 :])
                    done[key] = stop
            made.append(boxes)
        return made, {key: sorted(found) for key, found in firsts.items()}


def readers(graph: Graph, positions: Iterable[int]) -> Readers:
    """Who of these ops reads a tensor."""
    found: Readers = {}
    for position in positions:
        for operand, name in enumerate(graph.ops[position].inputs):
            found.setdefault(name, []).append((position, operand))
    return found


def made_by(graph: Graph, position: int) -> Box:
    """The box of all that an op makes of its first result."""
    return whole(graph.tensor[graph.ops[position].results[0]].shape or ())


def asked(graph: Graph, readers: Readers, position: int, boxes: Boxes) -> Box | None:
    """The hull of what those that compute `boxes` need of the op's results, None where they need nothing."""
    op, found, full = graph.ops[position], None, made_by(graph, position)
    for name in op.results:
        shape = graph.tensor[name].shape or ()
        for reader, operand in readers.get(name, ()):
            if reader in boxes:
                box = needed(graph.ops[reader], operand, shape, boxes[reader])
                if name != op.results[0]:
                    cut = cut_axes(op)
                    box = tuple(box[axis] if axis in cut else part for axis, part in enumerate(full))
                found = box if found is None else hull(found, box)
    return found


def widened(graph: Graph, position: int, box: Box) -> Box:
    """The box, whole along the axes along which the op cannot be cut."""
    cut = cut_axes(graph.ops[position])
    full = made_by(graph, position)
    return tuple(
        part if axis in cut else all_ for axis, (part, all_) in enumerate(zip(box, full, strict=True))
    )


def _parts(box: Box, cuts: Iterable[tuple[int, int]]) -> Iterator[Box]:
    """The box parted at each (axis, element) that lies inside it."""
    parts = [box]
    for axis, at in sorted(cuts):
        parts = [
            (*part[:axis], interval, *part[axis + 1 :])
            for part in parts
            for interval in _interval_parts(*part[axis], at)
        ]
    yield from parts


def _interval_parts(first: int, stop: int, at: int) -> tuple[tuple[int, int], ...]:
    return ((first, at), (at, stop)) if first < at < stop else ((first, stop),)
