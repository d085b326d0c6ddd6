"""First fit, repair and dives in plain Python, without buckets: twins of `ejection_kernel`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


def dive(order: Sequence[int], start: Sequence[int], stop: Sequence[int], size: Sequence[int]) -> list[int]:
    """Offsets where the buffer whose lowest place is lowest goes next, the first in `order` of those."""
    n = len(size)
    low, offset = [0] * n, [-1] * n
    for _ in range(n):
        _, r = min((low[i], r) for r, i in enumerate(order) if offset[i] < 0)
        i = order[r]
        offset[i] = low[i]
        for j in range(n):
            if start[j] < stop[i] and start[i] < stop[j]:
                low[j] = max(low[j], offset[i] + size[i])
    return offset


@dataclass
class PlainLayout:
    """What lies (offset -1: nothing), who waits, and how hard each is to place."""

    begin: list[int]
    stop: list[int]
    size: list[int]
    target: int
    penalty: list[float]
    offset: list[int]
    queue: list[int] = field(default_factory=list)

    def neighbours(self, i: int) -> list[int]:
        """What lies and shares a step with buffer i, ascending by offset and number."""
        there = [
            j
            for j, offset in enumerate(self.offset)
            if offset >= 0 and j != i and self.begin[j] < self.stop[i] and self.begin[i] < self.stop[j]
        ]
        return sorted(there, key=lambda j: (self.offset[j], j))

    def fill(self, order: Sequence[int], best_fit: bool) -> None:
        """Put each into its lowest hole below the target, or into the smallest; who has none joins the queue."""
        for i in order:
            top, holes = 0, []
            for j in self.neighbours(i):
                if self.offset[j] - top >= self.size[i]:
                    holes.append((self.offset[j] - top if best_fit else 0, top))
                top = max(top, self.offset[j] + self.size[j])
            at = min(holes)[1] if holes else top
            if at + self.size[i] <= self.target:
                self.offset[i] = at
            else:
                self.queue.append(i)

    def repair(self, moves: int) -> None:
        """Place who waits, the largest penalty first: in the smallest hole, else where the penalties met are least."""
        for _ in range(moves):
            if not self.queue:
                break
            *rest, last = self.queue
            i = max([last, *rest], key=lambda i: self.penalty[i])
            self.queue[self.queue.index(i)] = last
            self.queue.pop()
            near, size = self.neighbours(i), self.size[i]
            spans = [(j, self.offset[j], self.offset[j] + self.size[j]) for j in near]
            tops = [0, *(max(end for _, _, end in spans[: k + 1]) for k in range(len(spans)))]
            holes = [
                (until - top - size, top)
                for top, until in zip(tops, [*(low for _, low, _ in spans), self.target], strict=True)
                if until - top >= size
            ]
            if holes:
                self.offset[i] = min(holes)[1]
                continue
            self.penalty[i] += 1
            limit = self.target - size
            best = None
            for x in sorted({0, limit, *(end for _, _, end in spans if end <= limit)}):
                met = [j for j, low, end in spans if low < x + size and end > x]
                price = sum(self.penalty[j] for j in met)
                if best is None or price < best[0]:
                    best = price, x, met
            _, self.offset[i], met = best
            for j in met:
                self.offset[j] = -1
                self.queue.append(j)
