"""The game's state: few flat arrays over one block of integers and one of reals, with a log of old values.

`Board` is what never changes in a game, `State` what does. The fields of `State` are views of `ints` and
`reals`; they are written through `put`, `put_ints` and `put_real`, which log the old value, so that any move
can be undone. A copy of a game is a copy of its arrays. Few arrays because compiled calls pass each of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import NEVER
from memplan_solvers.jit import inlined, inner
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.malloc_game.queue import Array, Queue, dequeue

NO_COPY, COPY, DROP = 0, 1, 2
"""The three answers to a move."""

FREE, HOST = -1, -2
"""A group's place: not yet decided; host. Otherwise its offset."""

# Columns of Board.fact, per storage: aligned size; producer step or -1; whether it must be in host in the end; whether
# each use is loaded anew; the storage it may be written over in place, or -1; its group, or -1.
SIZE, PRODUCER, OUTPUT, STREAMED, SOURCE, GROUP = range(6)
# Columns of Board.cost, per storage, in seconds: a copy or an access in host; an access in the scratchpad.
COPY_S, PAD_S = range(2)
# Columns of Board.move: storage; step; whether the step writes it; the storage's previous step, or -1; its next
# move, or -1.
STORAGE, STEP, PRODUCES, BEFORE, AFTER = range(5)

# Columns of State.of, per storage: its last residency, or -1; 1 while its place is kept for a later use or an open
# store; the step from which ops may read the host copy (-1 always, NEVER); issue and due of its store, or -1; 1 while
# that store has no due step yet; its last answered move, or -1; 1 where it was written in place.
ROW, HELD, HOST_FROM, ISSUED, DUE_BY, OPENED, SEEN, OVER = range(8)
# Columns of State.rows, per residency.
WHO, START, STOP, OFFSET = range(4)
# Entries of State.counts: the next move; lines of the log; stores without a due step; residencies; backups.
MOVE, LOG, OPEN, ROWS, BACKUPS = range(5)
# Columns of State.time, per step, in seconds: host time of the op; its scratchpad time; copy capacity before it.
SLOW, FAST, REACH = range(3)
# Columns of State.history, per move: the answer; the length of the log before it.
ANSWER, MARK = range(2)


class Board(NamedTuple):
    """The moves: every touch of a storage that somebody may place, in program order, operands before results.

    Groups are chains of in-place pairs: their members share an offset, or are all produced in host.
    """

    fact: Array  # int64[m, 6]
    cost: Array  # float64[m, 2]
    move: Array  # int64[k, 5]
    first: Array  # int64[n + 1]: the moves of step t are first[t] … first[t + 1] − 1
    compute: Array  # float64[n], seconds without overhead
    opening: Array  # int64[groups], the move that decides for the group
    ints: Array  # `State.ints` at the beginning
    reals: Array
    capacity: int
    overhead: float
    all_host: float  # latency with everything in host


class State(NamedTuple):
    """Where a game stands."""

    ints: Array
    reals: Array
    counts: Array  # int64[5]
    of: Array  # int64[m, 8]
    rows: Array  # int64[r, 4], the first counts[ROWS] valid
    at: Array  # int64[groups]: FREE, HOST or an offset
    queue: Queue
    time: Array  # float64[n + 1, 3]; REACH is known up to the current step
    total: Array  # float64[1], latency with every undecided touch served from host
    # Beside the log:
    log: Array  # int64[l, 2]: place in ints, then in reals, or structural; the old integer
    log_real: Array  # float64[l], the old real
    near: Array  # int64[4, r], scratch: what is in a newcomer's way
    history: Array  # int64[k + 1, 2]
    forced: Array  # int64[groups], 1 where a backup forces the group into host
    saved: Array  # int64[groups + 1, 1 + k + groups], per backup: the move that made it necessary, answers, `forced`


ROW_ADDED, MOVE_QUEUED = -1, -2
"""Structural log entries: the last row was added; the queue grew at the place that the old integer names."""


