"""The fluid bound: memory, bus and time of a fixed order as a linear program, and a bound that its duals prove.

Every storage may lie in the scratchpad by fractions. Of each touch: the share `x` served there, the share
`carried` since the touch before (it takes space in between), what of the rest has to be loaded, and what has
to be stored by then. Of each step: its time, the wait before it, and what the bus has copied ahead: loads for
later steps, which lie in the scratchpad already, and stores that nobody has needed yet. A touch that host
serves while a load is under way is one that
is not served there: what has come of the load counts as copied ahead. Any plan in this order gives a solution
of the program with its own latency (where host serves for a while what is fixed, what its op takes longer
counts as a wait), so the least value is a bound. What is reported is not the solver's optimum but the
Lagrangian value of its duals over the box of the variables, which holds whatever the solver's tolerances
were, and even if it was stopped.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan.problem.problem import Problem
from memplan_solvers.common.arrays import Floats
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.bounds import least_times

SAFE = 1e-9
"""Relative slack for the rounding of the Lagrangian's own sums."""

Terms = dict[int, float]
"""Coefficients by variable."""


class _Program:
    """min cost·v over low <= v <= high with rows `sum >= right`."""

    def __init__(self) -> None:
        self.low: list[float] = []
        self.high: list[float] = []
        self.cost: list[float] = []
        self.rows: list[Terms] = []
        self.right: list[float] = []

    def variable(self, low: float, high: float, cost: float = 0.0) -> int:
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        return len(self.low) - 1

    def row(self, terms: Terms, right: float) -> None:
        self.rows.append(terms)
        self.right.append(right)

    def proved(self, time_limit_s: float) -> float:
        """A value that no solution stays below; -inf where the time gave no duals."""
        duals = self._duals(time_limit_s)
        if duals is None:
            return -np.inf
        reduced, total = np.array(self.cost), 0.0
        for terms, right, dual in zip(self.rows, self.right, np.maximum(duals, 0.0), strict=True):
            if dual:
                total += right * dual
                for v, a in terms.items():
                    reduced[v] -= a * dual
        return float(total + np.where(reduced > 0, reduced * self.low, reduced * self.high).sum())

    def _duals(self, time_limit_s: float) -> Floats | None:
        from ortools.linear_solver import pywraplp

        solver: Any = pywraplp.Solver.CreateSolver("GLOP")
        solver.SetTimeLimit(max(1, int(1000 * time_limit_s)))
        variables = [solver.NumVar(a, b, "") for a, b in zip(self.low, self.high, strict=True)]
        goal = solver.Objective()
        for v, cost in zip(variables, self.cost, strict=True):
            if cost:
                goal.SetCoefficient(v, cost)
        goal.SetMinimization()
        rows = []
        for terms, right in zip(self.rows, self.right, strict=True):
            row = solver.Constraint(right, solver.infinity())
            for v, a in terms.items():
                row.SetCoefficient(variables[v], a)
            rows.append(row)
        if solver.Solve() not in (solver.OPTIMAL, solver.FEASIBLE):
            return None
        return np.array([row.dual_value() for row in rows])


class _Steps(NamedTuple):
    """The terms of all storages by step, in units of time and shares of the scratchpad."""

    memory: list[Terms]  # [n], of the memory time of its op
    bus: list[Terms]  # [n], of the bus time of its op
    due: list[Terms]  # [n + 1], bus time of the copies that it waits for
    space: list[Terms]  # [n]


def fluid_bound(problem: Problem, timed: LatencyArrays, time_limit_s: float) -> float:
    """Seconds that no plan in program order stays below, -inf if the time was too short. For order `program` alone."""
    if not timed.n:
        return 0.0
    host, fixed_busy = timed.base_host.copy(), np.zeros(timed.n)
    for t in range(timed.n):
        for s in timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]]:
            if timed.fixed[s] >= 0:
                fixed_busy[t] += timed.pad[s]
            else:
                host[t] += timed.copy[s]
    slowest = np.maximum(timed.compute, host + fixed_busy) + timed.overhead
    unit = max(float(slowest.mean()), 1e-30)
    lp = _Program()
    # Whoever is slower than all in host plus the copies of what must stay is beaten by that plan.
    longest = float(slowest.sum() + timed.copy[timed.fixed >= 0].sum() * 2) / unit
    least = least_times(problem, timed) / unit
    duration = [lp.variable(min(a, b), b, 1.0) for a, b in zip(least, slowest / unit, strict=True)]
    wait = [lp.variable(0.0, longest, 1.0) for _ in range(timed.n + 1)]
    loaded = [lp.variable(0.0, longest) for _ in range(timed.n + 1)]  # ahead of their due steps
    stored = [lp.variable(0.0, longest) for _ in range(timed.n + 1)]
    early: list[Terms] = [{stored[t]: -1.0} for t in range(timed.n + 1)]
    memory, bus, due, space = steps = _Steps(
        memory=[{} for _ in range(timed.n)],
        bus=[{} for _ in range(timed.n)],
        due=[{} for _ in range(timed.n + 1)],
        space=[{} for _ in range(timed.n)],
    )
    free_bytes = _free_bytes(problem, timed)
    first_step = {written: t for t, (written, _) in problem.overwriting.items()}
    for s in range(len(timed.size)):
        if timed.fixed[s] < 0 and 0 < timed.size[s] <= timed.capacity:
            end = _storage(lp, timed, s, unit, steps, first_step.get(s, -1))
            if end >= 0:
                last = timed.n if timed.output[s] else int(timed.touch[timed.touch_row[s + 1] - 1])
                for t in range(int(timed.producer[s]) + 1, last + 1):
                    early[t][end] = float(timed.copy[s]) / unit
    for t in range(timed.n):
        lp.row(
            {duration[t]: 1.0, **_negated(memory[t])}, float(host[t] + fixed_busy[t] + timed.overhead) / unit
        )
        space[t][loaded[t]] = unit / timed.whole_copy
        lp.row(_negated(space[t]), -free_bytes[t])
    for t in range(timed.n + 1):
        # loaded + stored ahead at t <= at t-1 + duration - bus + wait[t] - due[t]
        terms = {loaded[t]: -1.0, stored[t]: -1.0, wait[t]: 1.0, **_negated(due[t])}
        right = 0.0
        if t:
            terms |= {loaded[t - 1]: 1.0, stored[t - 1]: 1.0, duration[t - 1]: 1.0}
            for v, a in bus[t - 1].items():
                terms[v] = terms.get(v, 0.0) - a
            right = float(host[t - 1]) / unit
        lp.row(terms, right)
        lp.row(early[t], 0.0)
    value = lp.proved(time_limit_s) * unit
    return value - abs(value) * SAFE if np.isfinite(value) else value


def _storage(
    lp: _Program, timed: LatencyArrays, s: int, unit: float, steps: _Steps, written_over_at: int
) -> int:
    """The variables and rows of one storage; the variable that says how much of it is stored in the end, or -1.

    `written_over_at`: the step in which it may lie on an operand.
    """
    memory, bus, due, space = steps
    copy, pad = float(timed.copy[s]) / unit, float(timed.pad[s]) / unit
    size = float(timed.size[s]) / timed.capacity
    touched = timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]].tolist()
    produced = int(timed.producer[s]) >= 0
    born = previous = stored = -1
    for j, t in enumerate(touched):
        x = lp.variable(0.0, 1.0)
        memory[t][x] = pad - copy
        bus[t][x] = -copy
        if t != written_over_at:
            space[t][x] = size
        if j == 0 and produced:
            born = previous = x
            continue
        carried = lp.variable(0.0, 0.0 if timed.streamed[s] or not j else 1.0)
        if j:
            lp.row({x: 1.0, carried: -1.0}, 0.0)
            lp.row({previous: 1.0, carried: -1.0}, 0.0)
            for u in range(touched[j - 1] + 1, t):
                space[u][carried] = size
        due[t][x] = due[t].get(x, 0.0) + copy
        due[t][carried] = due[t].get(carried, 0.0) - copy
        if (
            produced
        ):  # what host has to have by now: what it serves, or what is loaded, but was not written there
            now = lp.variable(0.0, 1.0)
            lp.row({now: 1.0, born: -1.0, x: 1.0}, 0.0)
            lp.row({now: 1.0, born: -1.0, x: -1.0, carried: 1.0}, -1.0)
            due[t][now] = due[t].get(now, 0.0) + copy
            if stored >= 0:
                lp.row({now: 1.0, stored: -1.0}, 0.0)
                due[t][stored] = due[t].get(stored, 0.0) - copy
            stored = now
        previous = x
    if produced and timed.output[s]:
        end = lp.variable(0.0, 1.0)
        lp.row({end: 1.0, born: -1.0}, 0.0)
        due[timed.n][end] = copy
        if stored >= 0:
            lp.row({end: 1.0, stored: -1.0}, 0.0)
            due[timed.n][stored] = due[timed.n].get(stored, 0.0) - copy
        stored = end
    return stored


def _free_bytes(problem: Problem, timed: LatencyArrays) -> Floats:
    """Share of the scratchpad that what is fixed leaves free at each step, at most 1, float64[n].

    A load may bring what is pinned early, as in the plan from which the arrays may be; under every plan it is there from its
    first touch to its last alone.
    """
    taken = np.zeros(timed.n)
    for s in np.flatnonzero(timed.fixed >= 0):
        start, stop = timed.fixed_span[s]
        if not timed.given[s]:
            touched = timed.touch[timed.touch_row[s] : timed.touch_row[s + 1]]
            start, stop = int(touched[0]), int(touched[-1]) + 1
        taken[start:stop] += timed.size[s]
    for t, (written, _) in problem.overwriting.items():
        taken[t] -= timed.size[written] if timed.fixed[written] >= 0 else 0
    return 1.0 - taken / timed.capacity


def _negated(terms: Terms) -> Terms:
    return {v: -a for v, a in terms.items()}
