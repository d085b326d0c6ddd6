"""`latency_exact`: all that a plan in program order decides, as one constraint program; for small graphs.

Optional rectangles (steps × addresses) are the residencies, one for every stretch of touches a storage could be there
for; copies are intervals in the coordinate of copy capacity (see `evaluate`), in FIFO order of their issue steps. Durations are
whole multiples of a common unit where there is one, else rounded down: less work in every part never makes the best plan slower, so what is proved is a bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import lcm
from typing import Any, ClassVar

import numpy as np

from memplan.judge.check.claims import TOLERANCE
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.arrays import RESIDENCY, UNPLACED, LatencyArrays, make_arrays, no_stores
from memplan_solvers.latency.layout import Layout, make_layout, to_plan
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.solver import LatencySolver

MOST_TOUCHES = 90
"""Touches beyond which the constraint program is not tried."""

GRAIN = 10**7
"""Units in the time with everything in host."""


@dataclass(frozen=True)
class LatencyExact(LatencySolver):
    """Annealing first, then the constraint program: a better plan, or the proof that there is none.

    The proof covers order program, io host, one queue, no in-place pairs; elsewhere the closed bound is given.
    """

    name: ClassVar[str] = "latency_exact"
    summary: ClassVar[str] = "the least latency of small graphs by constraint programming, with its proof"

    @property
    def kernels(self) -> str:
        """See `LatencySolver.kernels`."""
        return "anneal"

    def search(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan met, with the best bound proved."""
        timed = make_arrays(problem, limits)
        if timed is None:
            return self.no_answer(problem, limits, *UNPLACED)
        bound = self.lower_bound(problem, timed, limits)
        best = tuned(timed, limits.share(0.1), bound)
        best = Anneal(effort=100).improve(timed, best, limits.share(0.3), bound)
        if best.seconds > bound and _covers(problem, timed) and not limits.spent():
            model = _Model(timed)
            proved = model.solve(limits)
            if model.found:
                found = model.layout()
                if found.seconds < best.seconds:
                    best = found
            if model.exact and proved > best.seconds * (1 - TOLERANCE):
                proved = best.seconds  # equal, but for the rounding of floating-point sums
            bound = max(bound, min(proved, best.seconds))
        return to_plan(self, problem, limits, timed, best, bound)


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


def _covers(problem: Problem, timed: LatencyArrays) -> bool:
    """Whether the constraint program describes every plan of the problem."""
    pinned = any(s.pinned or s.offset is not None for s in problem.storages)
    options = problem.options
    return (
        options.order == "program"
        and options.io == "host"
        and not problem.inplace_pairs
        and not pinned
        and timed.queues == 1
        and 0 < len(timed.touch) <= MOST_TOUCHES
    )


@dataclass
class _Job:
    """A copy: when it is there, its opening step, its start and end in the coordinate of capacity."""

    present: Any
    key: Any
    start: Any
    end: Any


@dataclass
class _Value:
    """The choices of one storage."""

    spans: list[tuple[int, int, Any, Any, Any]] = field(default_factory=list)  # a, b, present, issue, stop
    store: Any = None
    issue: Any = None
    due: Any = None


