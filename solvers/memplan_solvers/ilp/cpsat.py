"""CP-SAT: exact integer arithmetic, so a proof is a proof."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from memplan.solving.limits import Limits
from memplan_solvers.ilp.linear import Linear, LinearOutcome


def run(
    model: Any, limits: Limits, gap: float = 0.0, report: Callable[[float, float, int], None] | None = None
) -> tuple[Any, Any]:
    """The solver after its run, and its status; stops at the limits.

    Several workers are deterministic only where they are interleaved, which is slower: that is what
    is done, since the same seed and workers must give the same plan.
    """
    from ortools.sat.python import cp_model

    solver = cp_model.CpSolver()
    p = solver.parameters
    p.max_time_in_seconds = max(0.01, limits.remaining_s)
    p.random_seed = limits.seed % 2**31
    p.num_workers = max(1, limits.workers)
    p.interleave_search = limits.workers > 1
    p.relative_gap_limit = gap

    class Watch(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            if report is not None:
                report(self.objective_value, self.best_objective_bound, self.num_branches)

    watch, over = Watch(), threading.Event()

    def wait() -> None:
        while not over.wait(0.05):
            if limits.spent():
                solver.stop_search()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    try:
        status = solver.solve(model, watch)
    finally:
        over.set()
        thread.join()
    if report is not None and status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        report(solver.objective_value, solver.best_objective_bound, solver.num_branches)
    return solver, status


def to_cpsat(linear: Linear) -> tuple[Any, list[Any]]:
    """The program as a CP-SAT model, and its variables."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    xs = [
        model.new_int_var(a, b, f"x{k}")
        for k, (a, b) in enumerate(zip(linear.lower, linear.upper, strict=True))
    ]
    for row, low, high in linear.rows:
        total = cp_model.LinearExpr.weighted_sum([xs[v] for v, _ in row], [c for _, c in row])
        low_, high_ = cp_model.INT_MIN if low is None else low, cp_model.INT_MAX if high is None else high
        model.add_linear_constraint(total, low_, high_)
    if linear.cost:
        total = cp_model.LinearExpr.weighted_sum([xs[v] for v in linear.cost], list(linear.cost.values()))
        model.minimize(total)
    return model, xs


def solve_cpsat(
    linear: Linear,
    limits: Limits,
    hint: list[int] | None = None,
    gap: float = 0.0,
    extend: Callable[[Any, list[Any]], None] | None = None,
    report: Callable[[float, float, int], None] | None = None,
) -> LinearOutcome:
    """The best point and bound within the limits; `extend` may add further constraints to the model."""
    from ortools.sat.python import cp_model

    if limits.spent():
        return LinearOutcome(None, None)
    model, xs = to_cpsat(linear)
    if extend is not None:
        extend(model, xs)
    for x, v in zip(xs, hint or (), strict=False):
        model.add_hint(x, v)
    tell = None if report is None else lambda v, b, n: report(v + linear.constant, b + linear.constant, n)
    solver, status = run(model, limits, gap, tell)
    if status == cp_model.INFEASIBLE:
        return LinearOutcome(None, None, infeasible=True)
    if status == cp_model.MODEL_INVALID:
        raise ValueError(model.validate())
    x = [solver.value(v) for v in xs] if status in (cp_model.OPTIMAL, cp_model.FEASIBLE) else None
    if not linear.cost:
        return LinearOutcome(x, linear.constant)
    bound = linear.round_up(linear.constant + solver.best_objective_bound - 1e-6)
    return LinearOutcome(x, bound, nodes=solver.num_branches)
