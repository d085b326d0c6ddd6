"""The rules: what each answer does to the state, and whether it may be given. Compiled.

Every function logs what it changes and returns whether the answer is legal; after False the caller
rewinds. Invariant: a storage with later uses is held at its last offset, or host has a valid copy of it.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import NEVER
from memplan_solvers.jit import inner
from memplan_solvers.latency.copy_queue import EPS, done_before, enqueue
from memplan_solvers.malloc_game.board import Board, MoveAnswer
from memplan_solvers.malloc_game.claim import claim, store_by
from memplan_solvers.malloc_game.state import FREE, HOST, GameState, Growth, Standing
from memplan_solvers.malloc_game.undo_log import (
    note,
    rewind,
    set_latency,
    set_op,
    set_place,
    set_standing,
    set_stop,
)


@inner
def is_legal(board: Board, state: GameState, i: int, answer: int) -> bool:
    """Whether move i may be answered so; the state is left as it was."""
    s, t = board.moves[i].storage, board.moves[i].step
    if board.moves[i].produces:
        if answer == MoveAnswer.COPY:
            return False
    elif answer == MoveAnswer.NO_COPY:
        return bool(state.standings[s].held)
    elif answer == MoveAnswer.DROP and state.standings[s].host_from <= t:
        return True
    elif answer == MoveAnswer.COPY and state.standings[s].host_from == NEVER:
        return False
    length = state.totals[0].log
    legal = attempt(board, state, i, answer)
    rewind(state, length)
    return bool(legal)


@inner
def attempt(board: Board, state: GameState, i: int, answer: int) -> bool:
    """Give `answer` to move i; False if it is illegal, with the changes made so far in the log."""
    s, t = board.moves[i].storage, board.moves[i].step
    set_standing(state, s, Standing.SEEN, i)
    if board.moves[i].produces:
        return bool(_produce(board, state, i, s, t, answer))
    if answer == MoveAnswer.COPY:
        return bool(_copy(board, state, i, s, t))
    if answer == MoveAnswer.NO_COPY:
        if not state.standings[s].held:
            return False
        set_stop(state, state.standings[s].row, t + 1)
        _touch_fast(board, state, i, s, t)
        return True
    if state.standings[s].host_from > t and not store_by(board, state, s, t):
        return False
    if state.standings[s].held:
        set_standing(state, s, Standing.HELD, 0)
    return True


@inner
def _touch_fast(board: Board, state: GameState, i: int, s: int, t: int) -> None:
    """Account for a touch in the scratchpad; keep the place if it is needed later."""
    slow, fast, compute = state.ops[t].slow, state.ops[t].fast, board.compute[t]
    slower, faster = slow - board.storages[s].copy, fast + board.storages[s].pad
    gain = max(compute, slow + fast) - max(compute, slower + faster)
    set_op(state, t, slower, faster)
    set_latency(state, state.totals[0].latency - gain)
    pending = board.storages[s].output and state.standings[s].host_from == NEVER
    needed = board.moves[i].after >= 0 and not board.storages[s].streamed
    set_standing(state, s, Standing.HELD, 1 if needed or pending else 0)


@inner
def _enter(state: GameState, s: int, start: int, stop: int, offset: int) -> None:
    """Begin a residency of s."""
    r = state.totals[0].residencies
    row = state.residencies[r]
    row.storage, row.start, row.stop, row.offset = s, start, stop, offset
    state.totals[0].residencies = r + 1
    note(state, Growth.RESIDENCY, r)
    set_standing(state, s, Standing.ROW, r)


@inner
def _produce(board: Board, state: GameState, i: int, s: int, t: int, answer: int) -> bool:
    """The production of s: NoCopy writes it to a free block, Drop to host; its group decides for it."""
    group, source = board.storages[s].group, board.storages[s].source
    place = FREE if group < 0 else state.places[group]
    if answer == MoveAnswer.DROP:
        if place >= 0:
            return False
        set_standing(state, s, Standing.HOST_FROM, t)
        if group >= 0 and place == FREE:
            set_place(state, group, HOST)
        return True
    if answer == MoveAnswer.COPY or place == HOST or (group >= 0 and state.forced[group]):
        return False
    if (
        place >= 0
        and source >= 0
        and state.standings[source].row >= 0
        and state.residencies[state.standings[source].row].stop == t + 1
    ):
        set_standing(state, s, Standing.OVER, 1)
    else:
        place = claim(board, state, s, t, place)
        if place < 0:
            return False
        if group >= 0 and state.places[group] == FREE:
            set_place(state, group, place)
    _enter(state, s, t, t + 1, place)
    _touch_fast(board, state, i, s, t)
    return True


@inner
def _copy(board: Board, state: GameState, i: int, s: int, t: int) -> bool:
    """Load s for its use at t: the latest issue step with the bandwidth, then the best block."""
    work, group = board.storages[s].copy, board.storages[s].group
    if state.standings[s].host_from == NEVER:
        return False
    earliest = max(board.moves[i].before, state.standings[s].host_from) + 1
    start = latest_issue(state, earliest, t, work)
    if start < 0:
        return False
    if state.standings[s].held:
        set_standing(state, s, Standing.HELD, 0)
    note(state, Growth.QUEUE, enqueue(state.queue, state.reach, 2 * start, t, work, s))
    wanted = state.places[group] if group >= 0 and state.places[group] >= 0 else FREE
    place = claim(board, state, s, start, wanted)
    if place < 0:
        return False
    _enter(state, s, start, t + 1, place)
    _touch_fast(board, state, i, s, t)
    return True


@inner
def latest_issue(state: GameState, earliest: int, due: int, work: float) -> int:
    """The latest step from which a load is done by `due` and makes nothing else late; -1 if there is none.

    Walks back over steps and queue together. `latest`: the largest F that the newcomer may have for those behind it.
    """
    copies, reach = state.queue.copies, state.reach
    at, latest, limit = state.queue.used[0], np.inf, reach[due] + EPS
    for start in range(due, earliest - 1, -1):
        while at > 0 and copies[at - 1].key > 2 * start:
            at -= 1
            if copies[at].due >= 0:
                latest = min(latest, reach[copies[at].due] + EPS)
            latest -= copies[at].seconds
        done = max(done_before(state.queue, at), reach[start]) + work
        if done <= min(latest, limit):
            return int(start)
        if latest < work:
            break
    return -1
