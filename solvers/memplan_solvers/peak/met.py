"""Sets of executed ops that a search has met, in a hash table, in numba."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Records
from memplan_solvers.jit import inner, kernel
from memplan_solvers.peak.executed import KEY

UNBOUNDED = 1 << 62
"""More bytes than any peak has."""

BOUNDS = np.dtype([("low", np.int64), ("high", np.int64)])
"""What the peak from a set on is at least and at most, in bytes."""

SETS = np.dtype([("count", np.int64), ("most", np.int64)])
"""How many sets are in a table, and how many may be."""


class Met(NamedTuple):
    """The table. Without bounds a set in it is one that failed under the one limit that is asked about."""

    keys: Annotated[Records, KEY]  # a power of two of rows; (0, 0) where one is free
    bounds: Annotated[Records, BOUNDS]  # a row for each of the keys, or none at all
    sets: Annotated[Records, SETS, "1"]


def none_met(size: int, bounded: bool, most: int | None = None) -> Met:
    """An empty table of `size` rows, a power of two; it takes `most` sets, by default as many as it has room for."""
    sets = np.zeros(1, SETS)
    sets[0] = 0, 3 * size // 4 if most is None else most
    return Met(np.zeros(size, KEY), np.zeros(size if bounded else 0, BOUNDS), sets)


def enlarged(met: Met, most: int | None = None) -> Met:
    """A table with the same sets and four times the rows."""
    larger = none_met(4 * len(met.keys), len(met.bounds) > 0, most)
    copy_sets(met, larger)
    return larger


@inner(allocates=False)
def row_of(met: Met, a: int, b: int) -> int:
    """The row of a set by its key, or a free one."""
    mask = met.keys.shape[0] - 1
    r: int = a & mask
    while (met.keys[r].a != 0 or met.keys[r].b != 0) and (met.keys[r].a != a or met.keys[r].b != b):
        r = (r + 1) & mask
    return r


@inner(allocates=False)
def is_free(met: Met, r: int) -> bool:
    """Whether no set is in row r."""
    free: bool = met.keys[r].a == 0 and met.keys[r].b == 0
    return free


@inner(allocates=False)
def enter(met: Met, r: int, a: int, b: int) -> bool:
    """Put a set into the free row r, unless the table has its most; whether it is there."""
    sets = met.sets[0]
    if sets.count >= sets.most:
        return False
    met.keys[r].a = a
    met.keys[r].b = b
    sets.count += 1
    return True


@inner(allocates=False)
def note(met: Met, a: int, b: int, low: int, high: int) -> None:
    """Remember that the peak from a set on is at least `low` and at most `high`; the table has bounds."""
    r = row_of(met, a, b)
    if not is_free(met, r):
        met.bounds[r].low = max(met.bounds[r].low, low)
        met.bounds[r].high = min(met.bounds[r].high, high)
    elif enter(met, r, a, b):
        met.bounds[r].low = low
        met.bounds[r].high = high


@kernel(allocates=False)
def copy_sets(old: Met, new: Met) -> None:
    """Enter the sets of a table into a larger, empty one."""
    for k in range(old.keys.shape[0]):
        if not is_free(old, k):
            r = row_of(new, old.keys[k].a, old.keys[k].b)
            if enter(new, r, old.keys[k].a, old.keys[k].b) and new.bounds.shape[0] > 0:
                new.bounds[r].low = old.bounds[k].low
                new.bounds[r].high = old.bounds[k].high
