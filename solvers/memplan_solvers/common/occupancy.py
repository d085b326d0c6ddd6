"""Who takes which bytes of a memory, and when: asked for some steps, only those are looked at that are there then."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterator

from memplan_solvers.common.holes import Extent


class Occupancy:
    """The bytes of one memory that are taken for some steps.

    A segment tree over the steps holds each stretch at O(log steps) nodes; a question takes O(log steps + answers).

    Args:
        steps: of the plan.
    """

    def __init__(self, steps: int) -> None:
        self.leaves = 1 << max(0, steps - 1).bit_length()
        self.nodes: dict[int, dict[tuple[int, int], Extent]] = {}
        self.begun: dict[int, dict[tuple[int, int], Extent]] = {}  # by first step
        self.begins: list[int] = []  # the first steps, ascending

    def add(self, owner: int, start: int, stop: int, low: int, high: int) -> None:
        """Take the bytes [low, high) for the owner in steps [start, stop); it has one stretch from a step on."""
        if low == high:
            return
        key, extent = (owner, start), (low, high, owner)
        for node in self._nodes(start, stop):
            self.nodes.setdefault(node, {})[key] = extent
        if start not in self.begun:
            self.begun[start] = {}
            insort(self.begins, start)
        self.begun[start][key] = extent

    def remove(self, owner: int, start: int, stop: int) -> None:
        """Give back what the owner has taken in steps [start, stop), if any."""
        for node in self._nodes(start, stop):
            self.nodes.get(node, {}).pop((owner, start), None)
        self.begun.get(start, {}).pop((owner, start), None)

    def taken(self, start: int, stop: int) -> list[Extent]:
        """The bytes that are taken in some of the steps [start, stop), ascending."""
        found: list[Extent] = []
        node = self.leaves + start
        while node:
            if there := self.nodes.get(node):
                found += there.values()
            node >>= 1
        k = bisect_right(self.begins, start)
        while k < len(self.begins) and self.begins[k] < stop:
            found += self.begun[self.begins[k]].values()
            k += 1
        found.sort()
        return found

    def _nodes(self, start: int, stop: int) -> Iterator[int]:
        """The nodes of the tree whose steps together are [start, stop)."""
        low, high = self.leaves + start, self.leaves + stop
        while low < high:
            if low & 1:
                yield low
                low += 1
            if high & 1:
                high -= 1
                yield high
            low, high = low >> 1, high >> 1
