"""The packer: a free bound, one-pass orders, and only then what is compiled: exact search and repair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property

from memplan.packing.buffers import Buffer, Packing
from memplan.packing.packer import Packer, clash
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan_solvers.compiled import load
from memplan_solvers.offsets.bounds import least_peak, next_peak, unit
from memplan_solvers.offsets.conflicts import Conflicts, conflicts
from memplan_solvers.offsets.ejection_chains import EjectionChains
from memplan_solvers.offsets.exact import Race
from memplan_solvers.offsets.first_fit import first_fit
from memplan_solvers.offsets.one_pass import ORDERS, overlaps, pack_greedy
from memplan_solvers.offsets.quick_orders import place_once
from memplan_solvers.offsets.sweep import sweep

EXACT_PAIRS = 2_000_000
"""Pairs of buffers that overlap beyond which no exact search is tried: its memory is linear in them."""
PASS_PAIRS = 600_000
"""Pairs that one-pass orders may visit in all: more is too slow, uncompiled."""
QUICK_WORK = 20_000_000
"""Nodes x buffers of the exact search before repair has its turn."""
LONGER = 4
"""Times as many nodes for the bound itself as for a limit above it, and in each round as in the one before."""
FIRST_FIT_S = 3e-5
"""Seconds a buffer that are kept for the first fits of parts whose turn is yet to come, at most half the time."""

REPAIR_SHARE = 0.2
"""Share of the remaining time for repair where an exact search follows."""


class StagedPacker(Packer):
    """Cheap things first: nothing is compiled where a one-pass order meets the bound."""

    def pack(self, buffers: Sequence[Buffer], capacity: int | None, limits: Limits) -> Packing:
        """See `Packer.pack`."""
        return fit(buffers, capacity, limits) if capacity is not None else _minimize(buffers, limits)


def fit(buffers: Sequence[Buffer], capacity: int, limits: Limits, node_limit: int | None = None) -> Packing:
    """`StagedPacker` under a capacity, with a limit on the nodes of the exact search a part."""
    return _by_parts(buffers, capacity, lambda part, goal, later: part.fit(capacity, limits, node_limit))


def _minimize(buffers: Sequence[Buffer], limits: Limits) -> Packing:
    def minimize(part: _Part, goal: int, later: int) -> Packing:
        kept = min(0.5, FIRST_FIT_S * later / max(1e-9, limits.remaining_s))
        return part.minimize(goal, limits.share(1 - kept))

    return _by_parts(buffers, None, minimize)


def _by_parts(
    buffers: Sequence[Buffer], capacity: int | None, solve: Callable[[_Part, int, int], Packing]
) -> Packing:
    """Parts that share no step are packed apart, the one with the highest bound first: its peak is the others' goal.

    `solve` is told the part, the goal, and how many buffers the parts after it have.
    """
    offsets = [b.offset or 0 for b in buffers]
    peak = bound = max((b.size + (b.offset or 0) for b in buffers if not b.segments), default=0)
    if capacity is not None and bound > capacity:
        return Packing(Status.INFEASIBLE, (), None, bound, method="bound")
    nodes, method = 0, "one pass"
    parts = [_Part([buffers[i] for i in part], part) for part in _parts(buffers)]
    if clash(buffers):
        return Packing(Status.INFEASIBLE, (), None, max(part.bound for part in parts), method="fixed offsets")
    later = sum(len(part.buffers) for part in parts)
    for part in sorted(parts, key=lambda part: -part.bound):
        later -= len(part.buffers)
        found = solve(part, max(part.bound, peak), later)
        bound, nodes = max(bound, found.bound), nodes + found.nodes
        if found.status in (Status.INFEASIBLE, Status.UNKNOWN):
            return replace(found, bound=bound, nodes=nodes)
        for i, offset in zip(part.numbers, found.offsets, strict=True):
            offsets[i] = offset
            peak = max(peak, offset + buffers[i].size)
        method = max(method, found.method, key=("one pass", "repair", "exact").index)
    return Packing(Status.FEASIBLE, tuple(offsets), None, bound, nodes=nodes, method=method)


def _parts(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Numbers of the buffers by stretch of steps without a break; those that use no byte, ever, are left out."""
    parts: list[list[int]] = []
    reach = -1
    for i in sorted((i for i, b in enumerate(buffers) if b.segments), key=lambda i: (buffers[i].start, i)):
        if buffers[i].start >= reach:
            parts.append([])
        parts[-1].append(i)
        reach = max(reach, buffers[i].stop)
    return parts


