"""A layout: what lies where and when and what is stored, its latency, and the plan that it amounts to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan.problem.plan import InPlace, Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.common.arrays import Ints, Records
from memplan_solvers.latency.arrays import LatencyArrays, fixed_pairs
from memplan_solvers.latency.evaluate import first_dues, latency


class Layout(NamedTuple):
    """Residencies and stores, and how long the program takes with them."""

    residencies: Records  # RESIDENCY[r], loads in the order in which they queue
    dues: Ints  # [r], the step that waits for the load with which each begins, -1 where it begins with none
    stores: Records  # STORE[m]
    seconds: float


def make_layout(
    arrays: LatencyArrays, residencies: Records, stores: Records, dues: Ints | None = None
) -> Layout:
    """The layout of these residencies, RESIDENCY[r], and stores, STORE[m]; see `evaluate.latency`.

    dues: int64[r]; where they are left out, each load is due at the first touch of its residency.
    """
    if dues is None:
        dues = first_dues(arrays, residencies)
    seconds = float(latency(arrays, residencies, dues, stores, np.empty(arrays.n + 1)))
    return Layout(residencies, dues, stores, seconds)


def to_plan(
    solver: Solver, problem: Problem, limits: Limits, arrays: LatencyArrays, layout: Layout, bound: float
) -> Plan:
    """The plan of this layout; no plan of the problem is faster than `bound` seconds.

    Moves are listed in the FIFO order that the evaluator used.
    """
    storages = problem.storages
    residencies, moves = [], []
    for (s, start, stop, offset), due in zip(layout.residencies.tolist(), layout.dues.tolist(), strict=True):
        residencies.append(problem.residency(s, start, stop, offset))
        if due >= 0:
            moves.append(problem.load(s, start, due))
    for s, (issue, due) in enumerate(layout.stores.tolist()):
        if issue >= 0:
            moves.append(problem.store(s, issue + 1, due))
    moves.sort(key=problem.turn)
    pairs = [
        InPlace(int(arrays.producer[b]), storages[b].name, storages[a].name)
        for b, a in fixed_pairs(arrays).items()
    ]
    order_of_ops = arrays.order.tolist()
    return solver.answer(
        problem, limits, order=order_of_ops, residencies=residencies, moves=moves, bound=bound, inplace=pairs
    )