def make_board(timed: LatencyArrays, all_host: float) -> Board:
    """The board of a problem at the beginning of a game; `all_host`: the latency with everything in host."""
    moves: list[list[int]] = []
    first: list[int] = []
    last: dict[int, int] = {}
    for t in range(timed.n):
        first.append(len(moves))
        for s in timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]].tolist():
            if timed.movable[s]:
                moves.append(
                    [s, t, int(timed.producer[s] == t), moves[last[s]][STEP] if s in last else -1, -1]
                )
                if s in last:
                    moves[last[s]][AFTER] = len(moves) - 1
                last[s] = len(moves) - 1
    move = np.array(moves, dtype=np.int64).reshape(-1, 5)
    group, opening = _groups(timed, move)
    facts = timed.size, timed.producer, timed.output, timed.streamed, timed.over, group
    board = Board(
        fact=np.stack(facts, axis=1).astype(np.int64),
        cost=np.stack([timed.copy, timed.pad], axis=1),
        move=move,
        first=np.array([*first, len(moves)], dtype=np.int64),
        compute=timed.compute,
        opening=opening,
        ints=np.zeros(0, np.int64),
        reals=np.zeros(0),
        capacity=timed.capacity,
        overhead=timed.overhead,
        all_host=all_host,
    )
    return _with_beginning(timed, board)


def _groups(timed: LatencyArrays, move: Array) -> tuple[Array, Array]:
    """Group by storage, and each group's opening move: the production of its first member."""
    group, opening = np.full(len(timed.size), -1, dtype=np.int64), list[int]()
    produced = {int(s): i for i, s in enumerate(move[:, STORAGE]) if move[i, PRODUCES]}
    for s in produced:  # in program order, so a source comes before what is written over it
        source = int(timed.over[s])
        if source >= 0:
            if group[source] < 0:
                group[source] = len(opening)
                opening.append(produced[source])
            group[s] = group[source]
    return group, np.array(opening, dtype=np.int64)


def _with_beginning(timed: LatencyArrays, board: Board) -> Board:
    """The board with the arrays of the beginning: everything in host but what is fixed."""
    m, n = len(timed.size), timed.n
    ints, reals = np.zeros(sum(_int_sizes(board)), np.int64), np.zeros(sum(_real_sizes(board)))
    state = _view(board, ints, reals)
    state.of[:, ROW] = state.of[:, ISSUED] = state.of[:, DUE_BY] = state.of[:, SEEN] = -1
    state.at[:] = FREE
    state.of[:, OVER] = (timed.fixed >= 0) & (timed.over >= 0)
    for s in range(m):
        state.of[s, HOST_FROM] = NEVER if timed.movable[s] and timed.producer[s] >= 0 else -1
        if timed.fixed[s] >= 0:
            state.rows[state.counts[ROWS]] = s, *timed.fixed_span[s], timed.fixed[s]
            state.counts[ROWS] += 1
    for t in range(n):
        state.time[t, SLOW] = timed.base_host[t]
        for s in timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]]:
            if timed.fixed[s] >= 0:
                state.time[t, FAST] += timed.pad[s]
            else:
                state.time[t, SLOW] += timed.copy[s]
        busy = max(timed.compute[t], state.time[t, SLOW] + state.time[t, FAST]) + timed.overhead
        state.total[0] += busy
        state.time[t + 1, REACH] = state.time[t, REACH] + busy - state.time[t, SLOW]
    return board._replace(ints=ints, reals=reals)


def make_state(board: Board) -> State:
    """The beginning of a game."""
    return _view(board, board.ints.copy(), board.reals.copy())


def copy_state(board: Board, state: State) -> State:
    """A copy that shares nothing with the original."""
    twin = _view(board, state.ints.copy(), state.reals.copy())
    for name in ("log", "log_real", "history", "forced", "saved"):
        getattr(twin, name)[:] = getattr(state, name)
    return twin


