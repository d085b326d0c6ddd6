"""What regions of ops cost that are cut into tiles, by the search's own accounting: bytes and flops, no graph derived.

For one last op all first ops are looked at in one pass backwards, and all tile sizes and caches at once: they are the
elements of arrays. It counts the live bytes of a tile in the middle, with what stays from the tile before, what is gathered
and scattered, and what crosses the region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from memplan_solvers.tiling.accounts import Accounts, Bytes
from memplan_solvers.tiling.candidates import MOST_OPS, SHORT, Candidates
from memplan_solvers.tiling.loops import Flags
from memplan_solvers.tiling.reaches import Reaches, Reader

LONGEST = 96
"""The most ops of one region."""


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
        gathered: bytes more where it is, since what would lie side by side in one tensor does not in pieces.
        flops: of all tiles.
        ops: how many ops they are.
    """

    whole: Bytes
    pieces: Bytes
    passed: dict[int, Bytes]
    short: dict[int, Flags]
    divided: bool
    gathered: Bytes
    flops: Bytes
    ops: Bytes


def costs(accounts: Accounts, ways: Candidates) -> Iterator[tuple[int, Costs]]:
    """The first op of each region that ends with the same op, and what its candidates cost, from the shortest region on.

    Args:
        accounts: of the problem.
        ways: to cut what the last op makes.
    """
    if not len(ways.tiles):
        return
    graph, last, reaches = accounts.graph, ways.last, Reaches(accounts, ways)
    none = np.zeros(len(ways.tiles))
    live = np.zeros((LONGEST, len(ways.tiles)))  # by steps from the last op backwards
    stay, flops, ops, bad = none, none, none, none
    scattered = reaches.scattered(last)
    for back, position in enumerate(range(last, max(last - LONGEST, -1), -1)):
        op = graph.ops[position]
        escapes = reaches.escapes(position)
        if op.once or (len(op.results) > 1 and escapes) or not reaches.extend(position):
            return
        if escapes:
            bad = np.where(reaches.along_one(position), bad, np.inf)
        there, stays = reaches.chunk(position)
        live[back] = stay + there + reaches.workspace(position)
        live[back] += reaches.scattered(position) if escapes else 0
        ended = last - min(accounts.stop(op) - 1, last)
        live[ended:back] += there
        live[:ended] += stays
        for reader in reaches.readers_of(position):
            live[last - reader[0]] += none if escapes else reaches.in_pieces(position, *reader)
        stay, flops, ops = stay + stays, flops + reaches.flops(position), ops + reaches.ops(position)
        at_all, made = accounts.crossing(position, last)
        fits = np.where((ops <= MOST_OPS) & ~reaches.void, bad, np.inf)
        pieces = live[: back + 1].max(axis=0) + at_all + fits
        whole = np.maximum(pieces, live[0] + scattered + at_all)
        passed = {axis: pieces - saved for axis, saved in _saved(reaches, position, made).items()}
        divided, gathered = _divided(reaches, position), _gathered(reaches, position)
        yield position, Costs(whole, pieces, passed, ways.short, divided, gathered, flops, ops)


def _sources(reaches: Reaches, position: int) -> dict[str, list[Reader]]:
    """What the op before the region from `position` on makes and is read there for the last time, and by whom."""
    accounts = reaches.accounts
    return {
        name: readers
        for name, readers in reaches.readers.items()
        if accounts.maker.get(name) == position - 1
        and accounts.placed(name)
        and accounts.span[accounts.graph.storage_of[name]][1] <= reaches.ways.last + 1
    }


def _saved(reaches: Reaches, position: int, made: float) -> dict[int, Bytes]:
    """By axis how many bytes less there are where what the region reads goes piece by piece, as what it makes comes.

    Args:
        reaches: of the region's ops, from `position` on.
        position: see above.
        made: bytes of what it makes.
    """
    saved, ways, tensor = {}, reaches.ways, reaches.accounts.graph.tensor
    sources = _sources(reaches, position)
    read = float(sum(tensor[name].nbytes for name in sources))
    for number, found in enumerate(ways.loops):
        mine = reaches.reach[ways.last][number]
        assert mine is not None
        there = made * mine.stop / mine.size
        for name, readers in sources.items():
            firsts = [reaches.first(number, *reader) for reader in readers]
            there = there + tensor[name].nbytes * (1 - np.minimum.reduce(firsts))
        most = np.maximum.reduceat(there, found.starts) + SHORT * min(read, made)
        by_choice = np.maximum(read + made - most, 0)
        saved[found.axis] = np.where(ways.outer(number), by_choice[ways.picked[number]], 0)
    return saved


def _gathered(reaches: Reaches, position: int) -> Bytes:
    """Bytes of what the region's ops read side by side where the op before it has made one tensor."""
    found = np.zeros(len(reaches.ways.tiles))
    for readers in _sources(reaches, position).values():
        for reader in readers:
            read = reaches.read(*reader)[0] * reaches.slice(reader[0])
            found = found + np.where(reaches.gathered(*reader) > 0, 0, read)
    return found


def _divided(reaches: Reaches, position: int) -> bool:
    """Whether what the op before the region makes may be there in pieces: it is read nowhere else, and not whole."""
    sources = _sources(reaches, position)
    return position > 0 and all(
        name in sources and all(reaches.varies(*reader) for reader in sources[name])
        for name in reaches.accounts.graph.ops[position - 1].results
    )
