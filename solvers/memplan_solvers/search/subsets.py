"""The walk over sets of storages that make room for an op, in numba: depth first, the largest storages first.

A kernel that walks keeps its own books: what it takes and gives back it adds to and takes off its state.

    walk = begin(leavers, ...)
    while True:
        if walk.freed >= lack: ...  # here is one
        if is_exhausted(walk, lack, True):
            if walk.depth == 0: break
            walk = give_back(flat.size, leavers, walk); s = leavers.storage[leavers.chosen[walk.depth]]
        else:
            s = leavers.storage[walk.at]; walk = take(...) or skip(...)
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import inlined, inner
from memplan_solvers.search.state import SubproblemArrays
from memplan_solvers.search.subproblem import PROHIBITIVE


class Leavers(NamedTuple):
    """The storages that may leave, and those chosen to."""

    storage: Annotated[
        Ints, "storage"
    ]  # by descending size; entries from the walk's `candidates` on mean nothing
    place: Annotated[Ints, "storage"]  # where each of them is among the present ones
    chosen: Annotated[
        Ints, "storage + 1"
    ]  # ascending positions of the chosen; entries from `depth` on mean nothing


def new_leavers(storages: int) -> Leavers:
    """Room for so many storages."""
    return Leavers(
        np.zeros(storages, np.int64), np.zeros(storages, np.int64), np.zeros(storages + 1, np.int64)
    )


class SubsetWalk(NamedTuple):
    """Where the walk stands; sizes are bytes."""

    candidates: int  # storages that may leave
    at: int  # the position of the one that is decided next
    depth: int  # storages chosen
    freed: int  # their size
    rest: int  # the size of those from `at` on


@inner(allocates=False)
def begin(flat: SubproblemArrays, i: int, present: Ints, leavers: Leavers) -> SubsetWalk:
    """Gather who may leave before op i: all that is present, that the op does not touch, and that may leave at all."""
    count = 0
    rest = 0
    for a in range(present.shape[0]):
        s = present[a]
        if flat.reload[s] >= PROHIBITIVE or flat.size[s] == 0:
            continue
        used = False
        for e in range(flat.touched.at[i], flat.touched.at[i + 1]):
            used = used or flat.touched.values[e] == s
        if used:
            continue
        at = count
        while at > 0 and flat.size[leavers.storage[at - 1]] < flat.size[s]:
            leavers.storage[at] = leavers.storage[at - 1]
            leavers.place[at] = leavers.place[at - 1]
            at -= 1
        leavers.storage[at] = s
        leavers.place[at] = a
        count += 1
        rest += flat.size[s]
    return SubsetWalk(count, 0, 0, 0, rest)


@inlined(allocates=False)
def is_exhausted(walk: SubsetWalk, lack: int, minimal: bool) -> bool:
    """Whether nothing more is to be taken: all are decided, or enough is freed, or what is left does not suffice.

    With `minimal` a set that frees `lack` ends there. The last and smallest chosen is needed then, so every one is.
    """
    return walk.at == walk.candidates or (walk.freed >= lack and minimal) or walk.freed + walk.rest < lack


@inlined(allocates=False)
def take(size: Ints, leavers: Leavers, walk: SubsetWalk) -> SubsetWalk:
    """Choose the storage that is decided next."""
    z = size[leavers.storage[walk.at]]
    leavers.chosen[walk.depth] = walk.at
    return SubsetWalk(walk.candidates, walk.at + 1, walk.depth + 1, walk.freed + z, walk.rest - z)


@inlined(allocates=False)
def skip(size: Ints, leavers: Leavers, walk: SubsetWalk) -> SubsetWalk:
    """Go on without the storage that is decided next."""
    z = size[leavers.storage[walk.at]]
    return SubsetWalk(walk.candidates, walk.at + 1, walk.depth, walk.freed, walk.rest - z)


@inlined(allocates=False)
def give_back(size: Ints, leavers: Leavers, walk: SubsetWalk) -> SubsetWalk:
    """Give back the last one chosen, and go on behind it without it."""
    last = leavers.chosen[walk.depth - 1]
    rest = walk.rest
    for at in range(last + 1, walk.at):
        rest += size[leavers.storage[at]]
    freed = walk.freed - size[leavers.storage[last]]
    return SubsetWalk(walk.candidates, last + 1, walk.depth - 1, freed, rest)
