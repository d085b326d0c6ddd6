"""The agent's game as the beginning of an annealing over residencies, whose steps no game allows."""

from __future__ import annotations

from memplan.plan import Plan
from memplan.problem import Problem
from memplan.solver import Budget, Solver
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.layout import to_plan
from memplan_solvers.latency.msa import Layout, tuned
from memplan_solvers.latency.timed import Timed
from memplan_solvers.malloc_game.game import Game
from memplan_solvers.malloc_game.state import DUE_BY, ISSUED, ROWS


def annealed(solver: Solver, game: Game, timed: Timed, problem: Problem, budget: Budget, bound: float) -> Plan:
    """What annealing makes of the better of a finished game without in-place pairs and tuned memory space assignment."""
    start = min(layout_of(game), tuned(timed, budget.share(0.1), bound), key=lambda layout: layout.seconds)
    best = Anneal().improve(timed, start, budget, bound)
    return to_plan(solver, problem, budget, timed, best.rows, best.stores, bound=bound)


def layout_of(game: Game) -> Layout:
    """The residencies and stores of a finished game."""
    state = game.state
    return Layout(state.rows[: state.counts[ROWS]].copy(), state.of[:, [ISSUED, DUE_BY]].copy(), game.latency)
