"""A baseline for the timed model: a traffic plan with its stores given time to finish."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from memplan.plan import Move, Plan, Residency
from memplan.problem import Problem
from memplan.simulate import timeline
from memplan.solver import Budget

if TYPE_CHECKING:
    from memplan_solvers.greedy import Greedy


def solve_timed(solver: Greedy, problem: Problem, budget: Budget) -> Plan:
    """The faster of everything in host (where operands may be) and the re-timed traffic plan."""
    plans = []
    if problem.target.operands == "any":
        order = tuple(range(problem.n))
        plans.append(solver.answer(problem, budget, order=order, residencies=[], moves=[]))
    strict = replace(
        problem,
        target=replace(problem.target, operands="scratchpad"),
        options=replace(problem.options, objective="traffic"),
    )
    if problem.capacity is None or strict.min_capacity <= problem.capacity:
        stepped = solver.solve(strict, budget)
        moves = stretch_stores(stepped.residencies, stepped.moves)
        if stepped.schedule and moves is not None:
            plans.append(replace(stepped, target=problem.target, options=problem.options, moves=moves))
    if not plans:
        from memplan.plan import Status

        return solver.no_answer(problem, budget, Status.UNKNOWN, "no heuristic found a plan that fits")
    best = min(plans, key=lambda plan: timeline(problem.graph, plan).latency_s)
    return replace(best, bound=problem.free_bound)


def stretch_stores(residencies: tuple[Residency, ...], moves: tuple[Move, ...]) -> tuple[Move, ...] | None:
    """The moves with each store issued when its storage appears and due when it leaves.

    None where a storage leaves and returns between two steps: no copy fits in between.
    """
    first: dict[str, Residency] = {}
    later: dict[str, int] = {}
    for r in sorted(residencies, key=lambda r: r.start):
        if r.tensor not in first:
            first[r.tensor] = r
        else:
            later.setdefault(r.tensor, r.start)
    timed = []
    for move in moves:
        if move.kind == "store":
            start, stop = first[move.tensor].start, first[move.tensor].stop
            due = stop if later.get(move.tensor, stop + 1) > stop else stop - 1
            if due <= start:
                return None
            move = Move("store", move.tensor, start, due)
        timed.append(move)
    return tuple(sorted(timed, key=lambda m: (m.issue, m.kind, m.tensor)))
