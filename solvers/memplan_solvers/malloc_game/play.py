"""Playing: reset, mask, play, undo, and the Drop-backup that lets every game end. Compiled.

`play` gives an answer and lets time pass until the next move; `undo` takes the last one back.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.queue import DUE, EPS, FINISH, KEY, OWNER, Array, enqueue
from memplan_solvers.malloc_game.rules import attempt, is_legal
from memplan_solvers.malloc_game.state import (
    AFTER,
    ANSWER,
    BACKUPS,
    COPY,
    COPY_S,
    DROP,
    DUE_BY,
    FAST,
    GROUP,
    HELD,
    HOST_FROM,
    ISSUED,
    LOG,
    MARK,
    MOVE,
    MOVE_QUEUED,
    NO_COPY,
    OPEN,
    OPENED,
    OUTPUT,
    PRODUCER,
    PRODUCES,
    REACH,
    ROW,
    SEEN,
    SLOW,
    STEP,
    STOP,
    STORAGE,
    Board,
    State,
    note,
    put,
    put_due,
    put_of,
    put_stop,
    put_time,
    rewind,
)  # fmt: skip


@kernel
def reset(board: Board, state: State) -> None:
    """Set the state to the beginning of a game: everything in host but what is fixed."""
    state.ints[:] = board.ints
    state.reals[:] = board.reals
    state.forced[:] = 0


@kernel
def is_over(board: Board, state: State) -> bool:
    """Whether every move has been answered."""
    return bool(state.counts[MOVE] == len(board.move))


@kernel
def mask(board: Board, state: State, legal: Array) -> None:
    """Fill `legal`, bool[3], for the next move; all False once the game is over."""
    board, state, legal = borrow(board), borrow(state), borrow(legal)
    i = state.counts[MOVE]
    for answer in range(3):
        legal[answer] = i < len(board.move) and is_legal(board, state, i, answer)


@kernel
def play(board: Board, state: State, answer: int) -> bool:
    """Give the next move its answer; False, and nothing changed, if it is illegal.

    The change of `state.total[0]` over `board.all_host` is minus the reward.
    """
    board, state = borrow(board), borrow(state)
    i = state.counts[MOVE]
    if i >= len(board.move) or not _advance(board, state, i, answer):
        return False
    if len(board.opening) and _is_stuck(board, state):
        _back_up(board, state)
    return True


@kernel
def undo(board: Board, state: State) -> None:
    """Take back the last move, and the backup it made necessary; nothing at the beginning."""
    board, state = borrow(board), borrow(state)
    i = state.counts[MOVE] - 1
    if i < 0:
        return
    b = state.counts[BACKUPS] - 1
    if b < 0 or state.saved[b, 0] != i:
        _rewind_to(state, i)
        return
    answers = state.saved[b, 1 : 1 + len(board.move)]
    state.forced[:] = state.saved[b, 1 + len(board.move) :]
    first = 0
    while first < i and state.history[first, ANSWER] == answers[first]:
        first += 1
    _rewind_to(state, first)
    for j in range(first, i):
        _advance(board, state, j, answers[j])
    state.counts[BACKUPS] = b


@inner
def _rewind_to(state: State, i: int) -> None:
    rewind(state, state.history[i, MARK])
    state.counts[MOVE] = i


@inner
def _advance(board: Board, state: State, i: int, answer: int) -> bool:
    """Answer move i and let the steps pass that have no moves left; False, rewound, if it is illegal."""
    mark = state.counts[LOG]
    if not attempt(board, state, i, answer):
        rewind(state, mark)
        return False
    state.history[i, ANSWER], state.history[i, MARK] = answer, mark
    state.counts[MOVE] = i + 1
    t = board.move[i, STEP]
    if i + 1 == board.first[t + 1]:
        _pass_time(
            board, state, t, board.move[i + 1, STEP] if i + 1 < len(board.move) else len(board.compute)
        )
    return True


@inner
def _is_stuck(board: Board, state: State) -> bool:
    """Whether the next move is a production that its group forces to a place that cannot be had."""
    i = state.counts[MOVE]
    if i >= len(board.move) or not board.move[i, PRODUCES]:
        return False
    group = board.fact[board.move[i, STORAGE], GROUP]
    return bool(group >= 0 and state.at[group] >= 0 and not is_legal(board, state, i, np.int64(NO_COPY)))


@inner
def _back_up(board: Board, state: State) -> None:
    """Force the stuck group into host from its first move on and replay; each round forces one more group."""
    target, b = state.counts[MOVE], state.counts[BACKUPS]
    state.saved[b, 0] = target - 1
    state.saved[b, 1 : 1 + target] = state.history[:target, ANSWER]
    state.saved[b, 1 + len(board.move) :] = state.forced
    while True:
        i = state.counts[MOVE]
        if _is_stuck(board, state):
            group = board.fact[board.move[i, STORAGE], GROUP]
            state.forced[group] = 1
            _rewind_to(state, board.opening[group])
        elif i == target:
            break
        elif not _advance(board, state, i, state.saved[b, 1 + i]):
            for answer in (DROP, NO_COPY, COPY):
                if _advance(board, state, i, answer):
                    break
    state.counts[BACKUPS] = b + 1


@inner
def _pass_time(board: Board, state: State, first: int, until: int) -> None:
    """Let steps `[first, until)` pass, all their moves being answered: copy capacity, stores of outputs."""
    time = state.time
    for t in range(first, until):
        busy = max(board.compute[t], time[t, SLOW] + time[t, FAST]) + board.overhead
        put_time(state, t + 1, REACH, time[t, REACH] + busy - time[t, SLOW])
        for i in range(board.first[t], board.first[t + 1]):
            s = board.move[i, STORAGE]
            if board.fact[s, OUTPUT] and board.fact[s, PRODUCER] == t and state.of[s, ROW] >= 0:
                at = enqueue(state.queue, time[:, REACH], 2 * t + 1, -1, board.cost[s, COPY_S], s)
                note(state, MOVE_QUEUED, at)
                put_of(state, s, OPENED, 1)
                put(state.ints, state.counts, state.log, OPEN, state.counts[OPEN] + 1)
        if state.counts[OPEN]:
            _close_stores(board, state, t + 1)


@inner
def _close_stores(board: Board, state: State, now: int) -> None:
    """Give the open stores that are done by step `now` that due step; at the end all of them."""
    jobs, times, ends = state.queue.jobs, state.queue.times, now == len(board.compute)
    reach, tail = state.time[now, REACH], 0.0
    for j in range(state.queue.count[0]):
        if jobs[j, DUE] >= 0 or not (ends or times[j, FINISH] <= reach + EPS):
            continue
        tail = max(tail, times[j, FINISH] - reach)
        s, r = jobs[j, OWNER], state.of[jobs[j, OWNER], ROW]
        put_due(state, j, now)
        put_of(state, s, ISSUED, (jobs[j, KEY] - 1) >> 1)
        put_of(state, s, DUE_BY, now)
        put_of(state, s, HOST_FROM, now)
        put_of(state, s, OPENED, 0)
        put(state.ints, state.counts, state.log, OPEN, state.counts[OPEN] - 1)
        if board.move[state.of[s, SEEN], AFTER] < 0:
            put_of(state, s, HELD, 0)
        if state.rows[r, STOP] < now:
            put_stop(state, r, now)
    if ends and tail > 0.0:
        put_time(state, len(state.time), 0, state.total[0] + tail)


@kernel
def play_random(board: Board, state: State, seed: int, games: int) -> int:
    """Play whole random games, the last one staying on the board; how many moves were made."""
    board, state = borrow(board), borrow(state)
    np.random.seed(seed)
    moves = 0
    legal = np.zeros(3, np.bool_)
    for _ in range(games):
        reset(board, state)
        while not is_over(board, state):
            mask(board, state, legal)
            answer = np.random.randint(3)
            while not legal[answer]:
                answer = np.random.randint(3)
            play(board, state, answer)
            moves += 1
    return moves
