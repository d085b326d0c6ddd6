"""Linear programs through OR-tools MathOpt: SCIP, HiGHS, or a user's own Gurobi.

Floating-point solvers: points are rounded and verified in integers, and bounds lose a tolerance
before they are rounded up.
"""

from __future__ import annotations

import datetime
import math
import threading
from collections.abc import Callable
from typing import Any

from memplan.solving.limits import Limits
from memplan_solvers.ilp.linear import Linear, LinearOutcome

BACKENDS = {"highs": "HIGHS", "scip": "GSCIP", "gurobi": "GUROBI"}
"""MathOpt's name of each backend."""

ROW_TOLERANCE = 1e-6
"""What a floating-point solver may lose per variable and row of the scaled program."""


GRACE_S = 0.2
"""Seconds a backend may take beyond the time limit before it is left behind."""


def solve_mathopt(
    linear: Linear, limits: Limits, backend: str = "highs", hint: list[int] | None = None, gap: float = 0.0
) -> LinearOutcome:
    """The best point and bound within the limits; deterministic unless the time limit cuts."""
    from ortools.math_opt.python import mathopt

    if limits.spent():
        return LinearOutcome(hint, None)
    kind = getattr(mathopt.SolverType, BACKENDS[backend])
    scale = _scale(linear)
    model, xs = _model(linear, scale)
    parameters = mathopt.SolveParameters(
        time_limit=datetime.timedelta(seconds=max(0.01, limits.remaining_s)),
        relative_gap_tolerance=gap,
        absolute_gap_tolerance=0.0 if backend != "highs" else None,
        random_seed=limits.seed % 2**31,
        threads=max(1, limits.workers) if backend == "gurobi" else None,
    )
    extra: dict[str, Any] = {}
    if hint is not None:
        values = {x: float(v) for x, v in zip(xs, hint, strict=True)}
        extra["model_params"] = mathopt.ModelSolveParameters(
            solution_hints=[mathopt.SolutionHint(variable_values=values)]
        )
    result = _wait(lambda: mathopt.solve(model, kind, params=parameters, **extra), limits)
    if result is None:
        return LinearOutcome(hint, None)
    if result.termination.reason == mathopt.TerminationReason.INFEASIBLE:
        return LinearOutcome(hint, None, infeasible=hint is None)
    points = [hint] if hint is not None else []
    for solution in result.solutions:
        if solution.primal_solution is not None:
            values = solution.primal_solution.variable_values
            points.append([round(values.get(x, 0.0)) for x in xs])
    points = [x for x in points if linear.holds(x)]
    best = min(points, key=linear.value, default=None)
    bound = _bound(linear, result.termination.objective_bounds.dual_bound, scale)
    return LinearOutcome(best, bound, nodes=result.solve_stats.node_count)


def relax(linear: Linear, limits: Limits) -> tuple[list[float] | None, int | None]:
    """The program's optimum with fractions allowed, and the bound it gives; None where it was not solved in time."""
    from ortools.math_opt.python import mathopt

    scale = _scale(linear)
    model, xs = _model(linear, scale)
    for x in xs:
        x.integer = False
    limit = mathopt.SolveParameters(time_limit=datetime.timedelta(seconds=max(0.01, limits.remaining_s)))
    result = _wait(lambda: mathopt.solve(model, mathopt.SolverType.GLOP, params=limit), limits)
    if result is None or result.termination.reason != mathopt.TerminationReason.OPTIMAL:
        return None, None
    values = result.variable_values()
    return [values[x] for x in xs], _bound(linear, result.termination.objective_bounds.dual_bound, scale)


def _scale(linear: Linear) -> int:
    """Costs are divided by this, so that tolerances are small against one step of the objective."""
    return math.gcd(*linear.cost.values()) if linear.cost else 1


def _bound(linear: Linear, dual: float, scale: int) -> int | None:
    if not abs(dual) < 1e18:
        return None
    slack = ROW_TOLERANCE * (1 + len(linear.lower) + len(linear.rows)) + 1e-9 * abs(dual)
    return linear.round_up(linear.constant + (dual - slack) * scale)


def _model(linear: Linear, scale: int) -> tuple[Any, list[Any]]:
    from ortools.math_opt.python import mathopt

    model = mathopt.Model()
    xs = [
        model.add_variable(lb=a, ub=b, is_integer=True)
        for a, b in zip(linear.lower, linear.upper, strict=True)
    ]
    for row, low, high in linear.rows:
        constraint = model.add_linear_constraint(
            lb=-float("inf") if low is None else low, ub=float("inf") if high is None else high
        )
        for v, c in row:
            constraint.set_coefficient(xs[v], float(c))
    for v, c in linear.cost.items():
        model.objective.set_linear_coefficient(xs[v], c / scale)
    model.objective.is_maximize = False
    return model, xs


def _wait(solve: Callable[[], Any], limits: Limits) -> Any:
    """What `solve` returns, or None if the caller cancels or the time limit has long passed before.

    A cancelled run is left behind in its thread, where it ends soon after the time limit: SCIP can
    be interrupted, but writes errors of its own to stderr when it is prepared for that; HiGHS cannot.
    """
    done: list[Any] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            done.append(solve())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work)  # not a daemon: HiGHS aborts the process if cut off at exit
    thread.start()
    while thread.is_alive():
        thread.join(0.05)
        cancelled = limits.cancel is not None and limits.cancel()
        if thread.is_alive() and (cancelled or limits.seconds > limits.time_limit_s + GRACE_S):
            return None
    if failed:
        raise failed[0]
    return done[0]
