"""Which buffers conflict, and how far apart they must be: the packer's view of a set of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from memplan.buffers import Buffer
from memplan_solvers.common.arrays import Ints


@dataclass(frozen=True)
class Conflicts:
    """Pairs that share a step and could share an address, as a graph in compressed rows.

    Row i lists neighbours `to[first[i]:first[i + 1]]`, ascending; a neighbour j that lies above i has
    offset_j >= offset_i + `above[k]`, one below it offset_i >= offset_j + `below[k]`. `section_first` and
    `section` list the sections (times between two events) in which each buffer is used in full; `span` is the
    first and last section in which it is used at all; `load` is the bytes used per section.
    `exact` is False where windows in gaps make "above or below" a restriction: then a failed search
    proves nothing.
    """

    first: Ints
    to: Ints
    above: Ints
    below: Ints
    section_first: Ints
    section: Ints
    span: Ints
    load: Ints
    exact: bool

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
    rows = np.array([(*s, i, b.size) for i, b in enumerate(buffers) for s in b.segments], np.int64).reshape(
        -1, 6
    )
    times = np.unique(rows[:, :2])
    a, z = np.searchsorted(times, rows[:, 0]), np.searchsorted(times, rows[:, 1])
    used = rows[:, 3] - rows[:, 2]
    change = np.zeros(max(times.size, 1), np.int64)
    np.add.at(change, a, used)
    np.add.at(change, z, -used)
    full = used == rows[:, 5]
    owner = rows[:, 4]
    span = np.zeros((n, 2), np.int64)
    span[:, 0] = times.size
    np.minimum.at(span[:, 0], owner, a)
    np.maximum.at(span[:, 1], owner, z - 1)
    filled = np.zeros(n, np.int64)
    np.add.at(filled, owner[full], (z - a)[full])
    first, to, above, below, exact = _pairs(rows, n)
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


def _pairs(rows: Ints, n: int) -> tuple[Ints, Ints, Ints, Ints, bool]:
    """Rows of neighbours with their distances, from segments (start, stop, low, high, owner, size)."""
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    ahead = np.searchsorted(rows[:, 0], rows[:, 1], "left")
    begin = np.arange(len(rows)) + 1
    one = np.repeat(np.arange(len(rows)), ahead - begin)
    other = _ranges(begin, ahead)
    apart = rows[one, 4] != rows[other, 4]
    one, other = rows[one[apart]], rows[other[apart]]
    # offset[i] - offset[j] may not lie strictly between these two.
    between, until = other[:, 2] - one[:, 3], other[:, 3] - one[:, 2]
    i = np.concatenate([one[:, 4], other[:, 4]])
    j = np.concatenate([other[:, 4], one[:, 4]])
    low, high = np.concatenate([between, -until]), np.concatenate([until, -between])
    order = np.lexsort((j, i))
    i, j, low, high = i[order], j[order], low[order], high[order]
    exact = bool(((low < 0) & (high > 0)).all())
    heads = np.flatnonzero(np.concatenate([[True], (np.diff(i) != 0) | (np.diff(j) != 0)])[: i.size])
    if heads.size:
        low, high = np.minimum.reduceat(low, heads), np.maximum.reduceat(high, heads)
    first = np.searchsorted(i[heads], np.arange(n + 1))
    return first, j[heads], np.maximum(-low, 0), np.maximum(high, 0), exact
