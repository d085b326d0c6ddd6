"""Replacement and offsets at once, as a run-time allocator would: evict until there is a hole.

Unlike eviction by bytes it never has to be repaired. With inputs and outputs in host it finds a plan
wherever each op alone fits: in the worst case an op's operands are stored, everything else is
evicted, and they come back side by side.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf

from memplan_solvers.common.holes import NOWHERE, Extent, smallest_hole
from memplan_solvers.replace import Rank
from memplan_solvers.replace.evict import Presence
from memplan_solvers.residency import Block, Stretch, Walk


class ScratchpadOccupancy:
    """Who lies where, in address order, and who may be moved out for whom.

    `reserved` are pinned places, owned by -1, which others get only where there is no hole beside them.
    """

    def __init__(self, capacity: int, reserved: Sequence[Extent] = ()) -> None:
        self.capacity, self.reserved = capacity, reserved
        self.placed: list[Extent] = []  # owned by storages
        self.extent: dict[int, Extent] = {}  # the same, by storage

    def add(self, offset: int, size: int, s: int) -> None:
        self.extent[s] = extent = (offset, offset + size, s)
        insort(self.placed, extent)

    def remove(self, s: int) -> int:
        """Take s out; its offset."""
        extent = self.extent.pop(s)
        del self.placed[bisect_left(self.placed, extent)]
        return extent[0]

    def offset_of(self, s: int) -> int | None:
        """Where s lies; None if it does not."""
        return self.extent[s][0] if s in self.extent else None

    def hole(self, size: int, pinned: int | None = None) -> int | None:
        """The lowest offset of the smallest hole of at least `size` bytes; `pinned` if that is given and free."""
        if pinned is not None:
            return None if self.between(pinned, pinned + size) else pinned
        offset = NOWHERE
        if self.reserved:
            offset = smallest_hole(sorted([*self.placed, *self.reserved]), size, self.capacity)
        if offset == NOWHERE:
            offset = smallest_hole(self.placed, size, self.capacity)
        return None if offset == NOWHERE else offset

    def between_walls(self) -> list[Extent]:
        """What is placed, after an empty extent at 0 and before one at the capacity, both owned by nobody, -1."""
        return [(0, 0, -1), *self.placed, (self.capacity, self.capacity, -1)]

    def between(self, start: int, stop: int) -> list[int]:
        """The storages that lie in part within `[start, stop)`."""
        return [s for offset, end, s in self.placed if offset < stop and start < end]

    def cheapest_window(
        self, size: int, price: dict[int, float], pinned: int | None = None
    ) -> list[int] | None:
        """Storages to evict so that `size` bytes come free in one piece, least price in all, at `pinned` if given.

        Storages without a price cannot leave. Windows begin where a hole does; O(placed).
        """
        if pinned is not None:
            there = self.between(pinned, pinned + size)
            return there if all(s in price for s in there) else None
        rows = self.between_walls()
        best: list[int] | None = None
        best_price = 0.0
        for first, (_, begin, _) in enumerate(rows):
            inside: list[int] = []
            total = 0.0
            for k in range(first + 1, len(rows)):
                low, _, s = rows[k]
                if low - begin >= size:
                    if best is None or total < best_price:
                        best, best_price = inside, total
                    break
                if s not in price:
                    break
                inside.append(s)
                total += price[s]
                if best is not None and total >= best_price:
                    break
        return best


def allocate_on_demand(
    walk: Walk,
    capacity: int,
    rank: Rank,
    stop: Callable[[], bool] = lambda: False,
    planned: Sequence[Sequence[Stretch]] = (),
    most: float = inf,
) -> tuple[list[Block], list[int]] | None:
    """Blocks and their offsets; None where resident inputs or outputs are in the way, where the evictions cost more
    than `most` bytes, or on `stop`.

    With `planned` stretches, per storage, each also leaves where one of its stretches ends: if these fit by
    bytes, others leave only where no hole is large enough. Who comes lies beside who leaves at about the same
    time, for a larger hole then. O(ops + placements x live storages).
    """
    return _Allocation(walk, capacity, rank, planned).run(stop, most)


class _Allocation:
    """One walk over the steps, with the arena as it stands."""

    def __init__(self, walk: Walk, capacity: int, rank: Rank, planned: Sequence[Sequence[Stretch]]) -> None:
        self.walk, self.rank = walk, rank
        self.planned = planned
        self.until: dict[int, int] = {}  # storage -> step before which it is to leave
        self.ending: dict[int, list[int]] = {}  # step -> storages that leave before it, as planned
        for s, stretches in enumerate(planned):
            for _, end in stretches:
                self.ending.setdefault(end, []).append(s)
        self.presence = Presence(walk)
        self.sizes = [s.size for s in self.presence.storages]
        self.turn = [(s.offset is None, -s.size, k) for k, s in enumerate(self.presence.storages)]
        pinned = [s for s in self.presence.storages if s.offset is not None]
        self.arena = ScratchpadOccupancy(capacity, [(s.offset or 0, s.end, -1) for s in pinned])
        self.blocks: list[Block] = []
        self.offsets: list[int] = []
        self.block_of: dict[int, int] = {}

    def run(self, stop: Callable[[], bool], most: float) -> tuple[list[Block], list[int]] | None:
        if not self._place_all(self.presence.opening(), 0, ()):
            return None
        for t, touched in enumerate(self.walk.touches):
            if stop() or not self._step(t, touched) or self.presence.lost > most:
                return None
        for s in sorted(self.presence.since):
            self._leave(s, self.presence.n)
        kept = [k for k, block in enumerate(self.blocks) if block.members]
        return [self.blocks[k] for k in kept], [self.offsets[k] for k in kept]

    def _step(self, t: int, touched: tuple[int, ...]) -> bool:
        for s in self.ending.get(t, ()):
            if s in self.presence.since and s not in self.presence.pinned and s not in touched:
                self._leave(s, t)
        pairs, steps = self.walk.inplace, self.walk.steps
        over = {s: pairs[s] for s in touched if s in pairs and steps[s][0] == t and self._meets(s)}
        placed = [s for s in touched if s not in over] if over else touched
        if not self._place_all(placed, t, touched):
            # The operands themselves are in the way: all leave, and come back side by side.
            for s in [s for s in self.presence.since if s not in self.presence.pinned]:
                self._leave(s, t)
            if not self._place_all(placed, t, touched):
                return False
        for written, source in over.items():
            self.presence.enter(written, t)
            self.arena.add(self.arena.remove(source), self.sizes[written], written)
            self.block_of[written] = self.block_of[source]
            if self.planned:
                self.until[written] = next((b for a, b in self.planned[written] if a <= t < b), t + 1)
        for s in sorted(self.presence.pass_step(t), key=lambda s: s in over):
            self._leave(s, t + 1)
        return True

    def _meets(self, s: int) -> bool:
        """Whether s may lie where the storage that it overwrites does."""
        pinned = self.presence.storages[s].offset
        return pinned is None or pinned == self.arena.offset_of(self.walk.inplace[s])

    def _place_all(self, storages: Sequence[int], t: int, touched: tuple[int, ...]) -> bool:
        """Place those that are not there, pinned ones first, then the largest."""
        absent = [s for s in storages if s not in self.presence.since]
        absent.sort(key=self.turn.__getitem__)
        for s in absent:
            if not self._place(s, t, touched):
                return False
        return True

    def _place(self, s: int, t: int, touched: tuple[int, ...]) -> bool:
        size, pinned = self.sizes[s], self.presence.storages[s].offset
        if self.planned:
            self.until[s] = next((stop for start, stop in self.planned[s] if start <= t < stop), t + 1)
        offset = self._beside(s) if self.planned and pinned is None else None
        if offset is None:
            offset = self.arena.hole(size, pinned)
        if offset is None:
            presence = self.presence
            price = {
                v: presence.cost(v) / (1e-9 + abs(self.rank(*presence.outlook(v, t))))
                for v in presence.since
                if v not in touched and v not in presence.pinned
            }
            for v in self.arena.cheapest_window(size, price, pinned) or ():
                self._leave(v, t)
            offset = self.arena.hole(size, pinned)
            if offset is None:
                return False
        self.presence.enter(s, t)
        self.arena.add(offset, size, s)
        self.block_of[s] = len(self.blocks)
        self.blocks.append(Block(t, t, size))
        self.offsets.append(offset)
        return True

    def _beside(self, s: int) -> int | None:
        """Where s fills a hole, else at an end of the arena or beside the storage that leaves nearest to when
        it does itself.
        """
        arena, size, best = self.arena, self.sizes[s], None
        if arena.reserved:
            return None
        for (_, begin, below), (end, _, above) in pairwise(arena.between_walls()):
            for offset, other in ((begin, below), (end - size, above)):
                if begin <= offset <= end - size:
                    apart = abs(self.until[other] - self.until[s]) if other >= 0 else 0
                    score = end - begin > size, apart, end - begin, offset
                    best = score if best is None else min(best, score)
        return None if best is None else best[-1]

    def _leave(self, s: int, stop: int) -> None:
        """Close the stretch of s; one that has not begun yet is forgotten."""
        start = self.presence.since[s]
        if s in self.arena.extent:  # nothing has been written over it
            self.arena.remove(s)
        if start == stop:
            del self.presence.since[s]
            return
        self.presence.leave(s, stop)
        block = self.blocks[self.block_of[s]]
        block.members.append((s, (start, stop)))
        block.stop = max(block.stop, stop)
