"""Playing games with the policy network, whole or in part, without leaving compiled code."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.encode import INPUTS, encode, prices
from memplan_solvers.malloc_game.features import Observation, make_observation
from memplan_solvers.malloc_game.network import ACTIONS, BINS, HIDDEN, Network, forward
from memplan_solvers.malloc_game.play import is_over, mask, play, reset, undo
from memplan_solvers.malloc_game.queue import Array
from memplan_solvers.malloc_game.state import ANSWER, MOVE, Board, State


class Player(NamedTuple):
    """A network with what it needs to look at one board. All but `net` and `table` is scratch."""

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
    return Player(
        net,
        prices(board),
        make_observation(),
        np.zeros(INPUTS, np.float32),
        np.zeros(HIDDEN[0], np.float32),
        np.zeros(HIDDEN[1], np.float32),
        np.zeros(ACTIONS + BINS, np.float32),
        np.zeros(ACTIONS, np.bool_),
    )


@kernel
def seed_noise(seed: int) -> None:
    """Seed the noise of compiled play in this thread."""
    np.random.seed(seed)


@kernel
def look(board: Board, state: State, player: Player) -> int:
    """Fill `player.legal` for the next move and, if there is a choice, `player.x` and `player.out`; how many are legal."""
    mask(board, state, player.legal)
    count = 0
    for a in range(ACTIONS):
        count += 1 if player.legal[a] else 0
    if count > 1:
        encode(board, state, player.table, player.seen, player.x)
        forward(player.net, player.x, player.h0, player.h1, player.out)
    return count


@inner
def choose(board: Board, state: State, player: Player, temperature: float, banned: int) -> int:
    """The legal answer of largest logit + temperature x Gumbel noise, another than `banned` if there is one."""
    count = look(board, state, player)
    best, most = -1, -np.inf
    for a in range(ACTIONS):
        if player.legal[a] and (a != banned or count == 1):
            score = float(player.out[a])
            if temperature > 0.0:
                score -= temperature * np.log(-np.log(np.random.random()))
            if best < 0 or score > most:
                best, most = a, score
    return best


@kernel
def finish(board: Board, state: State, player: Player, temperature: float) -> float:
    """Play on to the end; the latency."""
    board, state, player = borrow(board), borrow(state), borrow(player)
    while not is_over(board, state):
        play(board, state, choose(board, state, player, temperature, -1))
    return float(state.total[0])


@kernel
def follow(board: Board, state: State, player: Player, answers: Array) -> float:
    """Play on to the end by these answers, the network's own where one is illegal; the latency."""
    board, state, player = borrow(board), borrow(state), borrow(player)
    while not is_over(board, state):
        if not play(board, state, answers[state.counts[MOVE]]):
            play(board, state, choose(board, state, player, 0.0, -1))
    return float(state.total[0])


@kernel
def back_to(board: Board, state: State, move: int) -> None:
    """Undo until `move` is the next one."""
    board, state = borrow(board), borrow(state)
    while state.counts[MOVE] > move:
        undo(board, state)


@kernel
def improve(
    board: Board,
    state: State,
    player: Player,
    current: Array,
    best: Array,
    least: float,
    rounds: int,
    hot: float,
    cold: float,
    temperature: float,
    widest: int,
) -> float:
    """Simulated annealing of a game for some rounds; the least latency, whose answers `best` become.

    The state stands at the end of the game of `current`, before and after; `least` is the latency of `best`. A
    round goes back to some move, answers it otherwise, plays on by the network and its noise for up to `widest`
    moves, and then as before, the network answering where that has become illegal. A worse game is kept with
    the chance exp(-loss / heat), the heat falling from `hot` to `cold`, in seconds.
    """
    board, state, player = borrow(board), borrow(state), borrow(player)
    k = len(current)
    for r in range(rounds):
        now = state.total[0]
        at = np.random.randint(k)
        end = min(k, at + 1 + np.random.randint(widest))
        back_to(board, state, at)
        play(board, state, choose(board, state, player, temperature, current[at]))
        while state.counts[MOVE] < end:
            play(board, state, choose(board, state, player, temperature, -1))
        latency = follow(board, state, player, current)
        if latency <= now or np.random.random() < np.exp(
            (now - latency) / (hot * (cold / hot) ** (r / rounds))
        ):
            current[:] = state.history[:k, ANSWER]
            if latency < least:
                least = latency
                best[:] = current
        else:
            back_to(board, state, at)
            follow(board, state, player, current)
    return float(least)


@kernel
def lesson(
    board: Board,
    state: State,
    player: Player,
    answers: Array,
    x: Array,
    legal: Array,
    answer: Array,
    left: Array,
) -> int:
    """What a game teaches: fills a row for every move with a choice, in order; how many.

    x: float32[k, INPUTS]; legal: bool[k, ACTIONS]; answer: int64[k]; left: float32[k], the return still to come.
    """
    board, state, player = borrow(board), borrow(state), borrow(player)
    reset(board, state)
    rows = 0
    for i in range(len(answers)):
        if look(board, state, player) > 1:
            x[rows], legal[rows], answer[rows] = player.x, player.legal, answers[i]
            left[rows] = state.total[0]
            rows += 1
        play(board, state, answers[i])
    for r in range(rows):
        left[r] = (left[r] - state.total[0]) / board.all_host
    return rows


@kernel
def probe(
    board: Board, state: State, player: Player, path: Array, logits: Array
) -> tuple[float, float, bool]:
    """What lies behind `path`: the last reward, the network's value and whether the game is over; fills `logits`.

    The state is the same afterwards. Illegal answers get -inf.
    """
    board, state, player = borrow(board), borrow(state), borrow(player)
    before = state.total[0]
    for a in path:
        before = state.total[0]
        play(board, state, a)
    reward = (before - state.total[0]) / board.all_host
    over = is_over(board, state)
    value = 0.0
    if not over:
        count = look(board, state, player)
        if count == 1:  # look at it all the same: the value is wanted
            encode(board, state, player.table, player.seen, player.x)
            forward(player.net, player.x, player.h0, player.h1, player.out)
        value = expected(player.out)
        for a in range(ACTIONS):
            logits[a] = player.out[a] if player.legal[a] else -np.inf
    for _ in path:
        undo(board, state)
    return reward, value, over


@inner
def expected(out: Array) -> float:
    """The mean of the value's distribution, over bins from 0 to 1."""
    most, total, mean = -np.inf, 0.0, 0.0
    for b in range(BINS):
        most = max(most, out[ACTIONS + b])
    for b in range(BINS):
        weight = np.exp(out[ACTIONS + b] - most)
        total += weight
        mean += weight * b / (BINS - 1)
    return mean / total
