"""All that a plan in program order decides, as one constraint program.

Optional rectangles (steps × addresses) are the residencies, one for every stretch of touches that it could
serve. A load is issued where its residency begins, also before touches that host serves meanwhile, and due at
the first touch that it is for: due sooner it would only be waited for, and a longer stay would serve nothing.
Copies are intervals in the coordinate of copy capacity (see `evaluate`), one queue in order of their issues
and, at one boundary, in any order in which the stores that are
due there come first: step and loads wait for them as it is. Durations are whole multiples of a common unit
where there is one,
else rounded down: less work in every part never makes the best plan slower, so what is proved is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np

from memplan.problem.plan import Move, Residency
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.latency.arrays import LatencyArrays

GRAIN = 10**7
"""Units in the time with everything in host."""


@dataclass
class _Copy:
    """A load or a store: whether there is one, its boundaries, its start and end in the coordinate of capacity."""

    is_store: bool
    present: Any
    issue: Any
    due: Any
    start: Any
    end: Any


@dataclass
class _Span:
    """A residency that may be: it serves touches `first` … `last` of its storage."""

    first: int
    present: Any
    start: Any
    stop: Any
    place: Any  # its offset / the alignment
    load: _Copy | None = None


@dataclass
class _Value:
    """The choices of one storage."""

    spans: list[_Span] = field(default_factory=list)
    store: _Copy | None = None


class ConstraintProgram:
    """The constraint program of a flat problem.

    exact  whether every duration is a whole multiple of the unit, none rounded
    found  whether `solve` has met an answer
    """

    def __init__(self, timed: LatencyArrays) -> None:
        from ortools.sat.python import cp_model

        self.cp, self.timed, self.model = cp_model, timed, cp_model.CpModel()
        host = timed.base_host.copy()
        for s in range(len(timed.size)):
            for t in timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]]:
                host[t] += timed.copy[s]
        busy = np.maximum(timed.compute, host) + timed.overhead
        total = max(float(busy.sum()), 1e-30)
        exact = _common_unit(timed, total)
        self.exact, self.unit = exact is not None, exact or total / GRAIN
        self.horizon = int(2 * total / self.unit) + 2
        self.found = False
        m = self.model
        self.opening = [m.new_constant(0)] + [self._time(f"o{t}") for t in range(timed.n)]  # A after op t-1
        self.begin = [
            self._time(f"b{t}") for t in range(timed.n + 1)
        ]  # A when op t begins; n: when all is stored
        self.copies: list[_Copy] = []
        self.rectangles: tuple[list[Any], list[Any]] = [], []
        self.values: dict[int, _Value] = {}
        self.here: dict[tuple[int, int], Any] = {}  # (storage, step) -> in the scratchpad there
        for s in np.flatnonzero(timed.movable).tolist():
            self._value(s)
        self._times()
        self._fifo()
        m.add_no_overlap_2d(*self.rectangles)

    def _time(self, name: str) -> Any:
        return self.model.new_int_var(0, self.horizon, name)

    def _down(self, seconds: float) -> int:
        return round(seconds / self.unit) if self.exact else int(seconds / self.unit * (1 - 1e-12))

    def _value(self, s: int) -> None:
        """Residencies, store and loads of one storage."""
        m, timed, v = self.model, self.timed, _Value()
        self.values[s] = v
        touched = timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]].tolist()
        produced, streamed = timed.producer[s] >= 0, timed.streamed[s]
        if produced:
            issue = m.new_int_var(touched[0] + 1, timed.n, "")
            v.store = self._copy(
                s, True, m.new_bool_var(""), issue, m.new_int_var(touched[0] + 1, timed.n, "")
            )
        covering: list[list[Any]] = [[] for _ in touched]
        at_once = []  # no two of its residencies share a step
        for a in range(len(touched)):
            for b in range(a, a + 1 if streamed else len(touched)):
                born = produced and a == 0
                earliest = touched[a - 1] + 1 if streamed and a else touched[0] + 1 if produced else 0
                latest = touched[b + 1] if b + 1 < len(touched) else timed.n
                span = self._span(
                    s,
                    a,
                    (touched[0] if born else earliest, touched[a]),
                    (touched[b] + 1, latest if born else touched[b] + 1),
                )
                v.spans.append(span)
                at_once.append(self.rectangles[0][-1])
                for k in range(a, b + 1):
                    covering[k].append(span.present)
                if not born:
                    span.load = self._copy(s, False, span.present, span.start, touched[a])
                if v.store is not None:
                    meet = v.store.due <= (span.stop if born else span.start)
                    m.add(meet).only_enforce_if(span.present, v.store.present)
        m.add_no_overlap(at_once)
        for k, t in enumerate(touched):
            here = m.new_bool_var("")
            m.add(sum(covering[k]) == here)
            self.here[s, t] = here
        if v.store is not None:
            self._stored(s, v, v.store, touched)

    def _span(self, s: int, first: int, start: tuple[int, int], stop: tuple[int, int]) -> _Span:
        """A residency that begins and ends in these ranges, at a place of its own: it may lie elsewhere when
        it returns.
        """
        m, timed, size = self.model, self.timed, int(self.timed.size[s])
        place = m.new_int_var(0, int((timed.capacity - size) // timed.alignment), "")
        span = _Span(first, m.new_bool_var(""), m.new_int_var(*start, ""), m.new_int_var(*stop, ""), place)
        length = m.new_int_var(1, timed.n, "")
        steps = m.new_optional_interval_var(span.start, length, span.stop, span.present, "")
        at = place * timed.alignment
        self.rectangles[0].append(steps)
        self.rectangles[1].append(m.new_optional_fixed_size_interval_var(at, size, span.present, ""))
        return span

    def _copy(self, s: int, is_store: bool, present: Any, issue: Any, due: Any) -> _Copy:
        """A copy of s from the capacity there is at its issue on, done when its due step begins."""
        m = self.model
        start, end, opens, limit = (self._time("") for _ in range(4))
        m.add(end == start + self._down(float(self.timed.copy[s])))
        m.add_element(issue, self.opening, opens)
        m.add_element(due, self.begin, limit)
        m.add(issue <= due).only_enforce_if(present)
        m.add(start >= opens).only_enforce_if(present)
        m.add(end <= limit).only_enforce_if(present)
        self.copies.append(_Copy(is_store, present, issue, due, start, end))
        return self.copies[-1]

    def _stored(self, s: int, v: _Value, store: _Copy, touched: list[int]) -> None:
        """What a produced storage has to be stored for: host reads, loads, the end."""
        m, first = self.model, self.here[s, touched[0]]
        m.add_implication(store.present, first)
        for t in touched[1:]:
            m.add_bool_or(self.here[s, t], first.negated(), store.present)
            m.add(store.due <= t).only_enforce_if(self.here[s, t].negated(), store.present)
        for span in v.spans:
            if span.first:
                m.add_bool_or(span.present.negated(), first.negated(), store.present)
        if self.timed.output[s]:
            m.add_implication(first, store.present)

    def _times(self) -> None:
        """Ops, waits and the objective."""
        m, timed, durations = self.model, self.timed, []
        for t in range(timed.n):
            bus, fast = [self._down(float(timed.base_host[t]))], []
            for s in timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]].tolist():
                copy, pad = self._down(float(timed.copy[s])), self._down(float(timed.pad[s]))
                here = self.here.get((s, t))
                bus.append(copy if here is None else copy * (1 - here))
                if here is not None:
                    fast.append(pad * here)
            duration = self._time("")
            overhead = self._down(timed.overhead)
            m.add(duration >= self._down(float(timed.compute[t])) + overhead)
            m.add(duration >= sum(bus) + sum(fast) + overhead)
            m.add(self.begin[t] >= self.opening[t])
            m.add(self.opening[t + 1] == self.begin[t] + duration - sum(bus))
            durations.append(duration)
        m.add(self.begin[timed.n] >= self.opening[timed.n])
        waits = [self.begin[t] - self.opening[t] for t in range(timed.n + 1)]
        m.minimize(sum(durations) + sum(waits))

    def _fifo(self) -> None:
        """Copies one after the other, in the order of their issues; a store before the loads issued when it is due."""
        m = self.model
        for i, x in enumerate(self.copies):
            for y in self.copies[:i]:
                before = m.new_bool_var("")
                for first, second, word in ((x, y, before), (y, x, before.negated())):
                    m.add(first.end <= second.start).only_enforce_if(word, x.present, y.present)
                    m.add(first.issue <= second.issue).only_enforce_if(word, x.present, y.present)
                    if second.is_store and not first.is_store:
                        m.add(first.issue < second.due).only_enforce_if(word, x.present, y.present)

    def solve(self, limits: Limits) -> float:
        """Search; the seconds proved that no plan stays below."""
        solver = self.cp.CpSolver()
        solver.parameters.max_time_in_seconds = max(0.01, limits.remaining_s)
        solver.parameters.num_workers = max(1, limits.workers)
        solver.parameters.random_seed = limits.seed % 2**31
        status = solver.solve(self.model)
        self.found, self.answer = status in (self.cp.OPTIMAL, self.cp.FEASIBLE), solver
        if status == self.cp.INFEASIBLE or status == self.cp.MODEL_INVALID:
            return 0.0
        return float(solver.best_objective_bound) * self.unit

    def answered(self, problem: Problem) -> tuple[list[Residency], list[Move]]:
        """Residencies and moves of the answer, these in the order of their starts."""
        value, residencies, moves = self.answer.value, [], []

        def add(copy: _Copy, move: Move) -> None:
            moves.append((value(copy.start), value(copy.end), not copy.is_store, move))

        for s, v in self.values.items():
            for span in v.spans:
                if value(span.present):
                    start, offset = value(span.start), value(span.place) * self.timed.alignment
                    residencies.append(problem.residency(s, start, value(span.stop), offset))
                    if span.load is not None:
                        add(span.load, problem.load(s, start, span.load.due))
            if v.store is not None and value(v.store.present):
                add(v.store, problem.store(s, value(v.store.issue), value(v.store.due)))
        return residencies, [move for *_, move in sorted(moves)]


def _common_unit(timed: LatencyArrays, total: float) -> float | None:
    """A unit of which every duration is a whole multiple, None if there is none of a useful size."""
    times = {
        float(x)
        for part in (timed.compute, timed.base_host, timed.copy, timed.pad, [timed.overhead])
        for x in part
    }
    ratios = [Fraction(x).limit_denominator(10**14) for x in times]
    whole = lcm(*(r.denominator for r in ratios))
    same = all(abs(float(r) - x) <= 1e-14 * x for r, x in zip(ratios, times, strict=True))
    return 1.0 / whole if same and total * whole <= 1e11 else None
