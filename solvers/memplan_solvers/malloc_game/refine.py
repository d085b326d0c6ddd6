"""The agent on one graph: the network's game, annealed under the network's guidance, cycle after cycle."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from memplan_solvers.common.arrays import Ints
from memplan_solvers.malloc_game.game import Game
from memplan_solvers.malloc_game.greedy import play_greedy
from memplan_solvers.malloc_game.network import Network
from memplan_solvers.malloc_game.rollout import Cooling, finish, follow, improve, make_player, seed_noise

HOT, COLD = 0.002, 0.0002
"""Heat of a cycle's first and last round, in shares of the latency."""

TEMPERATURE, WIDEST = 0.7, 12
"""Noise of the network's logits; moves that a round plays anew, at most."""

CHUNK = 20_000
"""Moves between two looks at the clock."""


class Refiner:
    """A game on its way to a better one. Seeded: the same calls give the same games."""

    def __init__(self, game: Game, net: Network, seed: int) -> None:
        self.game = game
        game.reset()
        self.k = game.moves
        self.best, self.least = np.zeros(self.k, np.int64), np.inf
        self.use(net)
        seed_noise(seed)

    def use(self, net: Network) -> None:
        """Go on with this network, beginning with its own game if that is better."""
        self.player = make_player(net, self.game.board)
        self.game.reset()
        self.policy_latency = finish(self.game.board, self.game.state, self.player, 0.0)
        self.consider(self.game.answers, self.policy_latency)

    def consider(self, answers: Ints, latency: float) -> None:
        """Keep a finished game if it is the best."""
        if latency < self.least:
            self.best, self.least = answers, latency

    def consider_greedy(self) -> None:
        """Keep the greedy game if it is the best."""
        self.game.reset()
        latency = play_greedy(self.game.board, self.game.state, 0)
        self.consider(self.game.answers, latency)

    def replay(self) -> None:
        """Put the best game on the board."""
        self.game.reset()
        follow(self.game.board, self.game.state, self.player, self.best)

    def cycle(self, rounds: int, stop: Callable[[], bool]) -> bool:
        """One cooling of so many rounds from the best game on; False if it was stopped."""
        self.replay()
        current, done, step = self.best.copy(), 0, max(1, CHUNK // max(self.k, 1))
        while done < rounds and not stop():
            now = min(step, rounds - done)
            hot, cold = (self.least * HOT * (COLD / HOT) ** (r / rounds) for r in (done, done + now))
            cooling = Cooling(now, hot, cold, TEMPERATURE, WIDEST)
            self.least = improve(
                self.game.board, self.game.state, self.player, current, self.best, self.least, cooling
            )
            done += now
        return done >= rounds
