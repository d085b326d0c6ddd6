"""Packings close to the bound for any number of buffers: a dive, then repair under ever tighter limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

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
FINE, COARSE = 0.01, 0.05
"""Shares of the load that all the buffers left to the last stage may have, and to the last two."""
FEWEST, LESS = 500, 0.8
"""A stage has more buffers than this, and less than this share of the next one's."""
CLOSE, ROUGH = 5e-4, 1.5e-2
"""Shares of the bound below which the search between two limits ends; the second while some lie in a band."""


class Ejector:
    """Packs plain buffers: sizes that are multiples of their one alignment, no gaps, no fixed offsets."""

    def __init__(self, starts: Sequence[int] | Ints, stops: Sequence[int] | Ints, sizes: Sequence[int] | Ints) -> None:
        self.back = np.argsort(np.array(starts, np.int64), kind="stable")
        self.start, self.stop, self.size = (
            np.array(x, np.int64)[self.back] for x in (starts, stops, sizes)
        )  # fmt: skip
        self.area = self.size * (self.stop - self.start).astype(float)
        self.times, steps = np.unique(np.concatenate([self.start, self.stop]), return_inverse=True)
        self.begin, self.end = steps[: self.size.size].copy(), steps[self.size.size :].copy()

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
        """The best offsets found from `offsets` down; stops at the bound or close to what it cannot pass.

        Where most buffers are small these lie in a band of their own above the large ones at first: that costs little
        more than the change of their load over time.
        """
        best = np.array(offsets, np.int64)[self.back]
        found = self._banded(self.peak(best), unit, budget, report)
        if found is not None and self.peak(found) < self.peak(best):
            best = found
        return self._by_number(self.squeeze(best, bound, unit, budget, report, CLOSE))

    def _banded(self, peak: int, unit: int, budget: Budget, report: Callable[[int], None]) -> Ints | None:
        """The small buffers in one dive, on top of the others; what is below `peak` is reported.

        None where there are few, or a dive drags on.
        """
        count = self._small(FINE)
        if min(count, self.size.size - count) < FEWEST:
            return None
        small, large = np.sort(self.by_size[:count]), np.sort(self.by_size[count:])
        under, above = self._only(large), self._only(small)
        first, band = under.first(0), above.first(0)
        if first is None or band is None:
            return None
        height = above.peak(band)
        low = under.squeeze(np.array(first), under.load(under.by_size), unit, budget,
                            lambda p: report(min(peak, p + height)), ROUGH)  # fmt: skip
        found = np.empty_like(self.size)
        found[large], found[small] = low, np.array(band) + under.peak(low)
        return found

    def squeeze(
        self, best: Ints, bound: int, unit: int, budget: Budget, report: Callable[[int], None], grain: float
    ) -> Ints:
        """As `improve`, all buffers alike and in order of start.

        Two limits at a time where there are two workers. It ends where limits that failed come closer than `grain`
        bounds to the peak, and even many more moves do not help; coarse ones end there at once.
        """
        bound = -(-bound // unit) * unit
        peak, floor, rounds = self.peak(best), bound, ROUNDS
        with ThreadPoolExecutor(2) as pool:
            while peak > bound and not budget.spent():
                if grain > CLOSE and peak <= floor + grain * bound:
                    break
                target = (floor + peak) // 2
                if floor == bound:
                    target = bound if peak < NEAR * bound else min(target, max(floor, int(LEAP * bound)))
                targets = [target] if budget.workers == 1 else [target, (target + peak) // 2]
                targets = sorted({max(bound, t // unit * unit) for t in targets})
                found = list(pool.map(lambda t: self._repair(best, t, rounds, budget), targets))  # noqa: B023
                lowest, better = next(((k, x) for k, x in enumerate(found) if x is not None), (len(found), best))
                if better is not best:
                    best, peak = better, self.peak(better)
                    report(peak)
                failed = targets[lowest - 1] if lowest else floor
                if failed + max(unit, int(bound * grain)) < peak and failed > floor:
                    floor = failed
                elif lowest:
                    if rounds > 64 * ROUNDS or grain > CLOSE:
                        break
                    floor, rounds = bound, rounds * 4
        return best

    def fit(self, offsets: Sequence[int], capacity: int, budget: Budget) -> list[int] | None:
        """Offsets under `capacity`, None where a good many moves did not find any."""
        found = self._repair(np.array(offsets, np.int64)[self.back], capacity, 16 * ROUNDS, budget)
        return None if found is None else self._by_number(found)

    def _repair(self, offset: Ints, target: int, rounds: int, budget: Budget) -> Ints | None:
        """The large buffers first, among themselves, then what is smaller beside them."""
        offset = offset.copy()
        for stage in self.stages:
            found = stage.repair(offset[stage.members], target, rounds, budget)
            if found is None:
                return None
            offset[stage.members] = found
        return offset

    @cached_property
    def stages(self) -> list[Stage]:
        """Ever more of the buffers, the large ones first, in the end all; one stage alone where they are few."""
        sets = [np.sort(self.by_size[cut:]) for cut in reversed(self._cuts)]
        return [Stage(self, members, inner) for members, inner in zip(sets, [sets[0][:0], *sets], strict=False)]

    @cached_property
    def _cuts(self) -> list[int]:
        """How many of the smallest buffers each stage leaves out, none first."""
        cuts = [0]
        for count in map(self._small, (FINE, COARSE)):
            if FEWEST < self.size.size - count < LESS * (self.size.size - cuts[-1]):
                cuts.append(count)
        return cuts

    @cached_property
    def by_size(self) -> Ints:
        """The buffers, the smallest first."""
        return np.argsort(self.size, kind="stable")

    def _small(self, share: float) -> int:
        """The most small buffers whose load is at most this share of that of all."""
        low, high, most = 0, self.size.size, share * self.load(self.by_size)
        while low < high:
            mid = (low + high + 1) // 2
            low, high = (mid, high) if self.load(self.by_size[:mid]) <= most else (low, mid - 1)
        return low

    def _only(self, members: Ints) -> Ejector:
        return Ejector(self.start[members], self.stop[members], self.size[members])

    def load(self, members: Ints) -> int:
        """The most bytes that `members` have at one step."""
        change = np.zeros(self.times.size + 1, np.int64)
        np.add.at(change, self.begin[members], self.size[members])
        np.add.at(change, self.end[members], -self.size[members])
        return int(change.cumsum().max())

    def peak(self, offset: Sequence[int] | Ints) -> int:
        """The largest end."""
        return int((np.asarray(offset) + self.size).max())

    def _by_number(self, offset: Ints) -> list[int]:
        found = np.empty_like(offset)
        found[self.back] = offset
        return [int(o) for o in found]


class Stage:
    """Some of an ejector's buffers, `members` ascending; of these the `inner` ones are there already."""

    def __init__(self, whole: Ejector, members: Ints, inner: Ints) -> None:
        self.members, self.horizon = members, whole.times.size
        self.begin, self.end, self.size = whole.begin[members], whole.end[members], whole.size[members]
        self.levels = min(LEVELS, max(1, members.size.bit_length() - 8))
        self.area = whole.area[members]
        self.inner = np.searchsorted(members, inner)
        self.first = self._rows()

    def _rows(self) -> Ints:
        """Where the row of each bucket begins, level by level, with room for all that overlap it."""
        counts = []
        for level in range(self.levels):
            low, high = (self.begin << level) // self.horizon, ((self.end - 1) << level) // self.horizon
            change = np.zeros((1 << level) + 1, np.int64)
            np.add.at(change, low, 1)
            np.add.at(change, high + 1, -1)
            counts.append(change.cumsum()[:-1])
        return np.concatenate([[0], np.concatenate(counts).cumsum()])

    def repair(self, offset: Ints, target: int, rounds: int, budget: Budget) -> Ints | None:
        """Offsets under `target` from those given, of which the inner ones are; None where `rounds` were not enough."""
        from memplan_solvers.offsets.eject_kernel import lay_all, repair, settle

        end = offset + self.size
        queue = np.empty(offset.size, np.int64)
        length, rows = np.zeros((2, self.first.size), np.int64), np.empty((2, self.first[-1]), np.int64)
        fixed = (self.begin, self.end, self.horizon, self.levels, self.first)
        for k, keys in enumerate((offset, end)):
            order = self.inner[np.argsort(keys[self.inner], kind="stable")]
            lay_all(*fixed, length[k], rows[k], keys, order)
        others = np.setdiff1d(np.arange(offset.size), self.inner, assume_unique=True)
        waiting = settle(*fixed, target, offset, end, queue, length, rows[0], rows[1], others)
        queue[:waiting] = queue[:waiting][np.argsort(self.size[queue[:waiting]], kind="stable")]
        penalty = np.sqrt(self.area / self.area.mean())
        for _ in range(rounds * offset.size // MOVES + 8):
            waiting = repair(self.begin, self.end, self.size, self.horizon, self.levels, self.first, target, MOVES, offset, end,
                             queue, waiting, length, rows[0], rows[1], penalty)  # fmt: skip
            if waiting == 0:
                return offset
            if budget.spent():
                break
        return None


def warm() -> None:
    """Call every kernel of the repair."""
    ejector, budget = Ejector([0, 1, 2, 3], [2, 3, 4, 5], [8, 9, 10, 11]), Budget(float("inf"))
    ejector.first(0)
    ejector.fit([0, 8, 18, 28], 21, budget)
