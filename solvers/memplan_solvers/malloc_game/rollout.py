"""Playing games with the policy network, whole or in part, without leaving compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from memplan_solvers.latency.timed import Array
from memplan_solvers.malloc_game.encode import INPUTS, encode, prices
from memplan_solvers.malloc_game.features import Observation, make_observation
from memplan_solvers.malloc_game.network import ACTIONS, BINS, HIDDEN, Network, forward
from memplan_solvers.malloc_game.play import is_over, mask, play, reset, undo
from memplan_solvers.malloc_game.state import ANSWER, MOVE, Board, State


class Player(NamedTuple):
    """A network with what it needs to look at one board; `x`, `h0`, `h1`, `out`, `legal` and `seen` are scratch."""

    net: Network
    table: Array
    seen: Observation
    x: Array
    h0: Array
    h1: Array
    out: Array
    legal: Array


def make_player(net: Network, board: Board) -> Player:
    """A player for games on this board."""
    return Player(net, prices(board), make_observation(), np.zeros(INPUTS, np.float32),
                  np.zeros(HIDDEN[0], np.float32), np.zeros(HIDDEN[1], np.float32),
                  np.zeros(ACTIONS + BINS, np.float32), np.zeros(3, np.bool_))  # fmt: skip


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def choose(board: Board, state: State, player: Player, temperature: float) -> int:
    """The answer of largest logit + temperature x Gumbel noise among the legal ones."""
    mask(board, state, player.legal)
    count, best = 0, -1
    for a in range(3):
        if player.legal[a]:
            count += 1
            best = a
    if count == 1:
        return best
    encode(board, state, player.table, player.seen, player.x)
    forward(player.net, player.x, player.h0, player.h1, player.out)
    most = -np.inf
    for a in range(3):
        if player.legal[a]:
            score = float(player.out[a])
            if temperature > 0.0:
                score -= temperature * np.log(-np.log(np.random.random()))
            if score > most:
                best, most = a, score
    return best


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def finish(board: Board, state: State, player: Player, temperature: float) -> float:
    """Play on to the end; the latency."""
    while not is_over(board, state):
        play(board, state, choose(board, state, player, temperature))
    return float(state.total[0])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def seed_noise(seed: int) -> None:
    """Seed the noise of compiled play in this thread."""
    np.random.seed(seed)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def sample(board: Board, state: State, player: Player, games: int, temperature: float, best: float, answers: Array) -> float:
    """The least latency of so many sampled games and `best`; `answers`, int64[k], become the best game's."""
    for _ in range(games):
        reset(board, state)
        latency = finish(board, state, player, temperature)
        if latency < best:
            best = latency
            answers[:] = state.history[: len(answers), ANSWER]
    return best


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def follow(board: Board, state: State, player: Player, answers: Array, until: int) -> None:
    """Give these answers up to move `until`, the network's own where one has become illegal."""
    while state.counts[MOVE] < until and not is_over(board, state):
        if not play(board, state, answers[state.counts[MOVE]]):
            play(board, state, choose(board, state, player, 0.0))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def anneal(
    board: Board, state: State, player: Player, answers: Array, rounds: int, hot: float, cold: float, temperature: float,
    widest: int, best_answers: Array, best: float,
) -> float:  # fmt: skip
    """Change a finished game, `rounds` times: somewhere play on by the network's noise for up to `widest` moves, then as before.

    The state must stand at the end of the game of `answers`. A worse game is kept with the chance of simulated
    annealing between `hot` and `cold`, in shares of the latency. The least latency; `best_answers` become its game.
    """
    k = len(answers)
    now = state.total[0]
    old = answers.copy()
    for r in range(rounds):
        heat = hot * (cold / hot) ** (r / rounds) * now
        at = np.random.randint(k)
        width = 1 + np.random.randint(widest)
        while state.counts[MOVE] > at:
            undo(board, state)
        mask(board, state, player.legal)
        first = choose(board, state, player, temperature)
        choices = 0
        for a in range(3):
            choices += 1 if player.legal[a] else 0
        if choices > 1 and first == answers[at]:
            for _ in range(3):
                a = np.random.randint(3)
                if player.legal[a] and a != answers[at]:
                    first = a
        play(board, state, first)
        while state.counts[MOVE] < min(at + width, k):
            play(board, state, choose(board, state, player, temperature))
        follow(board, state, player, answers, k)
        latency = state.total[0]
        if latency <= now or np.random.random() < np.exp((now - latency) / heat):
            now = latency
            answers[:] = state.history[:k, ANSWER]
            if latency < best:
                best = latency
                best_answers[:] = answers
        else:
            while state.counts[MOVE] > at:
                undo(board, state)
            follow(board, state, player, answers, k)
    answers[:] = old
    return best
