"""The packer: a free bound, one-pass orders, and only then the exact search, compiled on first use."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.buffers import Buffer, Packing
from memplan.pack import Packer
from memplan.plan import Status
from memplan.solver import Budget
from memplan_solvers.offsets.conflicts import conflicts
from memplan_solvers.offsets.first_fit import best_first_fit
from memplan_solvers.offsets.one_pass import pack_greedy

EXACT_PAIRS = 3_000_000
"""Conflicting pairs beyond which the exact search is not tried: its memory is linear in them."""


class Ladder(Packer):
    """Cheap things first: nothing is compiled where a one-pass order meets the bound."""

    def pack(self, buffers: Sequence[Buffer], capacity: int | None, budget: Budget) -> Packing:
        """See `Packer.pack`. Parts that share no step are packed apart; a peak is the largest of theirs."""
        offsets = [b.offset or 0 for b in buffers]
        status, bound, nodes, methods = Status.OPTIMAL, 0, 0, []
        parts = _parts(buffers)
        for part in parts:
            found = _Part([buffers[i] for i in part], capacity, budget).solve(max(bound, 0))
            bound, nodes = max(bound, found.bound), nodes + found.nodes
            methods.append(found.method)
            if found.status in (Status.INFEASIBLE, Status.UNKNOWN):
                return Packing(found.status, (), None, bound, nodes=nodes, method=found.method)
            for i, offset in zip(part, found.offsets, strict=True):
                offsets[i] = offset
        peak = max((o + b.size for o, b in zip(offsets, buffers, strict=True)), default=0)
        method = "exact" if "exact" in methods else "one pass"
        return Packing(status, tuple(offsets), peak, bound, nodes=nodes, method=method)


def _parts(buffers: Sequence[Buffer]) -> list[list[int]]:
    """Numbers of the buffers by stretch of steps without a break, those of 0 bytes left out."""
    parts: list[list[int]] = []
    reach = -1
    for i in sorted((i for i, b in enumerate(buffers) if b.size), key=lambda i: (buffers[i].start, i)):
        if buffers[i].start >= reach:
            parts.append([])
        parts[-1].append(i)
        reach = max(reach, buffers[i].stop)
    return parts


class _Part:
    """One connected stretch."""

    def __init__(self, buffers: list[Buffer], capacity: int | None, budget: Budget) -> None:
        self.buffers, self.capacity, self.budget = buffers, capacity, budget
        self.bound = max(_load(buffers), max(b.size + (b.offset or 0) for b in buffers))

    def solve(self, elsewhere: int) -> Packing:
        """`elsewhere` is a peak that other parts need anyway: to go below it is no use."""
        if self.capacity is not None and self.bound > self.capacity:
            return self._answer(Status.INFEASIBLE, [], 0, "bound")
        goal = max(self.bound, elsewhere) if self.capacity is None else self.capacity
        offsets = self._one_pass(goal)
        peak = self._peak(offsets)
        if offsets is not None and peak <= goal:
            return self._answer(Status.FEASIBLE, offsets, 0, "one pass")
        if _pairs(self.buffers) > EXACT_PAIRS:
            if self.capacity is not None or offsets is None:
                return self._answer(Status.UNKNOWN, [], 0, "one pass")
            return self._answer(Status.FEASIBLE, offsets, 0, "one pass")
        return self._exact(offsets, goal)

    def _one_pass(self, goal: int) -> list[int] | None:
        """Offsets of the best one-pass order, None where fixed ones stand in every order's way."""
        plain = all(b.offset is None and not b.gaps for b in self.buffers)
        unit = self.buffers[0].alignment
        if plain and all(b.alignment == unit and b.size % unit == 0 for b in self.buffers):
            rows = [(b.start, b.stop, b.size) for b in self.buffers]
            starts, stops, sizes = map(list, zip(*rows, strict=True))
            return pack_greedy(starts, stops, sizes, unit, goal)[0]
        return best_first_fit(self.buffers, conflicts(self.buffers), goal)

    def _exact(self, offsets: list[int] | None, goal: int) -> Packing:
        """Under the capacity, or down from the best peak and up from the bound until they meet."""
        from memplan_solvers.offsets.exact import solve

        graph = conflicts(self.buffers)
        if self.capacity is not None:
            status, found, nodes = solve(self.buffers, graph, self.capacity, self.budget)
            return self._answer(status, found, nodes, "exact")
        total = 0
        best, peak = offsets, self._peak(offsets) if offsets is not None else sum(b.size for b in self.buffers) * 2
        target, limit = goal, 2_000_000
        while self.bound < peak and peak > goal and not self.budget.spent():
            status, found, nodes = solve(self.buffers, graph, target, self.budget, limit)
            total += nodes
            if status is Status.FEASIBLE:
                best, peak = found, self._peak(found)
            elif status is Status.INFEASIBLE:
                self.bound = target + 1
            self.budget.report("pack", peak, self.bound)
            if status is Status.UNKNOWN and target >= peak - 1:
                limit *= 4
                target = self.bound
                continue
            # Halve the distance to the best; the last step tries one byte below it.
            low = self.bound if status is not Status.UNKNOWN else target
            target = min(max((low + peak) // 2, self.bound), peak - 1)
        if best is None:
            return self._answer(Status.UNKNOWN, [], total, "exact")
        return self._answer(Status.FEASIBLE, best, total, "exact")

    def _peak(self, offsets: list[int] | None) -> int:
        return max((o + b.size for o, b in zip(offsets or (), self.buffers, strict=False)), default=0)

    def _answer(self, status: Status, offsets: list[int], nodes: int, method: str) -> Packing:
        return Packing(status, tuple(offsets), None, self.bound, nodes=nodes, method=method)


def _load(buffers: Sequence[Buffer]) -> int:
    """The most bytes used at one step: no packing has a smaller peak."""
    events = []
    for b in buffers:
        for s in b.segments:
            events += [(s.start, s.high - s.low), (s.stop, s.low - s.high)]
    live = most = 0
    for _, change in sorted(events):
        live += change
        most = max(most, live)
    return most


def _pairs(buffers: Sequence[Buffer]) -> int:
    from memplan_solvers.offsets.one_pass import overlaps

    return overlaps([b.start for b in buffers], [b.stop for b in buffers])
