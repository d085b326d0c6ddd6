"""Packings close to the bound for any number of buffers: dives, then first fit below ever tighter limits,
each time repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np

from memplan.base.units import MAX_BYTES
from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.offsets.ejection_stage import MOST, ROUNDS, Stage

WEIGHTS = ((20.0, 0.2), (10.0, 0.0), (10.0, 0.2), (5.0, 0.0))
"""First fit takes the largest size x crowding^a x lifetime^b first; crowding is the largest load that a buffer meets.
"""
DIVES = ("cwa", "zwa", "awc", "wac")
"""Orders of dives: the first by crowding (c), lifetime (w), area, size (z) among those whose place is the lowest."""
PATIENCE = 400
"""How often a buffer may be put back in a dive, on average."""
MOST_TO_DIVE = 10_000
"""Buffers beyond which there are no dives, and only one first fit without a limit."""
FINE, FEWEST = 0.002, 500
"""Share of the load that all small buffers have, which wait for the others, and the fewest of either."""
SPARE = 1.2
"""How often the time that a first fit took is kept for the one that puts the small buffers beside the others."""


class EjectionChains:
    """Packs plain buffers: sizes that are multiples of their one alignment, no gaps, no fixed offsets."""

    def __init__(self, starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int]) -> None:
        start, stop = np.array(starts, np.int64), np.array(stops, np.int64)
        self.size, self.width = np.array(sizes, np.int64), stop - start
        times, steps = np.unique(np.concatenate([start, stop]), return_inverse=True)
        self.begin, self.end, self.horizon = steps[: start.size], steps[start.size :], times.size
        self.area = self.size * self.width.astype(float)
        self.placed: Ints | None = None  # offsets to begin with, if any
        self.placed_s = 0.0

    def dive(self, goal: int) -> list[int] | None:
        """Offsets of the best of a few dives, None where dives drag on or there are many buffers; `goal` is enough."""
        from memplan_solvers.offsets.ejection_kernel import dive

        by_start = self.stages[-1].members
        start, stop, size = self.begin[by_start], self.end[by_start], self.size[by_start]
        keys = {"c": self.crowding, "w": self.width, "a": self.area, "z": self.size}
        best: Ints | None = None
        for name in DIVES if size.size <= MOST_TO_DIVE else ():
            order = np.lexsort([-keys[letter][by_start] for letter in reversed(name)])
            found = dive(order, start, stop, size, PATIENCE * size.size)
            if found.size and (best is None or (found + size).max() < self._peak(best)):
                best = np.empty_like(found)
                best[by_start] = found
            if best is None or self._peak(best) <= goal:
                break
        return None if best is None else best.tolist()

    def improve(
        self, offsets: Sequence[int], bound: int, unit: int, limits: Limits, report: Callable[[int], None]
    ) -> list[int]:
        """The best offsets found, those given or better; stops at the bound or close to what it cannot pass.

        Small buffers wait until the others lie: nearly all of them find holes.
        """
        began, best = limits.seconds, np.array(offsets, np.int64)
        first = self.placed if self.placed is not None else self._first_fit(np.full(best.size, -1), limits)
        if first is None:
            return [*offsets]
        first = best = min(best, first, key=self._peak)
        report(self._peak(best))
        reserve = SPARE * max(self.placed_s, limits.seconds - began)
        kept = np.full(best.size, -1)
        *large, whole = self.stages
        for stage in large:
            part = replace(limits, time_limit_s=max(0.0, limits.time_limit_s - reserve))
            kept[stage.members] = stage.lower_peak(
                first[stage.members], None, self.ranks, bound, unit, part, lambda peak: None
            )
            if (kept != first)[stage.members].any() and (found := self._first_fit(kept, limits)) is not None:
                best = min(best, found, key=self._peak)
                report(self._peak(best))
        best[whole.members] = whole.lower_peak(
            best[whole.members], kept[whole.members], self.ranks, bound, unit, limits, report
        )
        return [int(o) for o in best]

    def fit(self, capacity: int, limits: Limits) -> list[int] | None:
        """Offsets under `capacity`, None where a good many moves in each order did not find any.

        At first what is long and large is moved least; then, much longer, all are alike: few and tight ones want that.
        """
        for rounds, alike in ((ROUNDS, False), (MOST, True)):
            for rank in self.ranks:
                offsets = np.full(self.size.size, -1)
                for stage in self.stages:
                    found = stage.attempt(capacity, rank, rounds, limits, offsets[stage.members], alike)
                    if found is None:
                        break
                    offsets[stage.members] = found
                else:
                    return [int(o) for o in offsets]
        return None

    def _first_fit(self, kept: Ints, limits: Limits) -> Ints | None:
        """The best first fit beside what is kept (-1: nothing), None where the time is up before."""
        offsets = kept.copy()
        for stage in self.stages:
            ranks = self.ranks if stage.size.size <= MOST_TO_DIVE else self.ranks[:1]
            tries = [stage.attempt(MAX_BYTES, rank, 0, limits, offsets[stage.members]) for rank in ranks]
            found = [x for x in tries if x is not None]
            if not found:
                return None
            offsets[stage.members] = min(found, key=stage.peak)
        return offsets

    def _peak(self, offsets: Ints) -> int:
        return int((offsets + self.size).max())

    @cached_property
    def stages(self) -> list[Stage]:
        """The buffers that are not small, where there are such and others, then all; in order of start."""
        members, by_size = np.argsort(self.begin, kind="stable"), np.argsort(self.size, kind="stable")
        few, small, most = 0, self.size.size, FINE * self._loads(by_size).max()
        while few < small:
            mid = (few + small + 1) // 2
            few, small = (mid, small) if self._loads(by_size[:mid]).max() <= most else (few, mid - 1)
        is_large = np.ones(self.size.size, bool)
        is_large[by_size[:few]] = False
        split = FEWEST < few < self.size.size - FEWEST
        return [*([self._stage(members[is_large[members]])] if split else []), self._stage(members)]

    def _stage(self, members: Ints) -> Stage:
        begin, end, size, area = (
            self.begin[members],
            self.end[members],
            self.size[members],
            self.area[members],
        )
        return Stage(members, begin, end, size, area, self.horizon)

    @cached_property
    def crowding(self) -> Ints:
        """The largest load that each buffer meets."""
        spans = np.stack([self.begin, self.end], 1).ravel()
        most: Ints = np.maximum.reduceat(self._loads(np.arange(self.size.size)), spans)[::2]
        return most

    @cached_property
    def degree(self) -> Ints:
        """How many buffers share a step with each, itself among them."""
        begun = np.searchsorted(np.sort(self.begin), self.end)
        return begun - np.searchsorted(np.sort(self.end), self.begin, "right")

    @cached_property
    def ranks(self) -> list[Ints]:
        """The place of each buffer in each order of first fits."""
        return [rank_by(self.weight(a, b)) for a, b in WEIGHTS]

    def weight(self, crowding: float, lifetime: float) -> Floats:
        """The logarithm of size x crowding^a x lifetime^b, negated: what comes first is least."""
        load, width = np.log(self.crowding), np.log(self.width)
        least_first: Floats = -(np.log(self.size) + crowding * load + lifetime * width)
        return least_first

    def begin_with(self, offsets: Ints, seconds: float) -> None:
        """Improve these from now on, which a first fit gave in so many seconds."""
        self.placed, self.placed_s = offsets, seconds

    def _loads(self, members: Ints) -> Ints:
        """The bytes that `members` have, step by step."""
        change = np.zeros(self.horizon + 1, np.int64)
        np.add.at(change, self.begin[members], self.size[members])
        np.add.at(change, self.end[members], -self.size[members])
        return change.cumsum()


def rank_by(*keys: Ints | Floats) -> Ints:
    """The place of each buffer where the least by the first key comes first, then by the second; ties by number."""
    order: Ints = np.lexsort(keys[::-1])
    rank = np.empty_like(order)
    rank[order] = np.arange(order.size)
    return rank


def warm() -> None:
    """Call every kernel of the repair."""
    chains = EjectionChains([0, 1, 2, 3], [2, 3, 4, 5], [8, 9, 10, 11])
    chains.dive(0)
    for stage in chains.stages:
        stage.attempt(21, chains.ranks[0], 1, Limits(float("inf")), np.full(4, -1))
