"""Which buffers conflict, and how far apart they must be: the packer's view of a set of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np

from memplan.packing.buffers import Buffer
from memplan_solvers.common.arrays import Ints, Records

SEGMENT = np.dtype(
    [
        ("start", np.int64),  # first step
        ("stop", np.int64),  # the step after the last
        ("low", np.int64),  # bytes [low, high) of the owner are used
        ("high", np.int64),
        ("owner", np.int64),  # a buffer
        ("size", np.int64),  # the owner's, bytes
    ]
)


@dataclass(frozen=True)
class Conflicts:
    """Pairs that share a step and could share an address, as a graph in compressed rows, and who is used when.

    Row i lists neighbours `to[first[i]:first[i + 1]]`, ascending; a neighbour j that lies above i has
    offset_j >= offset_i + `above[k]`, one below it offset_i >= offset_j + `below[k]`. A section is a time between two
    events; buffer i is used in full in the sections `section[section_first[i]:section_first[i + 1]]`.
    """

    first: Annotated[Ints, "buffers + 1"]
    to: Annotated[Ints, "edges"]
    above: Annotated[Ints, "edges"]  # bytes
    below: Annotated[Ints, "edges"]  # bytes
    section_first: Annotated[Ints, "buffers + 1"]
    section: Annotated[Ints, "cells"]
    span: Annotated[Ints, "buffers, 2"]  # the first and the last section in which each is used at all
    load: Annotated[Ints, "sections"]  # bytes used
    exact: bool  # False where windows in gaps make "above or below" a restriction: then a failed search proves nothing

    @cached_property
    def degree(self) -> Ints:
        """How many neighbours each buffer has."""
        return np.diff(self.first)

    @cached_property
    def crowding(self) -> Ints:
        """The largest load of any section that each buffer fills, 0 for those that fill none."""
        most = np.zeros(self.first.size - 1, np.int64)
        owner = np.repeat(np.arange(most.size), np.diff(self.section_first))
        np.maximum.at(most, owner, self.load[self.section])
        return most


def conflicts(buffers: Sequence[Buffer]) -> Conflicts:
    """The conflicts of the buffers; memory linear in pairs that really overlap."""
    n = len(buffers)
    segments = np.array([(*s, i, b.size) for i, b in enumerate(buffers) for s in b.segments], SEGMENT)
    times = np.unique(np.concatenate([segments["start"], segments["stop"]]))
    a, z = np.searchsorted(times, segments["start"]), np.searchsorted(times, segments["stop"])
    used = segments["high"] - segments["low"]
    change = np.zeros(max(times.size, 1), np.int64)
    np.add.at(change, a, used)
    np.add.at(change, z, -used)
    full, owner = used == segments["size"], segments["owner"]
    span = np.zeros((n, 2), np.int64)
    span[:, 0] = times.size
    np.minimum.at(span[:, 0], owner, a)
    np.maximum.at(span[:, 1], owner, z - 1)
    filled = np.zeros(n, np.int64)
    np.add.at(filled, owner[full], (z - a)[full])
    first, to, above, below, exact = _pairs(segments, n)
    return Conflicts(
        first,
        to,
        above,
        below,
        section_first=np.concatenate([[0], filled.cumsum()]),
        section=_ranges(a[full], z[full]),
        span=span,
        load=change.cumsum()[: max(times.size - 1, 1)],
        exact=exact,
    )


def _ranges(begin: Ints, end: Ints) -> Ints:
    """All of begin[0] .. end[0] - 1, then all of begin[1] .. end[1] - 1, and so on."""
    counts: Ints = end - begin
    return np.arange(counts.sum()) + np.repeat(begin - (counts.cumsum() - counts), counts)


def _pairs(segments: Records, n: int) -> tuple[Ints, Ints, Ints, Ints, bool]:
    """Rows of neighbours with their distances: `first`, `to`, `above`, `below` and `exact` of the conflicts."""
    segments = segments[np.argsort(segments["start"], kind="stable")]
    ahead = np.searchsorted(segments["start"], segments["stop"], "left")
    begin = np.arange(len(segments)) + 1
    one, other = np.repeat(np.arange(len(segments)), ahead - begin), _ranges(begin, ahead)
    owner, low, high = segments["owner"], segments["low"], segments["high"]
    apart = owner[one] != owner[other]
    one, other = one[apart], other[apart]
    # offset[i] - offset[j] may not lie strictly between these two.
    between, until = low[other] - high[one], high[other] - low[one]
    i = np.concatenate([owner[one], owner[other]])
    j = np.concatenate([owner[other], owner[one]])
    low, high = np.concatenate([between, -until]), np.concatenate([until, -between])
    order = np.lexsort((j, i))
    i, j, low, high = i[order], j[order], low[order], high[order]
    exact = bool(((low < 0) & (high > 0)).all())
    heads = np.flatnonzero(np.concatenate([[True], (np.diff(i) != 0) | (np.diff(j) != 0)])[: i.size])
    if heads.size:
        low, high = np.minimum.reduceat(low, heads), np.maximum.reduceat(high, heads)
    first = np.searchsorted(i[heads], np.arange(n + 1))
    return first, j[heads], np.maximum(-low, 0), np.maximum(high, 0), exact
