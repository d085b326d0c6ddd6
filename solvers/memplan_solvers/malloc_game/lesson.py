"""What a game teaches: the moves at which there was a choice."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Flags, Floats32, Ints
from memplan_solvers.jit import borrow, kernel
from memplan_solvers.malloc_game.board import ANSWERS, Board
from memplan_solvers.malloc_game.encode import INPUTS
from memplan_solvers.malloc_game.game import Game
from memplan_solvers.malloc_game.play import play, reset
from memplan_solvers.malloc_game.rollout import Player, weigh_answers
from memplan_solvers.malloc_game.state import GameState


class LessonRows(NamedTuple):
    """A row for each move with a choice, in order."""

    x: Annotated[Floats32, "rows, inputs"]
    legal: Annotated[Flags, "rows, answers"]
    answer: Annotated[Ints, "rows"]
    left: Annotated[Floats32, "rows"]  # the return still to come, in [0, 1]


def lesson_of(game: Game, player: Player, answers: Ints) -> LessonRows:
    """The rows of the game of these answers, int64[moves], which stays on the board."""
    rows = LessonRows(
        x=np.zeros((game.moves, INPUTS), np.float32),
        legal=np.zeros((game.moves, ANSWERS), np.bool_),
        answer=np.zeros(game.moves, np.int64),
        left=np.zeros(game.moves, np.float32),
    )
    count = _fill(game.board, game.state, player, answers, rows)
    return LessonRows(rows.x[:count], rows.legal[:count], rows.answer[:count], rows.left[:count])


@kernel
def _fill(
    board: Board, state: GameState, player: Player, answers: Annotated[Ints, "rows"], rows: LessonRows
) -> int:
    """Play, and fill `rows` from the front; how many."""
    board, state, player, rows = borrow(board), borrow(state), borrow(player), borrow(rows)
    reset(board, state)
    count = 0
    for i in range(len(answers)):
        if weigh_answers(board, state, player) > 1:
            rows.x[count], rows.legal[count], rows.answer[count] = player.x, player.legal, answers[i]
            rows.left[count] = state.totals[0].latency
            count += 1
        play(board, state, answers[i])
    for r in range(count):
        rows.left[r] = (rows.left[r] - state.totals[0].latency) / board.all_host
    return count
