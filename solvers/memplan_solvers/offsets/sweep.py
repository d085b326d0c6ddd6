"""Best fit in time order: a free list of holes, as a run-time allocator would keep it."""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Sequence


class FreeList:
    """Holes below a growing top; O(log holes + log distinct sizes) an operation.

    `by_size` may name holes that are gone or have changed; they are dropped when met.
    """

    def __init__(self) -> None:
        self.top = 0
        self.end_of: dict[int, int] = {}
        self.start_of: dict[int, int] = {}
        self.by_size: dict[int, list[int]] = {}
        self.sizes: list[int] = []

    def take(self, size: int) -> int:
        """The offset of the smallest hole of at least `size` bytes, the lowest of those."""
        k = bisect.bisect_left(self.sizes, size)
        while k < len(self.sizes):
            width = self.sizes[k]
            heap = self.by_size[width]
            while heap:
                start = heapq.heappop(heap)
                if self.end_of.get(start) == start + width:
                    self._remove(start)
                    if width > size:
                        self._add(start + size, start + width)
                    return start
            del self.sizes[k], self.by_size[width]
        start = self.top
        if start in self.start_of:  # a hole right below the top is too small: grow it
            start = self.start_of[start]
            self._remove(start)
        self.top = start + size
        return start

    def give(self, start: int, size: int) -> None:
        """Free `[start, start + size)`, joining the holes beside it."""
        end = start + size
        if start in self.start_of:
            left = self.start_of[start]
            self._remove(left)
            start = left
        if end in self.end_of:
            right = self.end_of[end]
            self._remove(end)
            end = right
        self._add(start, end)

    def _add(self, start: int, end: int) -> None:
        self.end_of[start] = end
        self.start_of[end] = start
        width = end - start
        if width not in self.by_size:
            self.by_size[width] = []
            bisect.insort(self.sizes, width)
        heapq.heappush(self.by_size[width], start)

    def _remove(self, start: int) -> None:
        del self.start_of[self.end_of.pop(start)]


def sweep(starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Offsets of the buffers in order of start, larger first, each in the smallest hole; O(n log n).

    Sizes that are multiples of an alignment give aligned offsets.
    """
    free = FreeList()
    offsets = [0] * len(sizes)
    ending: list[tuple[int, int]] = []
    for i in sorted(range(len(sizes)), key=lambda i: (starts[i], -sizes[i], -stops[i], i)):
        if sizes[i] == 0:
            continue
        while ending and ending[0][0] <= starts[i]:
            _, j = heapq.heappop(ending)
            free.give(offsets[j], sizes[j])
        offsets[i] = free.take(sizes[i])
        heapq.heappush(ending, (stops[i], i))
    return offsets