class _Part:
    """One connected stretch of time; `numbers` are its buffers' in the whole."""

    def __init__(self, buffers: list[Buffer], numbers: list[int]) -> None:
        self.buffers, self.numbers = buffers, numbers
        self.unit = unit(buffers)
        self.bound = next_peak(buffers, least_peak(buffers) - 1, self.unit)
        self.starts, self.stops, self.sizes = (
            [*x] for x in zip(*((b.start, b.stop, b.size) for b in buffers), strict=True)
        )
        a = buffers[0].alignment
        self.plain = all(
            b.offset is None and not b.gaps and b.alignment == a and b.size % a == 0 for b in buffers
        )
        self.pairs = overlaps(self.starts, self.stops)
        self.nodes = 0
        self.races: dict[int, Race] = {}
        self.quick = QUICK_WORK // len(buffers)

    @property
    def most(self) -> int:
        """A capacity that suffices if any does: all free buffers in a row above the fixed ones."""
        fixed = max((b.offset + b.size for b in self.buffers if b.offset is not None), default=0)
        return fixed + sum(b.size + b.alignment for b in self.buffers)

    @cached_property
    def conflicts(self) -> Conflicts:
        return conflicts(self.buffers)

    @cached_property
    def chains(self) -> EjectionChains:
        return EjectionChains(self.starts, self.stops, self.sizes)

    def fit(self, capacity: int, limits: Limits, node_limit: int | None) -> Packing:
        """Offsets under `capacity`, or that there are none, or unknown."""
        if self.bound > capacity:
            return self._answer(Status.INFEASIBLE, [], "bound")
        offsets = self._one_pass(capacity, limits)
        if offsets and self._peak(offsets) <= capacity:
            return self._answer(Status.FEASIBLE, offsets, "one pass")
        for limit in (self.quick, None) if node_limit is None else (node_limit,):
            if self.pairs <= EXACT_PAIRS:
                status, found = self._exact(capacity, limits, limit)
                if status is Status.INFEASIBLE:
                    self.bound = next_peak(self.buffers, capacity, self.unit)
                if status is not Status.UNKNOWN:
                    return self._answer(status, found, "exact")
            if (
                self.plain
                and offsets
                and node_limit is None
                and not limits.spent()
                and load("repair", limits)
            ):
                repaired = self.chains.fit(capacity, limits if limit is None else limits.share(REPAIR_SHARE))
                if repaired:
                    return self._answer(Status.FEASIBLE, repaired, "repair")
        return self._answer(Status.UNKNOWN, [], "exact")

    def minimize(self, goal: int, limits: Limits) -> Packing:
        """Offsets with the least peak found and a bound on it; to go below `goal` is no use."""
        offsets, method = self._one_pass(goal, limits), "one pass"
        exact = self.pairs <= EXACT_PAIRS
        if exact and not offsets:
            status, offsets = self._exact(self.most, limits, None)
            if status is not Status.FEASIBLE:
                return self._answer(status, [], "exact")
            method = "exact"
        limit, low, repaired = self.quick, goal, not self.plain
        while exact and offsets and not self._done(offsets, goal, limits):
            # First the goal, then repair, then halve the distance between what is open and the best; the last step
            # tries one unit below it, and after that all begins again with more nodes.
            peak = self._peak(offsets)
            if low >= peak:
                low, limit = goal, LONGER * limit
            middle = max(low, min((low + peak) // 2, peak - self.unit)) // self.unit * self.unit
            target = goal if low == goal else middle
            status, found = self._exact(target, limits, limit if target == goal else limit // LONGER)
            if status is Status.FEASIBLE:
                offsets, method = found, "exact"
            elif status is Status.INFEASIBLE:
                self.bound = low = next_peak(self.buffers, target, self.unit)
                goal = max(goal, low)
            elif not repaired:
                repaired = True
                offsets, method = self._repaired(offsets, method, goal, limits.share(REPAIR_SHARE))
                low = goal + self.unit
            else:
                low = target + self.unit
            self._report(self._peak(offsets), limits)
        if not exact and offsets and not self._done(offsets, goal, limits):
            offsets, method = self._repaired(offsets, method, goal, limits)
        return self._answer(Status.FEASIBLE if offsets else Status.UNKNOWN, offsets or [], method)

    def _repaired(self, offsets: list[int], method: str, goal: int, limits: Limits) -> tuple[list[int], str]:
        if limits.spent() or not (self.plain and load("repair", limits)):
            return offsets, method
        better = self.chains.improve(
            offsets, goal, self.unit, limits, lambda peak: self._report(peak, limits)
        )
        return better, "repair" if self._peak(better) < self._peak(offsets) else method

    def _done(self, offsets: list[int] | None, goal: int, limits: Limits) -> bool:
        return limits.spent() or (bool(offsets) and self._peak(offsets or []) <= goal)

    def _one_pass(self, goal: int, limits: Limits) -> list[int] | None:
        """Offsets of the best one-pass order, None where fixed ones stand in every order's way."""
        if not self.plain:
            return self._first_fit(goal) if self.pairs <= EXACT_PAIRS else None
        rows = self.starts, self.stops, self.sizes
        orders = tuple(ORDERS)[: PASS_PAIRS // self.pairs]
        best = pack_greedy(*rows, self.buffers[0].alignment, goal, orders)[0] if orders else sweep(*rows)
        if len(orders) == len(ORDERS) or self._done(best, goal, limits) or not load("repair", limits):
            return best
        best = place_once(self.chains, goal, self._peak(best), limits) or best
        if orders or self._done(best, goal, limits):
            return best
        return min((o for o in (best, self.chains.dive(goal)) if o), key=self._peak)

    def _first_fit(self, goal: int) -> list[int] | None:
        """The best of first fits over the one-pass orders; stops at the first that reaches `goal`."""
        best: list[int] | None = None
        degree = self.conflicts.degree.tolist()
        for key in ORDERS.values():
            keys = [key(b.start, b.stop, b.size, d) for b, d in zip(self.buffers, degree, strict=True)]
            offsets = first_fit(
                self.buffers, self.conflicts, sorted(range(len(keys)), key=lambda i: (keys[i], i))
            )
            if offsets is None:
                return None
            if best is None or self._peak(offsets) < self._peak(best):
                best = offsets
            if self._peak(best) <= goal:
                break
        return best

    def _exact(self, capacity: int, limits: Limits, limit: int | None) -> tuple[Status, list[int]]:
        """Search on for a packing under `capacity`, for `limit` nodes."""
        from memplan_solvers.offsets.windows import solve_windows

        if limits.spent() or not load("pack", limits):
            return Status.UNKNOWN, []
        race = self.races.setdefault(capacity, Race(self.buffers, self.conflicts, capacity))
        before = race.nodes
        status, found = race.run(limits, limit)
        self.nodes += race.nodes - before
        if status is Status.UNKNOWN and not self.conflicts.exact:
            status, found = solve_windows(self.buffers, capacity, limits)
        if status is not Status.UNKNOWN:
            del self.races[capacity]
        return status, found

    def _peak(self, offsets: Sequence[int]) -> int:
        return max((o + z for o, z in zip(offsets, self.sizes, strict=True)), default=0)

    def _report(self, peak: int, limits: Limits) -> None:
        limits.report("pack", peak, self.bound)

    def _answer(self, status: Status, offsets: list[int], method: str) -> Packing:
        return Packing(status, tuple(offsets), None, self.bound, nodes=self.nodes, method=method)


def warm() -> None:
    """Call every kernel of the exact search."""
    buffers = [Buffer(str(k), k, k + 2, k + 8) for k in range(4)]
    Race(buffers, conflicts(buffers), 30).run(Limits(float("inf")))
