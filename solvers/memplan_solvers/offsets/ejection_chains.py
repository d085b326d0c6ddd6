"""Packings close to the bound for any number of buffers: dives, then first fit below ever tighter limits,
each time repaired.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import numpy as np

from memplan.base.units import MAX_BYTES
from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.offsets.ejection_state import BOX, EjectionPool, PartialLayout, make_neighbours

WEIGHTS = ((20.0, 0.2), (10.0, 0.0), (10.0, 0.2), (5.0, 0.0))
"""First fit takes the largest size x crowding^a x lifetime^b first; crowding is the largest load that a buffer meets.
"""
DIVES = ("cwa", "zwa", "awc", "wac")
"""Orders of dives: the first by crowding (c), lifetime (w), area, size (z) among those whose place is the lowest."""
PATIENCE = 400
"""How often a buffer may be put back in a dive, on average."""
MOST_TO_DIVE = 10_000
"""Buffers beyond which there are no dives, and only one first fit without a limit."""
LEVELS = 8
"""Most levels of buckets of steps: the finest has 2^(LEVELS - 1), each with 128 buffers or more of those that begin."""
BUFFERS_A_CHECK, MOVES_A_CHECK = 2048, 512
"""Buffers placed, and moves of repair, between two checks of the clock."""
ROUNDS, MOST = 4, 64
"""Moves per buffer before a limit is given up: at first, and at most."""
LEAP, CLOSER, NEAR = 1.0125, 0.6, 1.0005
"""Limits in bounds: the first; then the share of the distance to go that is left each time; from here on the bound."""
CLOSE = 5e-4
"""Share of the bound below which the search between two limits ends."""
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
        first = self._first_fit(np.full(best.size, -1), limits)
        if first is None:
            return [*offsets]
        first = best = min(best, first, key=self._peak)
        report(self._peak(best))
        reserve = SPARE * (limits.seconds - began)
        kept = np.full(best.size, -1)
        *large, whole = self.stages
        for stage in large:
            part = replace(limits, time_limit_s=max(0.0, limits.time_limit_s - reserve))
            kept[stage.members] = stage.lower_peak(
                first[stage.members], None, bound, unit, part, lambda peak: None
            )
            if (kept != first)[stage.members].any() and (found := self._first_fit(kept, limits)) is not None:
                best = min(best, found, key=self._peak)
                report(self._peak(best))
        best[whole.members] = whole.lower_peak(
            best[whole.members], kept[whole.members], bound, unit, limits, report
        )
        return [int(o) for o in best]

    def fit(self, capacity: int, limits: Limits) -> list[int] | None:
        """Offsets under `capacity`, None where a good many moves in each order did not find any.

        At first what is long and large is moved least; then, much longer, all are alike: few and tight ones want that.
        """
        for rounds, alike in ((ROUNDS, False), (MOST, True)):
            for order in range(len(self.ranks)):
                offsets = np.full(self.size.size, -1)
                for stage in self.stages:
                    found = stage.attempt(capacity, order, rounds, limits, offsets[stage.members], alike)
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
            orders = range(len(self.ranks) if stage.size.size <= MOST_TO_DIVE else 1)
            tries = [stage.attempt(MAX_BYTES, order, 0, limits, offsets[stage.members]) for order in orders]
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
        return [*([Stage(self, members[is_large[members]])] if split else []), Stage(self, members)]

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
        """The place of each buffer in the orders of first fits: of each weight, and before them what `lead` says."""
        return [rank_by(self.weight(a, b)) for a, b in WEIGHTS]

    def weight(self, crowding: float, lifetime: float) -> Floats:
        """The logarithm of size x crowding^a x lifetime^b, negated: what comes first is least."""
        load, width = np.log(self.crowding), np.log(self.width)
        least_first: Floats = -(np.log(self.size) + crowding * load + lifetime * width)
        return least_first

    def lead(self, rank: Ints) -> None:
        """Try this order before all others."""
        self.ranks.insert(0, rank)

    def _loads(self, members: Ints) -> Ints:
        """The bytes that `members` have, step by step."""
        change = np.zeros(self.horizon + 1, np.int64)
        np.add.at(change, self.begin[members], self.size[members])
        np.add.at(change, self.end[members], -self.size[members])
        return change.cumsum()


class Stage:
    """Some of the buffers, `members`, in order of start; offsets are in this order."""

    def __init__(self, whole: EjectionChains, members: Ints) -> None:
        self.whole, self.members, self.horizon = whole, members, whole.horizon
        self.begin, self.end, self.size = whole.begin[members], whole.end[members], whole.size[members]
        self.penalty = whole.area[members] / whole.area[members].mean()
        self.levels = min(LEVELS, max(1, members.size.bit_length() - 8))
        # No level below `lowest` is needed to cover a lifetime by two buckets.
        longest, self.lowest = int((self.end - self.begin).max()), 0
        while self.lowest < self.levels - 1 and longest << (self.lowest + 1) <= self.horizon:
            self.lowest += 1
        self.first_row = self._rows()

    def _rows(self) -> Ints:
        """Where the row of each bucket begins, level by level, long enough for all that overlap it."""
        counts = []
        for level in range(self.levels):
            low, high = (self.begin << level) // self.horizon, ((self.end - 1) << level) // self.horizon
            change = np.zeros((1 << level) + 1, np.int64)
            np.add.at(change, low, 1)
            np.add.at(change, high + 1, -1)
            counts.append(change.cumsum()[:-1] * (level >= self.lowest))
        return np.concatenate([[0], np.concatenate(counts).cumsum()])

    def lower_peak(
        self,
        best: Ints,
        kept: Ints | None,
        bound: int,
        unit: int,
        limits: Limits,
        report: Callable[[int], None],
    ) -> Ints:
        """`best` or what is better, at first beside what is `kept` (-1: nothing).

        Two limits at a time where there are two workers. It ends where limits that failed come close to the peak, and
        even many more moves do not help.
        """
        nothing = np.full(best.size, -1)
        around = nothing if kept is None else kept
        peak, floor, rounds, order = self.peak(best), max(bound - unit, self.peak(around)), ROUNDS, 0
        with ThreadPoolExecutor(2) as pool:
            while peak > bound and not limits.spent():
                target = (floor + peak) // 2
                if floor < bound:
                    target = (
                        bound
                        if peak < NEAR * bound
                        else int(min(LEAP * bound, bound + CLOSER * (peak - bound)))
                    )
                targets = [target] if limits.workers == 1 else [target, (target + peak) // 2]
                targets = sorted(
                    {min(max(bound, floor + unit, t // unit * unit), peak - unit) for t in targets}
                )
                tries = list(pool.map(lambda t: self.attempt(t, order, rounds, limits, around), targets))  # noqa: B023
                lowest = next((k for k, x in enumerate(tries) if x is not None), len(tries))
                if (better := [*tries, None][lowest]) is not None:
                    best, peak = better, self.peak(better)
                    report(peak)
                floor = max([floor, *targets[:lowest]])
                if peak - floor <= max(unit, CLOSE * bound):
                    around, rounds, order, floor = (
                        nothing,
                        2 * rounds,
                        (order + 1) % len(self.whole.ranks),
                        bound - unit,
                    )
                    if rounds > MOST:
                        break
        return best

    def attempt(
        self, target: int, order: int, rounds: int, limits: Limits, kept: Ints, alike: bool = False
    ) -> Ints | None:
        """Offsets below `target`, None where `rounds` moves a buffer were not enough.

        `alike`: all are equally hard to move at first. What is `kept` lies where it was, if that is below
        `target`; the rest goes by first fit, then repair.
        """
        from memplan_solvers.offsets.ejection_kernel import enter_all, fill, repair

        layout, near = self.layout(kept, target), make_neighbours(kept.size)
        pool = EjectionPool(
            np.empty(kept.size, np.int64), np.ones_like(self.penalty) if alike else self.penalty.copy()
        )
        there = kept >= 0 if self.peak(kept) <= target else np.zeros(kept.size, bool)
        inner, outer, waiting = np.flatnonzero(there), np.flatnonzero(~there), 0
        enter_all(layout, inner[np.argsort(kept[inner], kind="stable")])
        outer = outer[np.argsort(self.whole.ranks[order][self.members[outer]])]
        for k in range(0, outer.size, BUFFERS_A_CHECK):
            if limits.spent():
                return None
            waiting = fill(layout, near, pool, outer[k : k + BUFFERS_A_CHECK], waiting, False)
        for _ in range(rounds * kept.size // MOVES_A_CHECK + 8):
            if waiting == 0 or limits.spent():
                break
            waiting = repair(layout, near, pool, waiting, MOVES_A_CHECK)
        return None if waiting else layout.box["offset"].copy()

    def first_fit(self, rank: Ints, target: int, best_fit: bool, limits: Limits) -> Ints | None:
        """Offsets below `target`, each buffer placed once in this order; None where one finds no place, or no time."""
        from memplan_solvers.offsets.ejection_kernel import fill

        layout, near = self.layout(np.full(self.size.size, -1), target), make_neighbours(self.size.size)
        pool, order = (
            EjectionPool(np.empty(self.size.size, np.int64), self.penalty),
            np.argsort(rank[self.members]),
        )
        waiting = 0
        for k in range(0, order.size, BUFFERS_A_CHECK):
            if waiting or limits.spent():
                return None
            waiting = fill(layout, near, pool, order[k : k + BUFFERS_A_CHECK], waiting, best_fit)
        return None if waiting else layout.box["offset"].copy()

    def layout(self, offset: Ints, target: int) -> PartialLayout:
        """A layout with these offsets, whose lists are still empty."""
        box = np.empty(offset.size, BOX)
        box["begin"], box["stop"], box["offset"], box["end"] = (
            self.begin,
            self.end,
            offset,
            offset + self.size,
        )
        length, row = np.zeros(self.first_row.size - 1, np.int64), np.empty(self.first_row[-1], np.int32)
        return PartialLayout(
            box, self.size, self.first_row, length, row, self.horizon, self.lowest, self.levels, target
        )

    def peak(self, offset: Ints) -> int:
        """The largest end of what lies."""
        return int(np.where(offset < 0, 0, offset + self.size).max())


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
        stage.attempt(21, 0, 1, Limits(float("inf")), np.full(4, -1))
