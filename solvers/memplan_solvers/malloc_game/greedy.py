"""Greedy play with look-ahead, the simplest player that is not random. Compiled."""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.play import is_over, mask, play, undo
from memplan_solvers.malloc_game.state import COPY, DROP, NO_COPY, Board, State


@inner
def greedy_answer(board: Board, state: State) -> int:
    """The answer after which the latency is least; on ties NoCopy, then Drop, then Copy; -1 once it is over."""
    legal = np.zeros(3, np.bool_)
    mask(board, state, legal)
    best, least = -1, np.inf
    for answer in (NO_COPY, DROP, COPY):
        if legal[answer]:
            play(board, state, answer)
            if state.total[0] < least:
                best, least = answer, state.total[0]
            undo(board, state)
    return best


@inner
def look_ahead(board: Board, state: State, horizon: int) -> int:
    """The answer after which `horizon` greedy moves lead to the least latency; ties as above."""
    if horizon == 0:
        return int(greedy_answer(board, state))
    legal = np.zeros(3, np.bool_)
    mask(board, state, legal)
    best, least, choices = -1, np.inf, legal.sum()
    for answer in (NO_COPY, DROP, COPY):
        if legal[answer]:
            if choices == 1:
                return answer
            play(board, state, answer)
            made = 1
            while made <= horizon and not is_over(board, state):
                play(board, state, greedy_answer(board, state))
                made += 1
            if state.total[0] < least:
                best, least = answer, state.total[0]
            for _ in range(made):
                undo(board, state)
    return best


@kernel
def play_greedy(board: Board, state: State, horizon: int) -> float:
    """Finish the game from where it stands by `look_ahead`; the latency."""
    board, state = borrow(board), borrow(state)
    while not is_over(board, state):
        play(board, state, look_ahead(board, state, horizon))
    return float(state.total[0])
