"""The network as the guide of an annealing over residencies, whose steps no game allows.

It gives the beginning, its best game, and the wishes: what a round wishes for a touch is drawn in part from what
the network would answer there.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from memplan.options import Options
from memplan.problem import Problem
from memplan.solver import Budget
from memplan.testing import TIMED, chain
from memplan_solvers.latency.anneal import WISHES, Anneal
from memplan_solvers.latency.msa import Layout, tuned
from memplan_solvers.latency.timed import Array, Timed, flatten
from memplan_solvers.malloc_game.game import Game, open_board
from memplan_solvers.malloc_game.policy import load_network
from memplan_solvers.malloc_game.refine import Refiner
from memplan_solvers.malloc_game.rollout import preferences
from memplan_solvers.malloc_game.state import DUE_BY, ISSUED, OVER, ROWS, STEP, STORAGE

RACE = 0.15
"""Share of the time in which each beginning shows what annealing makes of it."""

LAGGING = 1.05
"""A game that is slower than this x tuned assignment does not race."""

TRUST = 0.5
"""Chance that a wish is the network's."""


def annealed(refiner: Refiner, timed: Timed, budget: Budget, bound: float) -> Layout:
    """What annealing makes of the refiner's best game or tuned memory space assignment, whichever it takes further
    in a share of the time."""
    game, starts = refiner.game, [tuned(timed, budget.share(0.1), bound)]
    wishes = wishes_of(refiner, timed)
    plain = not game.state.of[:, OVER].any()  # annealing knows no place that lies over what it overwrites
    if plain and game.latency <= LAGGING * starts[0].seconds:
        starts.append(layout_of(game))
        for k, start in enumerate(starts):
            starts[k] = Anneal().improve(timed, start, budget.share(RACE / (1 - k * RACE)), bound, wishes)
    best = min(starts, key=lambda layout: layout.seconds)
    return Anneal().improve(timed, best, budget, bound, wishes)


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


def wishes_of(refiner: Refiner, timed: Timed) -> Array:
    """Chances of the wishes stay, return and host, by touch, float64[k, 3]; leaves the refiner's best game on the board."""
    game = refiner.game
    game.reset()
    answers = np.full((game.moves, 3), 1 / 3)
    preferences(game.board, game.state, refiner.player, refiner.best, answers)
    chances = np.tile(np.array(WISHES), (len(timed.touch), 1))
    for move, (s, t) in zip(answers, game.board.move[:, [STORAGE, STEP]].tolist(), strict=True):
        row = timed.touch_row[s]
        touch = row + int(np.searchsorted(timed.touch[row : timed.touch_row[s + 1]], t))
        chances[touch] = (1 - TRUST) * chances[touch] + TRUST * move
    return chances
