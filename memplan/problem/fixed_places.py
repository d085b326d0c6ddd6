"""How low blocks can lie beside others whose addresses are fixed, by bytes alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

MOST_BITS = 1 << 22
"""Multiples of the unit up to which sums of sizes are listed one by one."""


def lowest_end(fixed: Sequence[tuple[int, int]], size: int) -> int:
    """The least end of a block of `size` bytes that keeps clear of the `fixed` intervals [begin, end)."""
    at = 0
    for begin, end in sorted(fixed):
        if at + size <= begin:
            break
        at = max(at, end)
    return at + size


def least_top(fixed: Sequence[tuple[int, int]], free: Sequence[int], unit: int = 1) -> int:
    """A lower bound on the end of the highest of `fixed` intervals and of free blocks of such sizes, all apart.

    Below the highest fixed end a hole holds at most the largest sum of sizes that fits it, all in multiples of
    `unit`; what is left lies above. O(holes x blocks) operations on sets of sums.
    """
    if not fixed:
        return sum(free)
    merged = _merged(fixed)
    top = merged[-1][1]
    holes = [begin - end for (_, end), (begin, _) in pairwise([(0, 0), *merged]) if begin > end]
    widest = max(holes, default=0)
    small = [size for size in free if size <= widest]
    sums = attainable(small, widest, unit)
    held = sum(hole if sums is None else largest(sums, hole, unit) for hole in holes)
    return top + sum(free) - sum(small) + max(0, sum(small) - held)


def attainable(sizes: Iterable[int], most: int, unit: int) -> int | None:
    """The sums of some of `sizes` up to `most`, as bits of multiples of `unit`; None where they are too many to list."""
    if most // unit >= MOST_BITS:
        return None
    sums, mask = 1, (1 << (most // unit + 1)) - 1
    for size in sizes:
        sums |= (sums << (size // unit)) & mask
    return sums


def largest(sums: int, most: int, unit: int) -> int:
    """The largest of the sums that is at most `most`; 0 is always one."""
    return ((sums & ((1 << (most // unit + 1)) - 1)).bit_length() - 1) * unit


def _merged(intervals: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged
