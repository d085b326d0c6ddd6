"""From a layout, residency rows and stores on flat arrays, to a plan's residencies and moves."""

from __future__ import annotations

import numpy as np

from memplan.plan import Move, Plan, Residency
from memplan.problem import Problem
from memplan.solver import Budget, Solver
from memplan_solvers.latency.evaluate import first_touch, is_loaded, latency
from memplan_solvers.latency.timed import Array, Timed, fixed_pairs


def value(timed: Timed, rows: Array, count: int, stores: Array) -> float:
    """Seconds of the layout; see `evaluate.latency`."""
    return float(latency(timed, rows, count, stores, np.empty(timed.n + 1)))


def to_plan(
    solver: Solver,
    problem: Problem,
    budget: Budget,
    timed: Timed,
    rows: Array,
    stores: Array,
    *,
    bound: float = 0.0,
) -> Plan:
    """The plan of these residency rows (int64[r, 4]) and stores (int64[m, 2], issue -1 for none).

    Moves are listed in the FIFO order that the evaluator used.
    """
    storages = problem.storages
    residencies, moves = [], []
    for s, start, stop, offset in rows.tolist():
        storage = storages[s]
        residencies.append(Residency(storage.name, start, stop, offset, storage.size))
        if is_loaded(timed, s, start):
            moves.append(Move("load", storage.name, start, int(first_touch(timed, s, start))))
    for s in np.flatnonzero(stores[:, 0] >= 0).tolist():
        moves.append(Move("store", storages[s].name, int(stores[s, 0]), int(stores[s, 1])))
    moves.sort(key=lambda m: (m.issue, m.kind == "store"))
    pairs = {storages[b].name: storages[a].name for b, a in fixed_pairs(timed).items()}
    order_of_ops = tuple(range(problem.n))
    return solver.answer(
        problem, budget, order=order_of_ops, residencies=residencies, moves=moves, bound=bound, inplace=pairs
    )
