"""Greedy play with look-ahead, the simplest player that is not random. Compiled."""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.board import ANSWERS, Board, MoveAnswer
from memplan_solvers.malloc_game.play import is_over, mask, play, undo
from memplan_solvers.malloc_game.state import GameState

ORDER = tuple(int(answer) for answer in (MoveAnswer.NO_COPY, MoveAnswer.DROP, MoveAnswer.COPY))
"""In which answers are tried; of equal ones the first is given."""


@inner
def greedy_answer(board: Board, state: GameState) -> int:
    """The answer after which the latency is least, -1 once the game is over."""
    legal = np.zeros(ANSWERS, np.bool_)
    mask(board, state, legal)
    best, least = -1, np.inf
    for answer in ORDER:
        if legal[answer]:
            play(board, state, answer)
            if state.totals[0].latency < least:
                best, least = answer, state.totals[0].latency
            undo(board, state)
    return best


@inner
def look_ahead(board: Board, state: GameState, horizon: int) -> int:
    """The answer after which `horizon` greedy moves lead to the least latency, -1 once the game is over."""
    if horizon == 0:
        return int(greedy_answer(board, state))
    legal = np.zeros(ANSWERS, np.bool_)
    mask(board, state, legal)
    best, least, choices = -1, np.inf, legal.sum()
    for answer in ORDER:
        if legal[answer]:
            if choices == 1:
                return answer
            play(board, state, answer)
            made = 1
            while made <= horizon and not is_over(board, state):
                play(board, state, greedy_answer(board, state))
                made += 1
            if state.totals[0].latency < least:
                best, least = answer, state.totals[0].latency
            for _ in range(made):
                undo(board, state)
    return best


@kernel
def play_greedy(board: Board, state: GameState, horizon: int) -> float:
    """Finish the game from where it stands by `look_ahead`; the latency in seconds."""
    board, state = borrow(board), borrow(state)
    while not is_over(board, state):
        play(board, state, look_ahead(board, state, horizon))
    return float(state.totals[0].latency)
