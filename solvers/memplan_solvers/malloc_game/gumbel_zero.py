"""Gumbel AlphaZero on the true game: the shared search over compiled dynamics, one episode at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats, Ints
from memplan_solvers.malloc_game.board import ANSWERS
from memplan_solvers.malloc_game.game import Game
from memplan_solvers.malloc_game.network import Network
from memplan_solvers.malloc_game.rollout import make_player, probe
from memplan_solvers.malloc_game.tree_search import Leaf, Path, Settings, drive, search


class Episode(NamedTuple):
    """A finished game."""

    answers: Annotated[Ints, "moves"]
    policies: Annotated[Floats, "moves, answers"]  # the search's, at each move
    latency: float  # s


def play_episode(
    game: Game, net: Network, settings: Settings, seed: int, stop: Callable[[], bool] = lambda: False
) -> Episode:
    """Play the whole game, every move by a search of its own; once told to stop, by the network alone.

    Deterministic for the same seed.
    """
    board, state, rng = game.board, game.state, np.random.default_rng(seed)
    player = make_player(net, board)
    game.reset()

    def expand(path: Path) -> Leaf:
        logits = np.full(ANSWERS, -np.inf)
        reward, value, over = probe(board, state, player, np.array(path, np.int64), logits)
        return Leaf(reward, logits, value, over)

    answers, policies = np.zeros(game.moves, np.int64), np.zeros((game.moves, ANSWERS))
    while not game.is_over:
        move = game.move
        allowed = replace(settings, simulations=1, considered=1, noise=0.0) if stop() else settings
        found = drive(search(expand(()), allowed, rng), expand)
        policies[move] = found.policy
        for answer in found.line or (found.action,):  # what is played out needs no further search
            if game.move > move:
                policies[game.move, answer] = 1.0
            answers[game.move] = answer
            game.step(answer)
    return Episode(answers, policies, game.latency)
