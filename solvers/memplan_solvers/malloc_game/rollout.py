"""Playing games with the policy network, whole or in part, without leaving compiled code."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Floats, Floats32, Ints, Records
from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.board import ANSWERS, Board
from memplan_solvers.malloc_game.encode import INPUTS, encode
from memplan_solvers.malloc_game.features import Observation, make_observation
from memplan_solvers.malloc_game.network import BINS, HIDDEN, Network, forward
from memplan_solvers.malloc_game.play import is_over, mask, play, undo
from memplan_solvers.malloc_game.prices import PRICE, prices
from memplan_solvers.malloc_game.state import GameState

NO_ANSWER = -1
"""Where any answer may be given."""


class Player(NamedTuple):
    """A network with what it needs to look at one board. All but `net` and `prices` is scratch."""

    net: Network
    prices: Annotated[Records, PRICE, "moves"]
    seen: Observation
    x: Annotated[Floats32, "inputs"]  # of the move last looked at that had a choice, INPUTS
    h0: Annotated[Floats32, "hidden0"]
    h1: Annotated[Floats32, "hidden1"]
    out: Annotated[Floats32, "outputs"]  # logits of the answers, then of the value's bins, for `x`
    legal: Annotated[Flags, "answers"]  # of the move last looked at


class Cooling(NamedTuple):
    """Some rounds of simulated annealing of a game."""

    rounds: int
    hot: float  # s, the heat of the first round
    cold: float  # s, of the one after the last
    temperature: float  # of the network's noise
    widest: int  # moves that a round plays anew, at most


def make_player(net: Network, board: Board) -> Player:
    """A player for games on this board."""
    return Player(
        net=net,
        prices=prices(board),
        seen=make_observation(),
        x=np.zeros(INPUTS, np.float32),
        h0=np.zeros(HIDDEN[0], np.float32),
        h1=np.zeros(HIDDEN[1], np.float32),
        out=np.zeros(ANSWERS + BINS, np.float32),
        legal=np.zeros(ANSWERS, np.bool_),
    )


@kernel
def seed_noise(seed: int) -> None:
    """Seed the noise of compiled play in this thread."""
    np.random.seed(seed)


@kernel
def weigh_answers(board: Board, state: GameState, player: Player) -> int:
    """Fill `player.legal` for the next move and, if there is a choice, `player.x` and `player.out`; how many are legal."""
    mask(board, state, player.legal)
    count = 0
    for a in range(ANSWERS):
        count += 1 if player.legal[a] else 0
    if count > 1:
        evaluate(board, state, player)
    return count


@inner
def evaluate(board: Board, state: GameState, player: Player) -> None:
    """Fill `player.x` and `player.out` for the next move."""
    encode(board, state, player.prices, player.seen, player.x)
    forward(player.net, player.x, player.h0, player.h1, player.out)


@inner
def choose(board: Board, state: GameState, player: Player, temperature: float, banned: int) -> int:
    """The legal answer of largest logit + temperature x Gumbel noise, another than `banned` if there is one."""
    count = weigh_answers(board, state, player)
    best, most = -1, -np.inf
    for a in range(ANSWERS):
        if player.legal[a] and (a != banned or count == 1):
            score = float(player.out[a])
            if temperature > 0.0:
                score -= temperature * np.log(-np.log(np.random.random()))
            if best < 0 or score > most:
                best, most = a, score
    return best


@kernel
def finish(board: Board, state: GameState, player: Player, temperature: float) -> float:
    """Play on to the end; the latency."""
    board, state, player = borrow(board), borrow(state), borrow(player)
    while not is_over(board, state):
        play(board, state, choose(board, state, player, temperature, NO_ANSWER))
    return float(state.totals[0].latency)


@kernel
def follow(board: Board, state: GameState, player: Player, answers: Annotated[Ints, "moves"]) -> float:
    """Play on to the end by these answers, the network's own where one is illegal; the latency."""
    board, state, player = borrow(board), borrow(state), borrow(player)
    while not is_over(board, state):
        if not play(board, state, answers[state.totals[0].move]):
            play(board, state, choose(board, state, player, 0.0, NO_ANSWER))
    return float(state.totals[0].latency)


@kernel
def back_to(board: Board, state: GameState, move: int) -> None:
    """Undo until `move` is the next one."""
    board, state = borrow(board), borrow(state)
    while state.totals[0].move > move:
        undo(board, state)


@kernel
def improve(
    board: Board,
    state: GameState,
    player: Player,
    current: Annotated[Ints, "moves"],
    best: Annotated[Ints, "moves"],
    least: float,
    cooling: Cooling,
) -> float:
    """Simulated annealing of a game; the least latency in seconds, whose answers `best` become.

    The state stands at the end of the game of `current`, before and after; `least` is the latency of `best`. A
    round goes back to some move, answers it otherwise, plays on by the network and its noise for up to `widest`
    moves, and then as before, the network answering where that has become illegal. A worse game is kept with
    the chance exp(-loss / heat), the heat falling geometrically.
    """
    board, state, player = borrow(board), borrow(state), borrow(player)
    k, temperature, ratio = len(current), cooling.temperature, cooling.cold / cooling.hot
    for r in range(cooling.rounds):
        now = state.totals[0].latency
        at = np.random.randint(k)
        end = min(k, at + 1 + np.random.randint(cooling.widest))
        back_to(board, state, at)
        play(board, state, choose(board, state, player, temperature, current[at]))
        while state.totals[0].move < end:
            play(board, state, choose(board, state, player, temperature, NO_ANSWER))
        latency = follow(board, state, player, current)
        heat = cooling.hot * ratio ** (r / cooling.rounds)
        if latency <= now or np.random.random() < np.exp((now - latency) / heat):
            for i in range(k):
                current[i] = state.history[i].answer
            if latency < least:
                least = latency
                best[:] = current
        else:
            back_to(board, state, at)
            follow(board, state, player, current)
    return float(least)


@kernel
def probe(
    board: Board,
    state: GameState,
    player: Player,
    path: Annotated[Ints, "path"],
    logits: Annotated[Floats, "answers"],
) -> tuple[float, float, bool]:
    """What lies behind `path`: the last reward, the network's value and whether the game is over; fills `logits`.

    The state is the same afterwards. Illegal answers get -inf.
    """
    board, state, player = borrow(board), borrow(state), borrow(player)
    before = state.totals[0].latency
    for a in path:
        before = state.totals[0].latency
        play(board, state, a)
    reward = (before - state.totals[0].latency) / board.all_host
    over = is_over(board, state)
    value = 0.0
    if not over:
        count = weigh_answers(board, state, player)
        if count == 1:  # the value is wanted all the same
            evaluate(board, state, player)
        value = expected(player.out)
        for a in range(ANSWERS):
            logits[a] = player.out[a] if player.legal[a] else -np.inf
    for _ in path:
        undo(board, state)
    return reward, value, over


@inner
def expected(out: Floats32) -> float:
    """The mean of the value's distribution, over bins from 0 to 1."""
    most, total, mean = -np.inf, 0.0, 0.0
    for b in range(BINS):
        most = max(most, out[ANSWERS + b])
    for b in range(BINS):
        weight = np.exp(out[ANSWERS + b] - most)
        total += weight
        mean += weight * b / (BINS - 1)
    return mean / total
