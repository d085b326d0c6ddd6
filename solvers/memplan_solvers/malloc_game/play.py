"""Playing: reset, mask, play, undo, and the Drop-backup that lets every game end. Compiled.

`play` gives an answer and lets time pass until the next move; `undo` takes the last one back.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from memplan_solvers.common.arrays import Flags
from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.latency.copy_queue import EPS, enqueue
from memplan_solvers.malloc_game.board import ANSWERS, Board, MoveAnswer
from memplan_solvers.malloc_game.rules import attempt, is_legal
from memplan_solvers.malloc_game.state import GameState, Growth, Standing
from memplan_solvers.malloc_game.undo_log import (
    add_open_stores,
    note,
    rewind,
    set_due,
    set_latency,
    set_reach,
    set_standing,
    set_stop,
)

BACKUP_ORDER = tuple(int(answer) for answer in (MoveAnswer.DROP, MoveAnswer.NO_COPY, MoveAnswer.COPY))
"""What a backup tries where the answer given before has become illegal."""


@kernel
def reset(board: Board, state: GameState) -> None:
    """Set the state to the beginning of a game: everything in host but what is fixed."""
    state.words[:] = board.beginning
    state.forced[:] = 0


@kernel
def is_over(board: Board, state: GameState) -> bool:
    """Whether every move has been answered."""
    return bool(state.totals[0].move == len(board.moves))


@kernel
def mask(board: Board, state: GameState, legal: Annotated[Flags, "answers"]) -> None:
    """Fill `legal` for the next move; all False once the game is over."""
    board, state, legal = borrow(board), borrow(state), borrow(legal)
    i = state.totals[0].move
    for answer in range(len(legal)):
        legal[answer] = i < len(board.moves) and is_legal(board, state, i, answer)


@kernel
def play(board: Board, state: GameState, answer: int) -> bool:
    """Give the next move its answer; False, and nothing changed, if it is illegal.

    The change of `state.totals[0].latency` over `board.all_host` is minus the reward.
    """
    board, state = borrow(board), borrow(state)
    i = state.totals[0].move
    if i >= len(board.moves) or not _advance(board, state, i, answer):
        return False
    if len(board.opening) and _is_stuck(board, state):
        _back_up(board, state)
    return True


@kernel
def undo(board: Board, state: GameState) -> None:
    """Take back the last move, and the backup it made necessary; nothing at the beginning."""
    board, state = borrow(board), borrow(state)
    i = state.totals[0].move - 1
    if i < 0:
        return
    b = state.totals[0].backups - 1
    if b < 0 or state.backup_move[b] != i:
        _rewind_to(state, i)
        return
    answers = state.backup_answers[b]
    state.forced[:] = state.backup_forced[b]
    first = 0
    while first < i and state.history[first].answer == answers[first]:
        first += 1
    _rewind_to(state, first)
    for j in range(first, i):
        _advance(board, state, j, answers[j])
    state.totals[0].backups = b


@inner
def _rewind_to(state: GameState, i: int) -> None:
    rewind(state, state.history[i].mark)
    state.totals[0].move = i


@inner
def _advance(board: Board, state: GameState, i: int, answer: int) -> bool:
    """Answer move i and let the steps pass that have no moves left; False, rewound, if it is illegal."""
    mark = state.totals[0].log
    if not attempt(board, state, i, answer):
        rewind(state, mark)
        return False
    state.history[i].answer, state.history[i].mark = answer, mark
    state.totals[0].move = i + 1
    t = board.moves[i].step
    if i + 1 == board.first[t + 1]:
        _pass_time(
            board, state, t, board.moves[i + 1].step if i + 1 < len(board.moves) else len(board.compute)
        )
    return True


@inner
def _is_stuck(board: Board, state: GameState) -> bool:
    """Whether the next move is a production that its group forces to a place that cannot be had."""
    i = state.totals[0].move
    if i >= len(board.moves) or not board.moves[i].produces:
        return False
    group = board.storages[board.moves[i].storage].group
    return bool(
        group >= 0
        and state.places[group] >= 0
        and not is_legal(board, state, i, np.int64(MoveAnswer.NO_COPY))
    )


@inner
def _back_up(board: Board, state: GameState) -> None:
    """Force the stuck group into host from its first move on and replay; each round forces one more group."""
    target, b = state.totals[0].move, state.totals[0].backups
    answers = state.backup_answers[b]
    state.backup_move[b] = target - 1
    for j in range(target):
        answers[j] = state.history[j].answer
    state.backup_forced[b] = state.forced
    while True:
        i = state.totals[0].move
        if _is_stuck(board, state):
            group = board.storages[board.moves[i].storage].group
            state.forced[group] = 1
            _rewind_to(state, board.opening[group])
        elif i == target:
            break
        elif not _advance(board, state, i, answers[i]):
            for answer in BACKUP_ORDER:
                if _advance(board, state, i, answer):
                    break
    state.totals[0].backups = b + 1


@inner
def _pass_time(board: Board, state: GameState, first: int, until: int) -> None:
    """Let steps `[first, until)` pass, all their moves being answered: copy capacity, stores of outputs."""
    for t in range(first, until):
        op = state.ops[t]
        busy = max(board.compute[t], op.slow + op.fast) + board.overhead
        set_reach(state, t + 1, state.reach[t] + busy - op.slow)
        for i in range(board.first[t], board.first[t + 1]):
            s = board.moves[i].storage
            if board.storages[s].output and board.storages[s].producer == t and state.standings[s].row >= 0:
                at = enqueue(state.queue, state.reach, 2 * t + 1, -1, board.storages[s].copy, s)
                note(state, Growth.QUEUE, at)
                set_standing(state, s, Standing.OPENED, 1)
                add_open_stores(state, +1)
        if state.totals[0].open_stores:
            _close_stores(board, state, t + 1)


@inner
def _close_stores(board: Board, state: GameState, now: int) -> None:
    """Give the open stores that are done by step `now` that due step; at the end all of them."""
    copies, ends = state.queue.copies, now == len(board.compute)
    reach, tail = state.reach[now], 0.0
    for j in range(state.queue.used[0]):
        copy = copies[j]
        if copy.due >= 0 or not (ends or copy.done <= reach + EPS):
            continue
        tail = max(tail, copy.done - reach)
        s, r = copy.storage, state.standings[copy.storage].row
        set_due(state, j, now)
        set_standing(state, s, Standing.HOST_FROM, now)
        set_standing(state, s, Standing.OPENED, 0)
        add_open_stores(state, -1)
        if board.moves[state.standings[s].seen].after < 0:
            set_standing(state, s, Standing.HELD, 0)
        if state.residencies[r].stop < now:
            set_stop(state, r, now)
    if ends and tail > 0.0:
        set_latency(state, state.totals[0].latency + tail)


@kernel
def play_random(board: Board, state: GameState, seed: int, games: int) -> int:
    """Play whole random games, the last one staying on the board; how many moves were made."""
    board, state = borrow(board), borrow(state)
    np.random.seed(seed)
    moves = 0
    legal = np.zeros(ANSWERS, np.bool_)
    for _ in range(games):
        reset(board, state)
        while not is_over(board, state):
            mask(board, state, legal)
            answer = np.random.randint(len(legal))
            while not legal[answer]:
                answer = np.random.randint(len(legal))
            play(board, state, answer)
            moves += 1
    return moves
