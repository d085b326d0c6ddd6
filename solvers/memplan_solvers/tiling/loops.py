"""One loop over tiles: what the tiles of a region need along one axis, of every size at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from memplan.ir.parts import Access

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]

FAR = 2**40
"""Beyond every element: of the first one that is needed where nothing is."""


@dataclass(frozen=True)
class Loop:
    """The tiles along one axis, once for each choice: a size, with what was made kept or not.

    Args:
        axis: of the last op's result.
        sizes: of each choice the elements of a tile.
        cached: of each choice whether what was made is kept for the next tile.
        starts: of each choice the number of its first tile; tiles are numbered through all choices.
        choice: of each tile its choice.
        kept: of each tile whether what was made before is kept.
    """

    axis: int
    sizes: Numbers
    cached: Flags
    starts: Numbers
    choice: Numbers
    kept: Flags


@dataclass(frozen=True)
class Reach:
    """What each tile needs of an op along its axis `axis`, which has `size` elements.

    Args:
        axis, size: of the op's first result.
        first, stop: what the tile's other ops ask for, by tile; `first` is FAR where nothing is asked for.
        begin: where what the tile computes begins, by tile; from `stop` on where it computes nothing.
        live, stay, part, total: by choice the most elements there are of it in a tile, that stay until the next one, that
            one op computes, and all that are computed; `stay` is `live` where nothing is kept.
        parts: by choice in how many parts they are computed.
    """

    axis: int
    size: int
    first: Numbers
    stop: Numbers
    begin: Numbers
    live: Numbers
    stay: Numbers
    part: Numbers
    total: Numbers
    parts: Numbers

    @property
    def empty(self) -> Flags:
        """By tile whether it computes nothing of the op."""
        return self.begin >= self.stop


def loop(axis: int, size: int, most: int, windows: bool) -> Loop:
    """The loop over an axis of `size` elements, cut into 1 to `most` tiles: about two sizes for each doubling, and the least.

    Args:
        axis: of the last op's result.
        size, most: see above.
        windows: whether windows slide along it, so that something can be kept.
    """
    finest = min(size, most)
    counts = {round(2 ** (k / 2)) for k in range(2 * finest.bit_length())} | {finest}
    sizes = sorted({-(-size // count) for count in counts if count <= finest}, reverse=True)
    choices = [(s, False) for s in sizes] + [(s, True) for s in sizes if windows and s < size]
    tiles = [-(-size // s) for s, _ in choices]
    cached = np.array([keeps for _, keeps in choices])
    choice = np.repeat(np.arange(len(choices)), tiles)
    return Loop(
        axis, np.array([s for s, _ in choices]), cached, np.cumsum([0, *tiles[:-1]]), choice, cached[choice]
    )


def tiles_of(found: Loop, size: int) -> Reach:
    """What the tiles are of the last op itself."""
    number = np.arange(len(found.choice)) - found.starts[found.choice]
    first = number * found.sizes[found.choice]
    return measured(found, found.axis, size, first, np.minimum(first + found.sizes[found.choice], size))


def measured(
    found: Loop, axis: int, size: int, first: Numbers, stop: Numbers, escaping: bool = False
) -> Reach:
    """What is computed of an op of which the tiles ask for this; all of it, once, where it is wanted outside."""
    kept = found.kept
    if escaping:
        ends = np.append(found.starts[1:], len(first)) - 1
        first, stop, kept = first.copy(), stop.copy(), np.ones_like(kept)
        first[found.starts], stop[ends] = 0, size
    offset = found.choice * FAR * 2
    done = np.maximum.accumulate(np.where(first < stop, stop, 0) + offset) - offset
    before = np.append(0, done[:-1])
    before[found.starts] = 0
    begin = np.where(kept, np.maximum(first, before), first)
    stop = np.maximum(stop, 0)
    later = np.minimum.accumulate((np.minimum(first, FAR) + offset)[::-1])[::-1] - offset
    later = np.append(later[1:], FAR)
    later[np.append(found.starts[1:], len(first)) - 1] = FAR
    length = np.where(begin < stop, stop - begin, 0)
    live = np.where(first < stop, stop - first, 0)
    halo = np.where(kept & (later < done), done - later, 0)
    most = np.maximum.reduceat(np.stack([live, halo, length]), found.starts, axis=1)
    part, parts = _parts(found, np.stack([begin, first, done])[:, first < stop] + offset[first < stop])
    held = kept[found.starts]
    return Reach(
        axis,
        size,
        first,
        stop,
        begin,
        most[0],
        np.where(held, most[1], most[0]),
        np.where(held, part, most[2]),
        np.add.reduceat(length, found.starts),
        np.where(held, parts, np.add.reduceat(length > 0, found.starts)),
    )


def _parts(found: Loop, points: Numbers) -> tuple[Numbers, Numbers]:
    """By choice the most elements between two of these points, at which what is kept is parted, and how many parts there
    are; points of a choice share an offset."""
    ends = np.unique(points)
    choice = ends // (FAR * 2)
    inside = choice[1:] == choice[:-1]
    most = np.zeros_like(found.sizes)
    np.maximum.at(most, choice[1:][inside], np.diff(ends)[inside])
    return most, np.bincount(choice[1:][inside], minlength=len(most))


def asked(reach: Reach, access: Access, size: int) -> tuple[Numbers, Numbers]:
    """What an operand's axis of `size` elements must give for what the tiles compute of its reader."""
    first = (reach.begin * access.stride - access.before) // access.factor
    stop = ((reach.stop - 1) * access.stride - access.before + access.extent) // access.factor + 1
    first, stop = np.clip(first, 0, size), np.clip(stop, 0, size)
    return np.where(reach.empty, FAR, first), np.where(reach.empty, 0, stop)


def read_at_once(found: Loop, reach: Reach, access: Access, size: int) -> Numbers:
    """By choice the most elements of an operand's axis that one op reads."""
    span = ((reach.part - 1) * access.stride + access.extent) // access.factor + 1
    first, stop = asked(reach, access, size)
    most = np.maximum.reduceat(np.where(first < stop, stop - first, 0), found.starts)
    least: Numbers = np.minimum(span, most)
    return least


def same(found: Loop, asked_for: tuple[Numbers, Numbers], made: Reach, reader: Reach) -> Flags:
    """By choice whether each tile of a reader finds what it asks for in the very piece that was made for it.

    Args:
        found: the loop.
        asked_for: by the reader, along the axis of what it reads.
        made: of what it reads.
        reader: of the reader; where what stays of both is alike, they are parted alike.
    """
    first, stop = asked_for
    equal = ((first >= stop) & made.empty) | ((first == made.begin) & (stop == made.stop))
    parted_alike = ~found.cached | (made.stay == 0) | (made.stay == reader.stay)
    together: Flags = np.logical_and.reduceat(equal, found.starts) & parted_alike
    return together
