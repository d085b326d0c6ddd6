"""Exact packing where buffers may interlock through the windows of their gaps, by constraint programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from memplan.packing.buffers import Buffer
from memplan.problem.plan import Status
from memplan.solving.limits import Limits


def solve_windows(buffers: Sequence[Buffer], capacity: int, limits: Limits) -> tuple[Status, list[int]]:
    """Offsets under `capacity`: feasible, infeasible (proved) or unknown. Each segment is a rectangle."""
    from ortools.sat.python import cp_model

    from memplan_solvers.ilp.cpsat import run

    model = cp_model.CpModel()
    places, times, spans = [], [], []
    for b in buffers:
        most = (capacity - b.size) // b.alignment
        if most < 0:
            return Status.INFEASIBLE, []
        place = model.new_int_var(0, most, "")
        places.append(place)
        if b.offset is not None:
            model.add(place == b.offset // b.alignment)
        for s in b.segments:
            times.append(model.new_fixed_size_interval_var(s.start, s.stop - s.start, ""))
            spans.append(model.new_fixed_size_interval_var(place * b.alignment + s.low, s.high - s.low, ""))
    model.add_no_overlap_2d(times, spans)
    solver, status = run(model, replace(limits, progress=None))
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return Status.FEASIBLE, [solver.value(p) * b.alignment for p, b in zip(places, buffers, strict=True)]
    return (Status.INFEASIBLE if status == cp_model.INFEASIBLE else Status.UNKNOWN), []