class _Model:
    """The constraint program of a flat problem."""

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
        self.jobs: list[_Job] = []
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
        produced, size = timed.producer[s] >= 0, int(timed.size[s])
        places = (timed.capacity - size) // timed.alignment
        if produced:
            v.store, v.issue = m.new_bool_var(""), m.new_int_var(touched[0], timed.n - 1, "")
            v.due = m.new_int_var(touched[0] + 1, timed.n, "")
            m.add(v.due > v.issue)
        covering: list[list[Any]] = [[] for _ in touched]
        for a in range(len(touched)):
            for b in range(a, a + 1 if timed.streamed[s] else len(touched)):
                present = m.new_bool_var("")
                born = produced and a == 0
                earliest = touched[a] if born else (touched[a - 1] + 1 if a else 0)
                start = m.new_int_var(earliest, touched[a], "")
                latest = touched[b] + 1
                if born:
                    latest = touched[b + 1] if b + 1 < len(touched) else timed.n
                stop = m.new_int_var(touched[b] + 1, max(touched[b] + 1, latest), "")
                length = m.new_int_var(1, timed.n, "")
                at = m.new_int_var(
                    0, int(places), ""
                )  # a place of its own: it may lie elsewhere when it returns
                self.rectangles[0].append(m.new_optional_interval_var(start, length, stop, present, ""))
                scaled = m.new_optional_fixed_size_interval_var(at * timed.alignment, size, present, "")
                self.rectangles[1].append(scaled)
                v.spans.append((a, b, present, start, (stop, at)))
                for k in range(a, b + 1):
                    covering[k].append(present)
                if born:
                    m.add(v.due <= stop).only_enforce_if(present, v.store)
                else:
                    self._load(s, v, present, start, touched[a])
        for k, t in enumerate(touched):
            here = m.new_bool_var("")
            m.add(sum(covering[k]) == here)
            self.here[s, t] = here
        if produced:
            self._stored(s, v, touched)

    def _load(self, s: int, v: _Value, present: Any, issue: Any, use: int) -> None:
        """A load for a residency, due at its first touch, from a host copy that is there before it is issued."""
        m, work = self.model, self._down(float(self.timed.copy[s]))
        start, end, opens = self._time(""), self._time(""), self._time("")
        m.add(end == start + work)
        m.add_element(issue, self.opening, opens)
        m.add(start >= opens).only_enforce_if(present)
        m.add(end <= self.begin[use]).only_enforce_if(present)
        self.jobs.append(_Job(present, 2 * issue, start, end))
        if v.store is not None:
            m.add(v.due < issue).only_enforce_if(present, v.store)

    def _stored(self, s: int, v: _Value, touched: list[int]) -> None:
        """What a produced storage has to be stored for: host reads, loads, the end."""
        m, timed, work = self.model, self.timed, self._down(float(self.timed.copy[s]))
        first = self.here[s, touched[0]]
        m.add_implication(v.store, first)
        for t in touched[1:]:
            m.add_bool_or(self.here[s, t], first.negated(), v.store)
            m.add(v.due <= t).only_enforce_if(self.here[s, t].negated(), v.store)
        for a, _, present, _, _ in v.spans:
            if a:
                m.add_bool_or(present.negated(), first.negated(), v.store)
        if timed.output[s]:
            m.add_implication(first, v.store)
        start, end, opens, limit = self._time(""), self._time(""), self._time(""), self._time("")
        m.add(end == start + work)
        m.add_element(v.issue + 1, self.opening, opens)
        m.add_element(v.due, self.begin, limit)
        m.add(start >= opens).only_enforce_if(v.store)
        m.add(end <= limit).only_enforce_if(v.store)
        self.jobs.append(_Job(v.store, 2 * v.issue + 1, start, end))

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
        """Copies one after the other, in the order of their issue steps, stores after loads."""
        m = self.model
        for i, x in enumerate(self.jobs):
            for y in self.jobs[:i]:
                before = m.new_bool_var("")
                for first, second, word in ((x, y, before), (y, x, before.negated())):
                    m.add(first.end <= second.start).only_enforce_if(word, x.present, y.present)
                    m.add(first.key <= second.key).only_enforce_if(word, x.present, y.present)

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

    def layout(self) -> Layout:
        """The layout of the answer, loads of one step in the order of their starts."""
        value_of, rows = self.answer.value, []
        stores = no_stores(self.timed)
        for s, v in self.values.items():
            for _, _, present, start, (stop, at) in v.spans:
                if value_of(present):
                    rows.append((s, value_of(start), value_of(stop), value_of(at) * self.timed.alignment))
            if v.store is not None and value_of(v.store):
                stores[s] = value_of(v.issue), value_of(v.due)
        return make_layout(self.timed, np.array(rows, dtype=RESIDENCY), stores)
