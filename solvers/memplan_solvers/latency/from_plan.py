"""A plan of greedy's as the layout with which an annealing begins, where ops use the scratchpad alone."""

from __future__ import annotations

import numpy as np

from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan_solvers.latency.arrays import RESIDENCY, FixedStretch, LatencyArrays, arrays_of, no_stores
from memplan_solvers.latency.layout import Layout, make_layout
from memplan_solvers.residency import Walk


def layout_of(problem: Problem, plan: Plan) -> tuple[LatencyArrays, Layout] | None:
    """The arrays in the plan's order, and its layout.

    None where it has none, writes in place, lets host serve an op that must not use it, or where offsets are pinned of
    what may leave: annealing would lay it elsewhere.
    """
    bound_to_offset = any(s.offset is not None and not s.pinned for s in problem.storages)
    if len(plan.schedule) != problem.n or plan.inplace or plan.joined or bound_to_offset:
        return None
    op = {o.name: i for i, o in enumerate(problem.graph.ops)}
    walk = Walk(problem, tuple(op[name] for name in plan.schedule))
    rows = sorted((problem.number[r.tensor], r.start, r.stop, r.offset) for r in plan.residencies)
    fixed = {
        s: FixedStretch(start, stop, offset) for s, start, stop, offset in rows if problem.storages[s].pinned
    }
    arrays = arrays_of(walk, fixed)
    loads = {(problem.number[m.tensor], m.issue): m.due for m in plan.moves if problem.is_load(m)}
    stores = no_stores(arrays)
    for move in plan.moves:
        if not problem.is_load(move):
            stores[problem.number[move.tensor]] = move.issue - 1, move.due
    dues = np.array([loads.get((s, start), -1) for s, start, *_ in rows], dtype=np.int64)
    layout = make_layout(arrays, np.array(rows, RESIDENCY), stores, dues)
    return None if layout.seconds > arrays.host.max(initial=0.0) else (arrays, layout)
