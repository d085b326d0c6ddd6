"""The hole where something goes between what lies already: the smallest that is large enough, or the lowest.

Plain Python, for who packs without compiling anything; `hole_kernel.py` has the same for kernels.
"""

from __future__ import annotations

from collections.abc import Iterable

from memplan.base.units import MAX_BYTES

NOWHERE = -1
"""The offset of a hole that there is not."""


Extent = tuple[int, int, int]
"""The bytes `[offset, end)`, and who takes them: plain tuples, which are sorted and read twice as fast as named ones.
"""


def smallest_hole(taken: Iterable[Extent], size: int, end: int = MAX_BYTES, alignment: int = 1) -> int:
    """The offset of the smallest hole of at least `size` bytes below `end`, the lowest of those; NOWHERE
    where there is none.

    `taken` is ascending by offset, may overlap, and lies below `end`. Holes begin at multiples of `alignment`.
    """
    best, slack, top = NOWHERE, 0, 0
    for low, high, _ in taken:
        spare = low - top - size
        if spare >= 0 and (best == NOWHERE or spare < slack):
            best, slack = top, spare
        if high > top:
            top = -(-high // alignment) * alignment
    spare = end - top - size
    return top if spare >= 0 and (best == NOWHERE or spare < slack) else best


def lowest_hole(taken: Iterable[Extent], size: int, alignment: int = 1) -> int:
    """The offset of the lowest hole of at least `size` bytes; above everything where no other is large enough."""
    top = 0
    for low, high, _ in taken:
        if low - top >= size:
            return top
        if high > top:
            top = -(-high // alignment) * alignment
    return top
