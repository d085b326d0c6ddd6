"""Freedoms that a solver knows nothing of: it plans without them, and of what it proves as much is kept as still holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.problem.reuse import overwrites_what_is_wanted
from memplan.solving.limits import Limits, Progress
from memplan.solving.posed import posed
from memplan.solving.solver import Solver, recorded

WITHOUT: Mapping[str, Mapping[str, Any]] = {
    "in-place": {"inplace": False, "donate": ()},
    "in-place over what is stored": {},
    "joins": {"join": False},
    "recomputation": {"recompute": 1, "compute_limit": None},
}
"""What the options say without each freedom."""

Solve = Callable[[Problem, Limits], Plan]


def solve_within(solver: Solver, problem: Problem, limits: Limits, solve: Solve | None = None) -> Plan:
    """The solver's plan of the problem, found without the freedoms that it knows nothing of.

    Where such a freedom could be made use of, its bound is the free one, and what it calls infeasible is unknown.

    Args:
        solver: it lacks nothing of the problem.
        problem, limits: as of `Solver.solve`.
        solve: what is asked of it, where that is not `solver.solve`.
    """
    solve = solve or solver.solve
    if (simple := posed(problem)) is not problem:
        return replace(solve_within(solver, simple, limits, solve), target=problem.target, value=None)
    less, unused = _known_part(solver, problem)
    if less is problem and not unused:
        return solve(problem, limits)
    start = tuple(plan for plan in limits.start if len(plan.schedule) == problem.n and not plan.joined)
    if not unused:
        return as_asked(problem, solve(less, replace(limits, start=start)))
    how = f"without {' and '.join(unused)}, which {solver.name} knows nothing of"
    if less.capacity is not None and less.min_capacity > less.capacity:
        why = f"{how}: some op needs {less.min_capacity} bytes, the scratchpad has {less.capacity}"
        return solver.no_answer(problem, limits, Status.UNKNOWN, why)
    found = solve(less, replace(limits, start=start, progress=_unproved(limits, problem)))
    status = Status.UNKNOWN if found.status is Status.INFEASIBLE else found.status
    reason = f"{how}: {found.reason}" if found.reason else how
    return replace(lifted(problem, found), status=status, reason=reason)


def lifted(problem: Problem, plan: Plan) -> Plan:
    """A plan of a problem with less freedom as one of `problem`; its bound was not true there."""
    return replace(as_asked(problem, plan), bound=problem.free_bound)


def as_asked(problem: Problem, plan: Plan) -> Plan:
    """A plan of a problem with less freedom that could not make use of more, or of which the bound holds for `problem` too."""
    return replace(plan, target=problem.target, options=recorded(problem, plan.inplace), value=None)


def _known_part(solver: Solver, problem: Problem) -> tuple[Problem, list[str]]:
    """The problem without the freedoms that the solver knows nothing of, and those of them that some plan could use."""
    options, ops, can = problem.options, problem.graph.ops, solver.supports
    unknown = {
        "in-place": ((options.inplace or options.donate) and not can.inplace, bool(problem.inplace_pairs)),
        "in-place over what is stored": (can.inplace and not can.reuse, overwrites_what_is_wanted(problem)),
        "joins": (options.join and not can.join, any(op.joins for op in ops)),
        "recomputation": (options.recompute != 1 and not can.recompute, not all(op.once or op.view for op in ops)),
    }  # fmt: skip
    lost = [word for word, (is_lost, _) in unknown.items() if is_lost]
    changed = {key: value for word in lost for key, value in WITHOUT[word].items()}
    less = replace(problem, options=replace(options, **changed)) if changed else problem
    return less, [word for word in lost if unknown[word][1]]


def _unproved(limits: Limits, problem: Problem) -> Callable[[Progress], None] | None:
    """Passes news on without the bounds in them, which are not those of the problem."""
    tell = limits.progress
    return tell and (lambda news: tell(news._replace(bound=problem.free_bound)))
