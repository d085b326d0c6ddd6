"""The network's best game as the beginning of an annealing over residencies, whose steps no game allows."""

from __future__ import annotations

from functools import cache

from memplan.options import Options
from memplan.problem import Problem
from memplan.solver import Budget
from memplan.testing import TIMED, chain
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.msa import Layout, tuned
from memplan_solvers.latency.timed import Timed, flatten
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.policy import load_network
from memplan_solvers.malloc_game.refine import Refiner
from memplan_solvers.malloc_game.state import DUE_BY, ISSUED, OVER, ROWS

RACE = 0.15
"""Share of the time in which each beginning shows what annealing makes of it."""

LAGGING = 1.05
"""A game that is slower than this x tuned assignment does not race."""


def annealed(refiner: Refiner, timed: Timed, budget: Budget, bound: float) -> Layout:
    """What annealing makes of the refiner's best game or tuned memory space assignment, whichever it takes further
    in a share of the time."""
    game, starts = refiner.game, [tuned(timed, budget.share(0.1), bound)]
    plain = not game.state.of[:, OVER].any()  # annealing knows no place that lies over what it overwrites
    if plain and game.latency <= LAGGING * starts[0].seconds:
        starts.append(layout_of(game))
        for k, start in enumerate(starts):
            starts[k] = Anneal().improve(timed, start, budget.share(RACE / (1 - k * RACE)), bound)
    best = min(starts, key=lambda layout: layout.seconds)
    return Anneal().improve(timed, best, budget, bound)


@cache
def rehearse() -> None:
    """Compile or load all that a game and its annealing run, on a chain of three ops."""
    problem = Problem(chain(3), TIMED.with_scratchpad(600), Options("latency", "tensor", order="program"))
    budget = Budget(60.0)
    board, timed = open_board(problem, budget), flatten(problem, budget)
    if board is not None and timed is not None:
        refiner = Refiner(Game(board), load_network(), 0)
        refiner.consider_greedy()
        refiner.cycle(1, lambda: False)
        annealed(refiner, timed, Budget(0.1), 0.0)


def layout_of(game: Game) -> Layout:
    """The residencies and stores of a finished game."""
    state = game.state
    return Layout(state.rows[: state.counts[ROWS]].copy(), state.of[:, [ISSUED, DUE_BY]].copy(), game.latency)
