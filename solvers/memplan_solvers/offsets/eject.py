"""Packings close to the bound for any number of buffers: a dive, then repair under ever tighter limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from memplan.solver import Budget
from memplan_solvers.offsets.conflicts import Ints

DIVES = ("cwa", "zwa", "awc", "wac")
"""Orders of dives."""
MANY = 10_000
"""Buffers beyond which only the first of them is tried."""
LEVELS = 8
"""Most levels of buckets of steps: the finest has 2^(LEVELS - 1), each with 128 buffers or more of those that begin."""
MOVES = 512
"""Moves between two looks at the clock."""
ROUNDS = 2
"""Moves per buffer before a limit is given up."""
PATIENCE = 400
"""How often a buffer may be put back in a dive, on average."""
LEAP = 1.0125
"""How many bounds to aim at in one go from far above; below, the distance is halved."""
NEAR = 1.003
"""Peaks below this many bounds are followed by a try at the bound itself."""
CLOSE = 5e-4
"""Share of the bound below which the search between two limits ends."""


class Ejector:
    """Packs plain buffers: sizes that are multiples of their one alignment, no gaps, no fixed offsets."""

    def __init__(self, starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int]) -> None:
        self.back = np.argsort(np.array(starts, np.int64), kind="stable")
        self.start, self.stop, self.size = (
            np.array(x, np.int64)[self.back] for x in (starts, stops, sizes)
        )  # fmt: skip
        self.area = self.size * (self.stop - self.start).astype(float)
        self.times, steps = np.unique(np.concatenate([self.start, self.stop]), return_inverse=True)
        self.begin, self.end = steps[: self.size.size].copy(), steps[self.size.size :].copy()
        self.levels = min(LEVELS, max(1, self.size.size.bit_length() - 8))

    def first(self, goal: int) -> list[int] | None:
        """Offsets of the best of a few dives, None where dives drag on; stops at the first that reaches `goal`.

        The buffer with the lowest place goes first, of several the first by crowding (c), width (w), area, size (z).
        """
        from memplan_solvers.offsets.eject_kernel import dive

        a, z, width = self.begin, self.end, self.stop - self.start
        change = np.zeros(self.times.size + 1, np.int64)
        np.add.at(change, a, self.size)
        np.add.at(change, z, -self.size)
        crowding = np.maximum.reduceat(change.cumsum(), np.stack([a, z], 1).ravel())[::2]
        keys = {"c": crowding, "w": width, "a": self.area, "z": self.size}
        best, peak = None, 0
        for name in DIVES if a.size <= MANY else DIVES[:1]:
            order = np.lexsort([-keys[letter] for letter in reversed(name)])
            offset = dive(order, self.start, self.stop, self.size, PATIENCE * order.size)
            top = int((offset + self.size).max()) if offset.size else 0
            if offset.size and (best is None or top < peak):
                best, peak = offset, top
            if best is None or peak <= goal:
                break
        return None if best is None else self._by_number(best)

    def improve(
        self, offsets: Sequence[int], bound: int, unit: int, budget: Budget, report: Callable[[int], None]
    ) -> list[int]:
        """The best offsets found from `offsets` down; stops at the bound or close to what it cannot pass."""
        best = np.array(offsets, np.int64)[self.back]
        peak, floor, rounds = int((best + self.size).max()), bound, ROUNDS
        while peak > bound and not budget.spent():
            target = bound if peak < NEAR * bound else min((floor + peak) // 2, max(floor, int(LEAP * bound)))
            target = max(bound, target // unit * unit)
            found = self._repair(best, target, rounds, budget)
            if found is not None:
                best, peak = found, int((found + self.size).max())
                report(peak)
            elif target + max(unit, int(bound * CLOSE)) >= peak or target <= bound:
                if rounds > 64 * ROUNDS:
                    break
                floor, rounds = bound, rounds * 4
            else:
                floor = target
        return self._by_number(best)

    def fit(self, offsets: Sequence[int], capacity: int, budget: Budget) -> list[int] | None:
        """Offsets under `capacity`, None where a good many moves did not find any."""
        found = self._repair(np.array(offsets, np.int64)[self.back], capacity, 16 * ROUNDS, budget)
        return None if found is None else self._by_number(found)

    def _repair(self, offset: Ints, target: int, rounds: int, budget: Budget) -> Ints | None:
        from memplan_solvers.offsets.eject_kernel import lay_all, repair

        offset = offset.copy()
        end = offset + self.size
        out, lying = np.flatnonzero(end > target), np.flatnonzero(end <= target)
        queue = np.empty(offset.size, np.int64)
        queue[: out.size] = out[np.argsort(self.size[out], kind="stable")]
        first = self._rows()
        length, rows = np.zeros((2, first.size), np.int64), np.empty((2, first[-1]), np.int64)
        horizon, levels = self.times.size, self.levels
        for k, keys in enumerate((offset, end)):
            order = lying[np.argsort(keys[lying], kind="stable")]
            lay_all(self.begin, self.end, horizon, levels, first, length[k], rows[k], keys, order)
        penalty, waiting = np.sqrt(self.area / self.area.mean()), out.size
        for _ in range(rounds * offset.size // MOVES + 8):
            waiting = repair(self.begin, self.end, self.size, horizon, levels, first, target, MOVES, offset, end, queue, waiting,
                             length, rows[0], rows[1], penalty)  # fmt: skip
            if waiting == 0:
                return offset
            if budget.spent():
                break
        return None

    def _rows(self) -> Ints:
        """Where the row of each bucket begins, level by level, with room for all that overlap it."""
        counts = []
        for level in range(self.levels):
            low, high = (self.begin << level) // self.times.size, ((self.end - 1) << level) // self.times.size
            change = np.zeros((1 << level) + 1, np.int64)
            np.add.at(change, low, 1)
            np.add.at(change, high + 1, -1)
            counts.append(change.cumsum()[:-1])
        return np.concatenate([[0], np.concatenate(counts).cumsum()])

    def _by_number(self, offset: Ints) -> list[int]:
        found = np.empty_like(offset)
        found[self.back] = offset
        return [int(o) for o in found]
