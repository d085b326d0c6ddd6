"""Moves put beside the ops, on targets of any memories: a plan in which the processor waits for each copy gets faster.

A plan of the step model is one of the timed model too, in which each move is issued and due at one boundary. Here the
copies get steps to run in. What is moved away keeps its bytes for longer, and what comes gets bytes earlier, as far as
there is space. First it is settled when copies have to be done, then when they are issued: as late as they are still
done in time behind one another.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from math import inf, lcm

from memplan.base.units import MAX_BYTES
from memplan.ir.graph import Graph
from memplan.judge.copies import Copies, Copy
from memplan.judge.plan_view import PlanView
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan, Residency
from memplan_solvers.common.holes import NOWHERE, smallest_hole
from memplan_solvers.common.occupancy import Occupancy


def beside_ops(graph: Graph, plan: Plan, hastes: Iterable[float]) -> list[Plan]:
    """The plan with its copies beside its ops, once for each haste.

    Args:
        graph: the plan's graph.
        plan: valid on a timed target, each move issued when it is due.
        hastes: how many times the seconds that a copy takes alone it is given, as far as there is space.
    """
    copies = Copies(PlanView(graph, plan))
    if not plan.moves:
        return []
    seconds = [end - start for start, end in timeline(graph, plan, copies).ops]
    return [_Beside(copies, seconds, haste).plan() for haste in hastes]


class _Beside:
    def __init__(self, copies: Copies, seconds: Sequence[float], haste: float) -> None:
        self.copies, self.view, self.haste = copies, copies.view, haste
        self.moves, plan = self.view.plan.moves, self.view.plan
        self.rows = [r for rows in self.view.residencies.values() for r in rows]
        self.time = [*accumulate(seconds, initial=0.0)]  # by boundary, where no op waits
        self.issue, self.due = [m.issue for m in self.moves], [m.due for m in self.moves]
        number = {(r.tensor, r.memory, r.start): k for k, r in enumerate(self.rows)}
        self.filled = [number.get((m.tensor, m.destination, m.issue), -1) for m in self.moves]
        self.sources: list[Copy] = [copy for copy in copies.sources if copy is not None]
        from_where = zip(self.moves, self.sources, strict=True)
        self.left = [number.get((m.tensor, m.source, copy.start), -1) for m, copy in from_where]
        self.previous, self.next = [-1] * len(self.rows), [-1] * len(self.rows)  # the same storage's, there
        for rows in self.view.residencies.values():
            for one, other in pairwise(number[r.tensor, r.memory, r.start] for r in rows):
                self.previous[other], self.next[one] = one, other
        paired = {name for pair in plan.inplace for name in (pair.output, pair.operand)}
        self.fixed = paired | plan.options.pins.keys()
        self.occupied = {name: Occupancy(self.view.n) for name in self.view.addressed}
        for k, r in enumerate(self.rows):
            self.occupied[r.memory].add(k, r.start, r.stop, r.offset, r.offset + r.size)

    def plan(self) -> Plan:
        """The plan with other issues and dues."""
        self._finish_later()
        self._begin_earlier()
        rows = sorted(self.rows, key=lambda r: (r.start, r.offset, r.tensor, r.stop))
        listed = sorted(range(len(self.moves)), key=lambda i: (self.issue[i], i))
        moves = [self.moves[i]._replace(issue=self.issue[i], due=self.due[i]) for i in listed]
        return replace(self.view.plan, residencies=tuple(rows), moves=tuple(moves))

    def _finish_later(self) -> None:
        """Let the copies that cannot be done in time end later, where what they read may stay and nobody needs them yet."""
        latest = self._latest()
        for i, copy in enumerate(self.sources):
            k, now = self.left[i], self.due[i]
            due = min(latest[i], bisect_left(self.time, self.time[self._ready(i)] + self._given(i)))
            if self._is_streamed(i) or due <= now:
                continue
            if k >= 0 and due > copy.end:
                due = now if copy.end < copy.stop else self._stay(k, due)
            self.due[i] = max(now, due)

    def _begin_earlier(self) -> None:
        """Issue the copies one behind the other, so that each is done when it is due; the first due get bytes first."""
        order = sorted(range(len(self.moves)), key=lambda i: (self.due[i], i))
        begun: dict[int, float] = {}  # by queue, when the copies begin that were looked at
        for i in reversed(order):
            queue = self.moves[i].queue
            begun[queue] = min(begun.get(queue, inf), self.time[self.due[i]]) - self._given(i)
            soonest = max(self._ready(i), bisect_right(self.time, begun[queue]) - 1)
            self.issue[i] = min(self.issue[i], soonest)
        for i in order:
            if (k := self.filled[i]) >= 0:
                self.issue[i] = self._come(k, self.issue[i])

    def _stay(self, k: int, stop: int) -> int:
        """Let a residency last until a boundary, or as long before it as its bytes are free; returns its end."""
        r, later = self.rows[k], self.next[k]
        most = (stop if later < 0 else min(stop, self.rows[later].start)) - r.stop
        steps = _farthest(most, lambda steps: self._is_free(k, r.stop, r.stop + steps))
        self._put(k, r._replace(stop=r.stop + steps))
        return r.stop + steps

    def _come(self, k: int, start: int) -> int:
        """Let a residency begin at a boundary, or as soon after it as there are bytes for it; returns its begin.

        It may come to lie elsewhere, unless it is pinned or shares its bytes in place.
        """
        r, sooner = self.rows[k], self.previous[k]
        most = r.start - (start if sooner < 0 else max(start, self.rows[sooner].stop))
        steps = _farthest(most, lambda steps: self._offset(k, r.start - steps) != NOWHERE)
        start = r.start - steps
        self._put(k, r._replace(start=start, offset=self._offset(k, start)))
        return start

    def _offset(self, k: int, start: int) -> int:
        """Where a residency can lie that begins at this earlier boundary: where it does, else in the smallest hole."""
        r = self.rows[k]
        if self._is_free(k, start, r.start):
            return r.offset
        if r.tensor in self.fixed:
            return NOWHERE
        memory, tensor = self.view.target.memory[r.memory], self.view.graph.tensor[r.tensor]
        end = MAX_BYTES if memory.capacity is None else memory.capacity
        others = [x for x in self.occupied[r.memory].taken(start, r.stop) if x[2] != k]
        return smallest_hole(others, r.size, end, lcm(memory.alignment, tensor.alignment or 1))

    def _is_free(self, k: int, start: int, stop: int) -> bool:
        """Whether nothing else takes bytes of a residency in these steps, in which it does not lie there itself."""
        r = self.rows[k]
        there = self.occupied[r.memory].taken(start, stop) if start < stop else ()
        return not any(low < r.offset + r.size and r.offset < high for low, high, _ in there)

    def _put(self, k: int, r: Residency) -> None:
        old, occupied = self.rows[k], self.occupied[r.memory]
        occupied.remove(k, old.start, old.stop)
        occupied.add(k, r.start, r.stop, r.offset, r.offset + r.size)
        self.rows[k] = r

    def _given(self, i: int) -> float:
        """The seconds that a copy is given: the haste times what it takes where nothing else uses its memories."""
        move, target = self.moves[i], self.view.target
        rates = [target.memory[name].bandwidth or 1.0 for name in (move.source, move.destination)]
        channel = target.channel(move.source, move.destination)
        if channel is not None and channel.bandwidth is not None:
            rates.append(channel.bandwidth)
        overhead_s = 0.0 if channel is None else channel.overhead_s
        alone = self.view.nbytes[move.tensor] / min(rates) + overhead_s
        return self.haste * alone if alone else 0.0

    def _ready(self, i: int) -> int:
        """The boundary from which a copy can be issued, whatever lies where it goes."""
        move, maker = self.moves[i], self.sources[i].makers[0]
        if move.tensor in self.view.renewed:  # it ends the copy of the donated input whose buffer it takes
            return move.issue
        ready = self.sources[i].ready if maker < 0 else self.due[maker]
        if self._is_streamed(i):  # a residency serves one use
            uses = self.view.uses[move.tensor]
            k = bisect_left(uses, move.due)
            ready = max(ready, uses[k - 1] + 1 if k else 0)
        return ready

    def _latest(self) -> list[int]:
        """The boundary by which each move must be done: what reads the copy waits for it."""
        latest = [self.view.n if k < 0 else self.rows[k].stop - 1 for k in self.filled]
        for i, copy in enumerate(self.sources):
            if (maker := copy.makers[0]) >= 0:
                latest[maker] = min(latest[maker], self.moves[i].issue)
        for s in self.view.moved:
            for t, memory in zip(self.view.uses.get(s, ()), self.copies.served.get(s, ()), strict=True):
                served = None if memory is None else self.copies.at(s, memory, t)
                if served is not None and (maker := served.makers[0]) >= 0:
                    latest[maker] = min(latest[maker], t)
        return latest

    def _is_streamed(self, i: int) -> bool:
        constant = self.view.graph.tensor[self.moves[i].tensor].kind == "constant"
        return constant and self.view.options.weights == "stream"


def _farthest(most: int, possible: Callable[[int], bool]) -> int:
    """The largest number of steps, `most` at most, that is possible; so is any smaller one, and 0.

    It takes some questions about no more than twice as many steps.
    """
    least, step = 0, 1
    while least < most and possible(min(most, least + step)):
        least, step = min(most, least + step), 2 * step
    end = min(most + 1, least + step)  # which is not possible, or too far
    while least + 1 < end:
        middle = (least + end) // 2
        least, end = (middle, end) if possible(middle) else (least, middle)
    return least
