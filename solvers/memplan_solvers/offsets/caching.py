"""Addresses as PyTorch's CUDA caching allocator gives them, one allocation after the other.

After the allocator's own description (https://zdevito.github.io/2022/08/04/cuda-caching-allocator.html) with
its default
settings: sizes rounded to 512 bytes; small requests are cut from segments of 2 MiB, large ones from segments of 20 MiB
or of their own size; the smallest free block that serves is taken, its rest stays free where that is worth it; a freed
block joins its free neighbours; segments are never given back.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

from memplan.base.units import align_up

MIB = 2**20
ROUND = 512
SMALL = MIB
"""The largest request that the small pool serves."""
SMALL_SEGMENT, LARGE_SEGMENT = 2 * MIB, 20 * MIB
OWN_SEGMENT, ROUND_SEGMENT = 10 * MIB, 2 * MIB
"""From this size on a request gets a segment of its own, rounded up to the second number."""


class CachingAllocator:
    """One device's memory: segments side by side from address 0. `unit` is the rounding of sizes."""

    def __init__(self, unit: int = ROUND) -> None:
        self.unit = unit
        self.reserved = 0
        self.free: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        self.segment: dict[int, int] = {}
        self.used: dict[int, int] = {}
        self.start_of_free: dict[int, int] = {}
        self.stop_of_free: dict[int, int] = {}

    def allocate(self, nbytes: int) -> int:
        """The address of a new block."""
        size = align_up(max(nbytes, 1), self.unit)
        small = size <= SMALL
        pool = self.free[small]
        found = next(((have, at) for have, at in pool if have >= size), None)
        if found is None:
            found = self._segment(size, small)
        else:
            self._forget(found, small)
        have, at = found
        rest = have - size
        if rest >= self.unit if small else rest > SMALL:
            self.segment[at + size] = self.segment[at]
            self._remember(at + size, rest, small)
        else:
            size = have
        self.used[at] = size
        return at

    def release(self, at: int) -> None:
        """Free the block at this address and join it with its free neighbours in its segment."""
        size = self.used.pop(at)
        segment = self.segment[at]
        start, stop = at, at + size
        small = segment % 2 == 1
        before = self.stop_of_free.get(start)
        if before is not None and self.segment[before] == segment:
            self._forget((start - before, before), small)
            start = before
        after = self.start_of_free.get(stop)
        if after is not None and self.segment[stop] == segment:
            self._forget((after - stop, stop), small)
            stop = after
        self.segment[start] = segment
        self._remember(start, stop - start, small)

    def _segment(self, size: int, small: bool) -> tuple[int, int]:
        """A new segment's one block; odd segment numbers are of the small pool."""
        have = (
            SMALL_SEGMENT if small else LARGE_SEGMENT if size < OWN_SEGMENT else align_up(size, ROUND_SEGMENT)
        )
        at, have = self.reserved, align_up(have, self.unit)
        self.segment[at] = 2 * at + small
        self.reserved += have
        return have, at

    def _remember(self, start: int, size: int, small: bool) -> None:
        insort(self.free[small], (size, start))
        self.start_of_free[start] = start + size
        self.stop_of_free[start + size] = start

    def _forget(self, block: tuple[int, int], small: bool) -> None:
        size, start = block
        self.free[small].remove(block)
        del self.start_of_free[start], self.stop_of_free[start + size]


def place_caching(
    starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int], alignment: int
) -> list[int]:
    """Offsets of buffers that live in steps [start, stop), allocated in the order given within a step, freed after it."""
    allocator = CachingAllocator(align_up(ROUND, alignment))
    ending: dict[int, list[int]] = {}
    offsets = [0] * len(sizes)
    last = 0
    for k in sorted(range(len(sizes)), key=lambda k: starts[k]):
        for step in range(last, starts[k] + 1):
            for gone in ending.pop(step, ()):
                allocator.release(offsets[gone])
        last = starts[k]
        offsets[k] = allocator.allocate(sizes[k])
        ending.setdefault(stops[k], []).append(k)
    return offsets
