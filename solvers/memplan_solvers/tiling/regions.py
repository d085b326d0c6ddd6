"""What regions of ops cost that are cut into tiles, by the search's own accounting: bytes and flops, no graph derived.

For one last op all first ops are looked at in one pass backwards, and all tile sizes and caches at once: they are the
elements of arrays. It counts the live bytes of a tile in the middle, with what stays from the tile before, what is gathered
and scattered, and what crosses the region.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from memplan.ir.boxes import contiguous
from memplan.ir.needs import cut_axes
from memplan.ir.parts import Access, Op
from memplan.problem.problem import Problem
from memplan.solving.blocks import live_bytes, spans
from memplan.tiling.record import Region
from memplan_solvers.tiling.loops import (
    Flags,
    Loop,
    Reach,
    asked,
    loop,
    measured,
    read_at_once,
    same,
    tiles_of,
)

LONGEST = 96
"""The most ops of one region."""

MOST_TILES = 128
"""The most tiles along one axis."""

MOST_OPS = 1536
"""The most tile ops of one region: so many are derived and planned in seconds."""

SHORT = 1 / 8
"""Pieces are short along an axis if they have no more than so much of its elements."""

Bytes = NDArray[np.float64]
"""By candidate, a way to cut a region: bytes, or flops."""


@dataclass(frozen=True)
class Costs:
    """What the candidates of a region cost.

    Args:
        whole: bytes where what leaves the region is one tensor, which its readers read whole.
        pieces: bytes where it is left in pieces to a region that follows.
        passed: by axis the bytes where what comes in is in pieces too, which are short along that axis: it goes as what
            leaves comes.
        short: by axis whether the pieces that it leaves are short along that axis.
        divided: whether what comes in may be in pieces at all.
        flops: of all tiles.
        ops: how many ops they are.
    """

    whole: Bytes
    pieces: Bytes
    passed: dict[int, Bytes]
    short: dict[int, Flags]
    divided: bool
    flops: Bytes
    ops: Bytes


class Accounts:
    """What is known of a problem before any region is looked at.

    Args:
        problem: of the graph without tiles.
    """

    def __init__(self, problem: Problem) -> None:
        self.graph, self.problem = problem.graph, problem
        self.untiled = np.array(live_bytes(problem), dtype=float)
        self.flops = np.array([float(op.flops or 0) for op in self.graph.ops])
        self.maker = {name: i for i, op in enumerate(self.graph.ops) for name in op.results}
        self.span = dict(zip((s.name for s in problem.storages), spans(problem), strict=True))
        self.size = {s.name: s.size for s in problem.storages}

    @cached_property
    def slid(self) -> frozenset[int]:
        """The two axes, by number, along which most ops slide windows, or enlarge."""
        count: dict[int, int] = {}
        for op in self.graph.ops:
            for access in (access for operand in op.needs for access in operand if access is not None):
                if access != Access(access.axis):
                    count[access.axis] = count.get(access.axis, 0) + 1
        return frozenset(sorted(count, key=lambda axis: (-count[axis], axis))[:2])

    def axes(self, last: int) -> list[list[int]]:
        """Along which axes together a region that ends with this op may be cut: those that windows slide along; any other."""
        op = self.graph.ops[last]
        shape = self.graph.tensor[op.results[0]].shape or () if op.results else ()
        cut = [axis for axis in sorted(cut_axes(op)) if shape[axis] > 1]
        slid = [axis for axis in cut if axis in self.slid]
        return [slid] * bool(slid) + [[axis] for axis in cut if axis not in slid]

    def placed(self, name: str) -> bool:
        """Whether the tensor takes bytes."""
        return self.graph.storage_of[name] in self.size

    def crossing(self, first: int, last: int) -> tuple[float, float]:
        """Bytes that are there whole throughout the ops from `first` to `last`: all, and of them what is made there."""
        at_all = made = 0.0
        for name, (start, stop) in self.span.items():
            if start < first < stop:
                at_all += self.size[name]
            elif first <= start <= last and stop > last + 1:
                made += self.size[name]
        return at_all + made, made


class Regions:
    """The regions that end with one op, along the loops over its axes.

    Args:
        accounts: of the problem.
        last: the program position of the op.
        axes: of its result.
    """

    def __init__(self, accounts: Accounts, last: int, axes: Sequence[int]) -> None:
        self.accounts, self.graph, self.last = accounts, accounts.graph, last
        shape = self._shape(last)
        self.loops = [loop(axis, shape[axis], MOST_TILES, axis in accounts.slid) for axis in axes]
        self.picked = self._picked()
        self.reach: dict[int, list[Reach | None]] = {
            last: [tiles_of(found, shape[found.axis]) for found in self.loops]
        }
        self.readers: dict[str, list[tuple[int, int]]] = {}

    def _picked(self) -> list[NDArray[np.int64]]:
        """For each loop the choices of the candidates: at most one of the loops keeps what it made, one is cut."""
        grids = np.meshgrid(*(np.arange(len(found.sizes)) for found in self.loops), indexing="ij")
        flat = [grid.ravel() for grid in grids]
        cached = sum(found.cached[k].astype(int) for found, k in zip(self.loops, flat, strict=True))
        tiles = np.ones(len(flat[0]))
        for found, k in zip(self.loops, flat, strict=True):
            tiles *= np.bincount(found.choice)[k]
        fits = (cached <= 1) & (tiles > 1) & (tiles <= MOST_OPS)
        self.tiles: Bytes = tiles[fits]
        return [k[fits] for k in flat]

    @cached_property
    def short(self) -> dict[int, Flags]:
        """By axis whether the candidates' tiles are short along it."""
        size = self._shape(self.last)
        return {
            found.axis: (found.sizes <= SHORT * size[found.axis])[picked]
            for found, picked in zip(self.loops, self.picked, strict=True)
            if found.axis in self.accounts.slid
        }

    def _outer(self, number: int) -> Flags:
        """By candidate whether the loop of this number is the outermost one."""
        mine, others = self.loops[number], [k for k in range(len(self.loops)) if k != number]
        cut = [found.sizes < self._shape(self.last)[found.axis] for found in self.loops]
        outer = cut[number][self.picked[number]]
        for other in others:
            inner = (
                mine.cached[self.picked[number]]
                if number < other
                else ~self.loops[other].cached[self.picked[other]]
            )
            outer = outer & ~(cut[other][self.picked[other]] & inner)
        return outer

    def _passed(self, position: int, made: float) -> dict[int, Bytes]:
        """By axis how many bytes less there are where what the region reads goes piece by piece, as what it makes comes.

        Args:
            position: of the first op.
            made: bytes of what the region makes.
        """
        saved = {}
        sources = self._sources(position)
        read = float(sum(self.graph.tensor[name].nbytes for name in sources))
        for number, found in enumerate(self.loops):
            mine = self.reach[self.last][number]
            assert mine is not None
            there = made * mine.stop / mine.size
            for name, readers in sources.items():
                firsts = [self._first(number, *reader) for reader in readers]
                there = there + self.graph.tensor[name].nbytes * (1 - np.minimum.reduce(firsts))
            most = np.maximum.reduceat(there, found.starts) + SHORT * min(read, made)
            by_choice = np.maximum(read + made - most, 0)
            saved[found.axis] = np.where(self._outer(number), by_choice[self.picked[number]], 0)
        return saved

    def _sources(self, position: int) -> dict[str, list[tuple[int, int]]]:
        """What is made before the region and read there for the last time, and by whom."""
        span, storage_of = self.accounts.span, self.graph.storage_of
        return {
            name: readers
            for name, readers in self.readers.items()
            if self.accounts.maker.get(name, position) < position
            and self.accounts.placed(name)
            and span[storage_of[name]][1] <= self.last + 1
        }

    def _first(self, number: int, reader: int, operand: int) -> NDArray[np.float64]:
        """By tile of a loop where what the reader needs of its operand begins, as a share of the axis."""
        reach, op = self.reach[reader][number], self.graph.ops[reader]
        axis = None if reach is None or not op.needs else _follows(op.needs[operand], reach.axis)
        access = None if axis is None else op.needs[operand][axis]
        if reach is None or axis is None or access is None:
            return np.zeros(len(self.loops[number].choice))
        size = (self.graph.tensor[op.inputs[operand]].shape or ())[axis]
        return np.minimum(asked(reach, access, size)[0] / size, 1)

    def _divided(self, position: int) -> bool:
        """Whether what the op before the region makes may be there in pieces: it is read nowhere else, and not whole."""
        if not position:
            return False
        sources = self._sources(position)
        return all(
            name in sources and all(self._follows_loops(*reader) for reader in sources[name])
            for name in self.graph.ops[position - 1].results
        )

    def _follows_loops(self, reader: int, operand: int) -> bool:
        """Whether what the reader needs of its operand varies with the tiles."""
        needs = self.graph.ops[reader].needs
        return any(
            reach is not None and _follows(needs[operand], reach.axis) is not None
            for reach in self.reach[reader]
        )

    def region(self, first: int, candidate: int) -> Region:
        """The record of a candidate of the region that begins with `first`."""
        axes, sizes, cache = [], [], None
        for found, picked in zip(self.loops, self.picked, strict=True):
            choice = picked[candidate]
            if found.sizes[choice] < self._shape(self.last)[found.axis]:
                axes.append(found.axis)
                sizes.append(int(found.sizes[choice]))
                cache = found.axis if found.cached[choice] else cache
        names = (self.graph.ops[first].name, self.graph.ops[self.last].name)
        return Region(names, tuple(axes), tuple(sizes), cache)

    def costs(self) -> Iterator[tuple[int, Costs]]:
        """The first op of each region, and what its candidates cost, from the shortest to the longest."""
        if not len(self.tiles):
            return
        many = len(self.tiles)
        live = np.zeros((LONGEST, many))  # by steps from the last op backwards
        stay, flops, ops = np.zeros(many), np.zeros(many), np.zeros(many)
        valid = np.ones(many, bool)
        scattered = self._scattered(self.last)
        for back, position in enumerate(range(self.last, max(self.last - LONGEST, -1), -1)):
            op = self.graph.ops[position]
            escapes = position < self.last and self._escapes(op)
            if op.once or (len(op.results) > 1 and escapes):
                return
            if position < self.last:
                found = self._reached(position, escapes)
                if found is None:
                    return
                self.reach[position] = found
                if escapes and len(self.loops) > 1:
                    valid &= self._along_one(found)
            there, stays = self._chunk(position, escapes)
            live[back] = stay + there + self._workspace(position)
            if escapes:
                live[back] += self._scattered(position)
            ended = self.last - self._last_reader(op)
            live[ended:back] += there
            live[:ended] += stays
            if not escapes:
                self._found_in_pieces(live, position)
            stay, flops, ops = stay + stays, flops + self._flops(position), ops + self.tiles
            for operand, name in enumerate(op.inputs):
                self.readers.setdefault(name, []).append((position, operand))
            at_all, made = self.accounts.crossing(position, self.last)
            inside = live[: back + 1].max(axis=0)
            pieces = inside + at_all
            whole = np.maximum(pieces, live[0] + scattered + at_all)
            bad = np.where(valid & (ops <= MOST_OPS), 0, np.inf)
            pieces, whole = pieces + bad, whole + bad
            passed = {axis: pieces - saved for axis, saved in self._passed(position, made).items()}
            yield position, Costs(whole, pieces, passed, self.short, self._divided(position), flops, ops)

    def _shape(self, position: int) -> tuple[int, ...]:
        return self.graph.tensor[self.graph.ops[position].results[0]].shape or ()

    def _escapes(self, op: Op) -> bool:
        """Whether a result of the op is wanted behind the region."""
        stops = (self.accounts.span.get(self.graph.storage_of[name], (0, 0))[1] for name in op.results)
        return any(stop > self.last + 1 for stop in stops) or any(
            name in self.graph.outputs for name in op.results
        )

    def _last_reader(self, op: Op) -> int:
        """The last op of the region that reads what the op makes, through views too."""
        found = [self.accounts.span.get(self.graph.storage_of[name], (0, 0))[1] - 1 for name in op.results]
        return min(max(found), self.last)

    def _reached(self, position: int, escapes: bool) -> list[Reach | None] | None:
        """What the tiles need of the op along each loop; None where it cannot be in the region, or all need all of it."""
        op = self.graph.ops[position]
        shape, cut = self._shape(position), cut_axes(op)
        readers = [(name, *pair) for name in op.results for pair in self.readers.get(name, ())]
        if not readers:
            return None
        found: list[Reach | None] = []
        for number, this in enumerate(self.loops):
            asked_for = []
            axes: set[int | None] = set()
            for name, reader, operand in readers:
                reach, needs = self.reach[reader][number], self.graph.ops[reader].needs
                axis = None if reach is None or not needs else _follows(needs[operand], reach.axis)
                axes.add(axis if axis in cut else None)
                if reach is not None and axis is not None:
                    access = needs[operand][axis]
                    assert access is not None
                    asked_for.append(asked(reach, access, (self.graph.tensor[name].shape or ())[axis]))
            axis = axes.pop() if len(axes) == 1 else None
            if axis is None:
                found.append(None)
                continue
            first = np.minimum.reduce([a for a, _ in asked_for])
            stop = np.maximum.reduce([b for _, b in asked_for])
            found.append(measured(this, axis, shape[axis], first, stop, escapes))
        return found if any(reach is not None for reach in found) else None

    def _along_one(self, found: Sequence[Reach | None]) -> Flags:
        """By candidate whether what the tiles need varies along one loop at most."""
        varies = np.zeros(len(self.tiles), int)
        for reach, this, picked in zip(found, self.loops, self.picked, strict=True):
            if reach is not None:
                varies += (np.bincount(this.choice) > 1)[picked]
        one: Flags = varies <= 1
        return one

    def _unit(self, position: int, name: str) -> float:
        """Bytes of a tensor, as long as the op's result along the loops, by element of these axes."""
        if not self.accounts.placed(name):
            return 0.0
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        return self.graph.tensor[name].nbytes / prod(sizes)

    def _product(self, position: int, measure: str) -> Bytes:
        """By candidate the product of what is measured of an op along the loops."""
        found = np.ones(len(self.tiles))
        for reach, picked in zip(self.reach[position], self.picked, strict=True):
            if reach is not None:
                found = found * getattr(reach, measure)[picked]
        return found

    def _chunk(self, position: int, escapes: bool) -> tuple[Bytes, Bytes]:
        """Bytes of what the tiles have of an op's results, and of what of it stays from tile to tile; nothing of what is
        there whole."""
        op, none = self.graph.ops[position], np.zeros(len(self.tiles))
        if op.view or escapes or position == self.last:
            return none, none
        unit = sum(self._unit(position, name) for name in op.results)
        cached = np.zeros(len(self.tiles), bool)
        for this, picked in zip(self.loops, self.picked, strict=True):
            cached |= this.cached[picked]
        there = unit * self._product(position, "live")
        return there, np.where(cached, unit * self._product(position, "stay"), 0)

    def _flops(self, position: int) -> Bytes:
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        return self.accounts.flops[position] / prod(sizes) * self._product(position, "total")

    def _scattered(self, position: int) -> Bytes:
        """Bytes that a tile op copies into a tensor that is whole, where its box does not lie contiguous there."""
        axes = [reach.axis for reach in self.reach[position] if reach is not None]
        if _adjoining(self._shape(position), axes):
            return np.zeros(len(self.tiles))
        name = self.graph.ops[position].results[0]
        sizes = [reach.size for reach in self.reach[position] if reach is not None]
        return self.graph.tensor[name].nbytes / prod(sizes) * self._product(position, "part")

    def _workspace(self, position: int) -> Bytes:
        """Bytes of what a tile op gathers if its operands are there whole, and of what the op itself needs."""
        op = self.graph.ops[position]
        found = np.zeros(len(self.tiles))
        for operand in range(len(op.inputs)):
            found = found + self._gathered(position, operand)
        return found + (self.graph.tensor[op.workspace].nbytes if op.workspace is not None else 0)

    def _gathered(self, position: int, operand: int) -> Bytes:
        """Bytes of an operand that a tile op gathers where it is there whole."""
        tensor = self.graph.tensor[self.graph.ops[position].inputs[operand]]
        read, axes = self._read(position, operand)
        return np.where((read < tensor.nbytes) & (not _adjoining(tensor.shape or (), axes)), read, 0)

    def _read(self, position: int, operand: int) -> tuple[Bytes, list[int]]:
        """Bytes of an operand that a tile op reads at once, and the axes along which that is a part of it."""
        op = self.graph.ops[position]
        tensor = self.graph.tensor[op.inputs[operand]]
        shape, axes = tensor.shape or (), list[int]()
        found = np.full(len(self.tiles), float(tensor.nbytes))
        if not op.needs or op.view or tensor.kind == "constant":
            return 0 * found, axes
        for reach, this, picked in zip(self.reach[position], self.loops, self.picked, strict=True):
            axis = None if reach is None else _follows(op.needs[operand], reach.axis)
            access = None if axis is None else op.needs[operand][axis]
            if reach is not None and axis is not None and access is not None:
                axes.append(axis)
                found *= read_at_once(this, reach, access, shape[axis])[picked] / shape[axis]
        return found, axes

    def _found_in_pieces(self, live: Bytes, position: int) -> None:
        """Count what readers of the op gather, unless each tile finds it in one piece, and take off what they write over."""
        op, last_reader = self.graph.ops[position], self._last_reader(self.graph.ops[position])
        for name in op.results:
            for reader, operand in self.readers.get(name, ()):
                by = self.graph.ops[reader]
                together = np.ones(len(self.tiles), bool)
                for number, (this, picked) in enumerate(zip(self.loops, self.picked, strict=True)):
                    together &= self._same(number, this, position, reader, operand)[picked]
                step = live[self.last - reader]
                step += np.where(together, 0, self._read(reader, operand)[0]) - self._gathered(
                    reader, operand
                )
                if self.accounts.problem.options.inplace and reader == last_reader != self.last:
                    if any(over == name for _, over in by.overwrites):
                        there, stays = self._chunk(reader, self._escapes(by))
                        mine = self._chunk(position, False)[0]
                        written = np.minimum(mine, np.where(there > stays, there - stays, there))
                        step -= np.where(together, written, 0)

    def _same(self, number: int, this: Loop, position: int, reader: int, operand: int) -> Flags:
        """By choice of a loop whether the reader's tiles ask for just what the op's tiles make."""
        made, by, needs = (
            self.reach[position][number],
            self.reach[reader][number],
            self.graph.ops[reader].needs,
        )
        access = None if made is None or not needs else needs[operand][made.axis]
        if made is None or by is None or access is None:
            return np.full(len(this.sizes), made is None and (by is None or access is None))
        return same(this, asked(by, access, made.size), made, by)


def _follows(axes: Sequence[Access | None], axis: int) -> int | None:
    """The axis of an operand that follows this axis of the result."""
    return next((k for k, access in enumerate(axes) if access is not None and access.axis == axis), None)


def _adjoining(shape: Sequence[int], axes: Sequence[int]) -> bool:
    """Whether a part of a row-major tensor along these axes lies in one piece."""
    part = tuple((0, max(size // 2, 1) if axis in axes else size) for axis, size in enumerate(shape))
    return contiguous(part, tuple((0, size) for size in shape))
