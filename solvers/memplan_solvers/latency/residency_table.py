"""A layout that memory space assignment builds: residencies, also in order of offset, and the holes between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Ints, Records
from memplan_solvers.common.hole_kernel import NO_HOLE, past
from memplan_solvers.jit import inlined, inner
from memplan_solvers.latency.arrays import RESIDENCY, LatencyArrays


class ResidencyTable(NamedTuple):
    """Residencies of one layout. Rows are dense."""

    rows: Records  # RESIDENCY[r], the first used[0] of them valid
    by_offset: Ints  # [r], rows by ascending offset
    used: Ints  # [1], how many


def make_table(arrays: LatencyArrays) -> ResidencyTable:
    """An empty table, with rows for a residency of each touch and for what is fixed."""
    most = len(arrays.touch) + len(arrays.size) + 1
    return ResidencyTable(
        rows=np.zeros(most, RESIDENCY),
        by_offset=np.zeros(most, np.int64),
        used=np.zeros(1, np.int64),
    )


@inner
def add_fixed(arrays: LatencyArrays, table: ResidencyTable) -> None:
    """Enter what is fixed."""
    for s in range(len(arrays.size)):
        if arrays.fixed[s] >= 0:
            add_row(table, s, arrays.fixed_span[s, 0], arrays.fixed_span[s, 1], arrays.fixed[s])


@inlined
def add_row(table: ResidencyTable, s: int, start: int, stop: int, offset: int) -> int:
    """Enter a residency; its row."""
    rows, by_offset, r = table.rows, table.by_offset, table.used[0]
    row = rows[r]
    row.storage, row.start, row.stop, row.offset = s, start, stop, offset
    k = r
    while k > 0 and rows[by_offset[k - 1]].offset > offset:
        by_offset[k] = by_offset[k - 1]
        k -= 1
    by_offset[k] = r
    table.used[0] = r + 1
    return int(r)


@inner
def remove_row(table: ResidencyTable, r: int) -> None:
    """Take row r out; the last row moves into its place."""
    by_offset, last = table.by_offset, table.used[0] - 1
    k = 0
    while by_offset[k] != r:
        k += 1
    for i in range(k, last):
        by_offset[i] = by_offset[i + 1]
    if r != last:
        table.rows[r] = table.rows[last]
        k = 0
        while by_offset[k] != last:
            k += 1
        by_offset[k] = r
    table.used[0] = last


@inner
def is_free(
    arrays: LatencyArrays, table: ResidencyTable, offset: int, size: int, start: int, stop: int
) -> bool:
    """Whether nothing lies in `[offset, offset + size)` during `[start, stop)`."""
    rows = table.rows
    for r in range(table.used[0]):
        if rows[r].start < stop and rows[r].stop > start and rows[r].offset < offset + size:
            if rows[r].offset + arrays.size[rows[r].storage] > offset:
                return False
    return True


@inner
def best_hole(arrays: LatencyArrays, table: ResidencyTable, size: int, start: int, stop: int) -> int:
    """The lowest offset of the smallest hole of `size` bytes that is free during `[start, stop)`, or -1."""
    rows, hole = table.rows, NO_HOLE
    for place in range(table.used[0]):
        r = table.by_offset[place]
        if rows[r].start < stop and rows[r].stop > start:
            low = rows[r].offset
            hole = past(hole, low, low + arrays.size[rows[r].storage], size)
    return int(past(hole, arrays.capacity, arrays.capacity, size).offset)