def _int_sizes(board: Board) -> tuple[int, ...]:
    """Lengths of counts, of, rows, at, the queue's jobs and its count."""
    m, k = len(board.fact), len(board.move)
    room = k + m + 1
    return 5, 8 * m, 4 * room, len(board.opening), 3 * room, 1


def _real_sizes(board: Board) -> tuple[int, ...]:
    """Lengths of time, total and the queue's times."""
    return 3 * len(board.first), 1, 2 * (len(board.move) + len(board.fact) + 1)


def _view(board: Board, ints: Array, reals: Array) -> State:
    """The state whose values are `ints` and `reals`."""
    m, n, k, groups = len(board.fact), len(board.compute), len(board.move), len(board.opening)
    counts, of, rows, at, jobs, count = np.split(ints, np.cumsum(_int_sizes(board))[:-1])
    time, total, times = np.split(reals, np.cumsum(_real_sizes(board))[:-1])
    depth = 24 * (m + n + k) + 256
    return State(
        ints,
        reals,
        counts,
        of.reshape(-1, 8),
        rows.reshape(-1, 4),
        at,
        Queue(jobs.reshape(-1, 3), times.reshape(-1, 2), count),
        time.reshape(-1, 3),
        total,
        np.zeros((depth, 2), np.int64),
        np.zeros(depth),
        np.zeros((4, k + m + 1), np.int64),
        np.zeros((k + 1, 2), np.int64),
        np.zeros(groups, np.int64),
        np.zeros((groups + 1, 1 + k + groups), np.int64),
    )


@inlined
def put(ints: Array, counts: Array, log: Array, place: int, value: int) -> None:
    """Set an integer."""
    k = counts[LOG]
    log[k, 0], log[k, 1] = place, ints[place]
    counts[LOG] = k + 1
    ints[place] = value


@inlined
def put_of(state: State, s: int, column: int, value: int) -> None:
    """Set a column of `State.of`."""
    put(state.ints, state.counts, state.log, 5 + 8 * s + column, value)


@inlined
def put_stop(state: State, r: int, stop: int) -> None:
    """Set where residency r stops."""
    put(state.ints, state.counts, state.log, 5 + 8 * len(state.of) + 4 * r + STOP, stop)


@inlined
def put_at(state: State, group: int, place: int) -> None:
    """Set a group's place."""
    put(state.ints, state.counts, state.log, 5 + 8 * len(state.of) + 4 * len(state.rows) + group, place)


@inlined
def put_due(state: State, j: int, due: int) -> None:
    """Set the due step of the queue's move j."""
    base = 5 + 8 * len(state.of) + 4 * len(state.rows) + len(state.at)
    put(state.ints, state.counts, state.log, base + 3 * j + 1, due)


@inlined
def put_time(state: State, t: int, column: int, value: float) -> None:
    """Set a column of `State.time`; for t = n + 1, `State.total`."""
    k, place = state.counts[LOG], 3 * t + column
    state.log[k, 0], state.log_real[k] = len(state.ints) + place, state.reals[place]
    state.counts[LOG] = k + 1
    state.reals[place] = value


@inlined
def note(state: State, structural: int, at: int) -> None:
    """Log that a row was added, or that the queue grew at a place."""
    k = state.counts[LOG]
    state.log[k, 0], state.log[k, 1] = structural, at
    state.counts[LOG] = k + 1


@inner
def rewind(state: State, length: int) -> None:
    """Undo the log down to `length` lines."""
    ints, log = len(state.ints), state.log
    for k in range(state.counts[LOG] - 1, length - 1, -1):
        place = log[k, 0]
        if place >= ints:
            state.reals[place - ints] = state.log_real[k]
        elif place >= 0:
            state.ints[place] = log[k, 1]
        elif place == ROW_ADDED:
            state.counts[ROWS] -= 1
        else:
            dequeue(state.queue, state.time[:, REACH], log[k, 1])
    state.counts[LOG] = length
