"""The bytes for a newcomer among those that lie in a memory: a hole, or a window that is cleared for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memplan.base.units import align_up
from memplan_solvers.common.holes import NOWHERE, Extent, smallest_hole
from memplan_solvers.replace.rights import UNLIMITED, Footprint


def hole(taken: Sequence[Extent], footprint: Footprint, high: bool) -> int:
    """An offset in the smallest hole, at its upper end if `high`; the pinned offset if that is free; else NOWHERE.

    `taken` are the bytes in use, ascending.
    """
    size, alignment, end, pinned = footprint
    if pinned is not None:
        clash = size and any(low < pinned + size and pinned < top for low, top, _ in taken)
        return NOWHERE if clash or pinned + size > end or pinned % alignment else pinned
    low = smallest_hole(taken, size, end, alignment) if size <= end else NOWHERE
    if low == NOWHERE or end == UNLIMITED or not high:
        return low
    top = min((begin for begin, _, _ in taken if begin >= low + size), default=end)
    return (top - size) // alignment * alignment


def cheapest_window(
    taken: Sequence[Extent], footprint: Footprint, loss: Mapping[int, float | None]
) -> list[int] | None:
    """Who lies between two addresses where the newcomer has room and the losses add up to least; None where
    it never has.

    `loss` is what each costs that leaves, None for whom may not.
    """
    size, alignment, end, pinned = footprint
    begins = {0, *(align_up(high, alignment) for _, high, _ in taken)}
    begins |= {(low - size) // alignment * alignment for low, _, _ in taken if low >= size}
    if pinned is not None:
        begins = {pinned}
    best: tuple[float, int] | None = None
    found: list[int] | None = None
    for begin in sorted(begins):
        inside = [who for low, high, who in taken if low < begin + size and begin < high]
        losses = [loss[who] for who in inside]
        if begin + size > end or None in losses:
            continue
        score = sum(x for x in losses if x is not None), len(inside)
        if best is None or score < best:
            best, found = score, inside
    return found
