"""Which places are free: residency rows kept in order of offset, and the best-fitting gap over a window."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.jit import kernel
from memplan_solvers.latency.evaluate import OFFSET, START, STOP, STORAGE
from memplan_solvers.latency.timed import Array, Timed


class Space(NamedTuple):
    """Residencies of one layout. Rows are dense; `by_offset` lists them by ascending offset."""

    rows: Array  # int64[r, 4]: storage, start, stop, offset
    by_offset: Array  # int64[r]
    count: Array  # int64[1]


def make_space(timed: Timed) -> Space:
    """An empty layout, but for what is fixed."""
    room = len(timed.touch) + len(timed.size) + 1
    space = Space(np.zeros((room, 4), np.int64), np.zeros(room, np.int64), np.zeros(1, np.int64))
    for s in np.flatnonzero(timed.fixed >= 0):
        add(
            timed,
            space,
            int(s),
            int(timed.fixed_span[s, 0]),
            int(timed.fixed_span[s, 1]),
            int(timed.fixed[s]),
        )
    return space


@kernel
def add(timed: Timed, space: Space, s: int, start: int, stop: int, offset: int) -> int:
    """Enter a residency; its row."""
    r = space.count[0]
    space.rows[r, STORAGE], space.rows[r, START], space.rows[r, STOP] = s, start, stop
    space.rows[r, OFFSET] = offset
    k = r
    while k > 0 and space.rows[space.by_offset[k - 1], OFFSET] > offset:
        space.by_offset[k] = space.by_offset[k - 1]
        k -= 1
    space.by_offset[k] = r
    space.count[0] = r + 1
    return int(r)


@kernel
def drop(space: Space, r: int) -> None:
    """Take row r out; the last row moves into its place."""
    last = space.count[0] - 1
    k = 0
    while space.by_offset[k] != r:
        k += 1
    for i in range(k, last):
        space.by_offset[i] = space.by_offset[i + 1]
    if r != last:
        for c in range(4):
            space.rows[r, c] = space.rows[last, c]
        k = 0
        while space.by_offset[k] != last:
            k += 1
        space.by_offset[k] = r
    space.count[0] = last


@kernel
def is_free(timed: Timed, space: Space, offset: int, size: int, start: int, stop: int) -> bool:
    """Whether nothing lies in `[offset, offset + size)` during `[start, stop)`."""
    rows, sizes = space.rows, timed.size  # rows are indexed whole: a view of one costs more than the test
    for r in range(space.count[0]):
        if rows[r, START] < stop and rows[r, STOP] > start and rows[r, OFFSET] < offset + size:
            if rows[r, OFFSET] + sizes[rows[r, STORAGE]] > offset:
                return False
    return True


@kernel
def best_gap(timed: Timed, space: Space, size: int, start: int, stop: int) -> int:
    """The lowest offset of the smallest gap of `size` bytes free during `[start, stop)`, or -1."""
    rows, sizes, by_offset = space.rows, timed.size, space.by_offset
    best, slack, top = -1, 2**62, 0
    for k in range(space.count[0]):
        r = by_offset[k]
        if rows[r, START] < stop and rows[r, STOP] > start:
            gap = rows[r, OFFSET] - top
            if gap >= size and gap - size < slack:
                best, slack = top, int(gap - size)
            top = max(top, int(rows[r, OFFSET] + sizes[rows[r, STORAGE]]))
    gap = timed.capacity - top
    if gap >= size and gap - size < slack:
        best = top
    return int(best)
