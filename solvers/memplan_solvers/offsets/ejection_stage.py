"""Some of the buffers to be packed: first fit below a limit, and repair of what found no place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.offsets.ejection_state import BOX, EjectionPool, PartialLayout, make_neighbours

LEVELS = 8
"""Most levels of buckets of steps: the finest has 2^(LEVELS - 1), each with 128 buffers or more of those that begin."""
BUFFERS_A_CHECK, MOVES_A_CHECK = 2048, 512
"""Buffers placed, and moves of repair, between two checks of the clock."""
BUFFERS_A_LOOK = 256
"""Buffers placed between two looks whether one of them found no place."""
ROUNDS, MOST = 4, 64
"""Moves per buffer before a limit is given up: at first, and at most."""
LEAP, CLOSER, NEAR = 1.0125, 0.6, 1.0005
"""Limits in bounds: the first; then the share of the distance to go that is left each time; from here on the bound."""
CLOSE = 5e-4
"""Share of the bound below which the search between two limits ends."""


class Stage:
    """Some of the buffers, `members`, in order of start; offsets are in this order."""

    def __init__(self, members: Ints, begin: Ints, end: Ints, size: Ints, area: Floats, horizon: int) -> None:
        self.members, self.begin, self.end, self.size, self.horizon = members, begin, end, size, horizon
        self.penalty = area / area.mean()
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
        ranks: Sequence[Ints],
        bound: int,
        unit: int,
        limits: Limits,
        report: Callable[[int], None],
    ) -> Ints:
        """`best` or what is better, at first beside what is `kept` (-1: nothing).

        Two limits at a time where there are two workers. Where limits that failed come close to the peak, the next of
        `ranks` has its turn, with more moves; it ends where even many more do not help.
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
                attempt = partial(self.attempt, rank=ranks[order], rounds=rounds, limits=limits, kept=around)
                tries = list(pool.map(attempt, targets))
                lowest = next((k for k, x in enumerate(tries) if x is not None), len(tries))
                if (better := [*tries, None][lowest]) is not None:
                    best, peak = better, self.peak(better)
                    report(peak)
                floor = max([floor, *targets[:lowest]])
                if peak - floor <= max(unit, CLOSE * bound):
                    around, rounds, order, floor = (
                        nothing,
                        2 * rounds,
                        (order + 1) % len(ranks),
                        bound - unit,
                    )
                    if rounds > MOST:
                        break
        return best

    def attempt(
        self, target: int, rank: Ints, rounds: int, limits: Limits, kept: Ints, alike: bool = False
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
        outer = outer[np.argsort(rank[self.members[outer]])]
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

        n, waiting = self.size.size, 0
        layout, near = self.layout(np.full(n, -1), target), make_neighbours(n)
        pool, order = EjectionPool(np.empty(n, np.int64), self.penalty), np.argsort(rank[self.members])
        for k in range(0, n, BUFFERS_A_LOOK):
            if waiting or limits.spent():
                return None
            waiting = fill(layout, near, pool, order[k : k + BUFFERS_A_LOOK], waiting, best_fit)
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
