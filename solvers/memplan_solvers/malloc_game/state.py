"""The game's state: records over one block of words, with a log of old words, so that any move can be undone.

`Board` is what never changes in a game, `State` what does. The parts of `State` are views of `words`; what a move
changes is written through the `set_…` functions, which log the old word. A copy of a game is a copy of its arrays.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from memplan_solvers.latency.arrays import NEVER, RESIDENCY, Floats, Ints, LatencyArrays, Records
from memplan_solvers.latency.copy_queue import COPY, CopyQueue
from memplan_solvers.latency.holes import SPAN


class Answer(IntEnum):
    """The three answers to a move."""

    NO_COPY = 0
    COPY = 1
    DROP = 2


FREE, HOST = -1, -2
"""A group's place: not yet decided; host. Otherwise its offset."""

STORAGE = np.dtype(
    [
        ("size", np.int64),  # aligned bytes
        ("producer", np.int64),  # step, -1 for inputs and constants
        ("output", np.int64),  # 1 where it must be in host in the end
        ("streamed", np.int64),  # 1 where each use is loaded anew
        ("source", np.int64),  # the storage that it may be written over in place, or -1
        ("group", np.int64),  # -1 where it has none
        ("copy", np.float64),  # s, a copy or an access in host
        ("pad", np.float64),  # s, an access in the scratchpad
    ]
)

MOVE = np.dtype(
    [
        ("storage", np.int64),
        ("step", np.int64),
        ("produces", np.int64),  # 1 where the step writes it
        ("before", np.int64),  # the storage's previous step, or -1
        ("after", np.int64),  # the storage's next move, or -1
    ]
)

COUNTS = np.dtype(
    [
        ("move", np.int64),  # the next one
        ("log", np.int64),  # lines of the log
        ("open_stores", np.int64),  # stores without a due step
        ("residencies", np.int64),
        ("backups", np.int64),
    ]
)

class Standing(IntEnum):
    """The words of a storage's standing: the fields of `STANDING`, by which the log names them."""

    ROW = 0  # its last residency, or -1
    HELD = 1  # 1 while its place is kept for a later use or an open store
    HOST_FROM = 2  # the step from which ops may read the host copy: -1 always, or NEVER
    OPENED = 3  # 1 while its store has no due step yet
    SEEN = 4  # its last answered move, or -1
    OVER = 5  # 1 where it was written in place


STANDING = np.dtype([(word.name.lower(), np.int64) for word in Standing])

NEIGHBOUR = np.dtype(
    [
        ("low", np.int64),  # bytes, where it lies
        ("high", np.int64),
        ("holder", np.int64),  # the storage, if it only holds the place, or -1
        ("yields", np.int64),  # 1 once it gives way
    ]
)

ANSWERED = np.dtype(
    [
        ("answer", np.int64),
        ("mark", np.int64),  # lines of the log before it
    ]
)

LINE = np.dtype(
    [
        ("place", np.int64),  # of a word, or a `Growth`
        ("old", np.int64),  # the word before; where the queue has grown
    ]
)


class Growth(IntEnum):
    """What a line of the log is about that is about no word."""

    RESIDENCY = -1  # the last one was added
    QUEUE = -2  # a copy was entered at the place that `old` names


class Board(NamedTuple):
    """The moves: every touch of a storage that somebody may place, in program order, operands before results.

    Here k counts moves, and g groups: chains of in-place pairs, whose members share an offset, or are all produced in
    host.
    """

    storages: Records  # STORAGE[m]
    moves: Records  # MOVE[k]
    first: Ints  # [n + 1], the moves of step t are first[t] … first[t + 1] − 1
    compute: Floats  # [n], s, without overhead
    opening: Ints  # [g], the move that decides for the group
    words: Ints  # `State.words` at the beginning
    capacity: int  # bytes
    overhead: float  # s, of each op
    all_host: float  # s, latency with everything in host


class Bases(NamedTuple):
    """The first word of each part of `State.words`."""

    counts: int
    standings: int
    residencies: int
    places: int
    copies: int
    queued: int
    slow: int
    fast: int
    reach: int
    latency: int
    end: int


class Backups(NamedTuple):
    """What each backup replaced."""

    move: Ints  # [g + 1], the move that made it necessary
    answers: Ints  # [g + 1, k]
    forced: Ints  # [g + 1, g], `State.forced`


class State(NamedTuple):
    """Where a game stands. The first ten are views of `words`."""

    counts: Records  # COUNTS[1]
    standings: Records  # STANDING[m]
    residencies: Records  # RESIDENCY[r], the first counts[0].residencies of them valid
    places: Ints  # [g]: FREE, HOST or an offset
    queue: CopyQueue
    slow: Floats  # [n + 1], s, host time of each op
    fast: Floats  # [n + 1], s, its scratchpad time
    reach: Floats  # [n + 1], s, copy capacity before it, known up to the current step
    latency: Floats  # [1], s, with every undecided touch served from host
    words: Ints
    reals: Floats  # the same block
    base: Bases
    # Beside the log:
    log: Records  # LINE[l]
    history: Records  # ANSWERED[k + 1]
    forced: Ints  # [g], 1 where a backup forces the group into host
    backups: Backups
    near: Records  # NEIGHBOUR[r], scratch: what is in a newcomer's way
    spans: Records  # SPAN[r], scratch: what of it does not give way


def make_board(arrays: LatencyArrays, all_host: float) -> Board:
    """The board of a problem at the beginning of a game; `all_host`: the latency with everything in host."""
    moves, first = _moves(arrays)
    storages = np.zeros(len(arrays.size), STORAGE)
    storages["size"], storages["producer"], storages["output"] = arrays.size, arrays.producer, arrays.output
    storages["streamed"], storages["source"] = arrays.streamed, arrays.over
    storages["copy"], storages["pad"] = arrays.copy, arrays.pad
    storages["group"], opening = _groups(arrays, moves)
    board = Board(
        storages=storages,
        moves=moves,
        first=first,
        compute=arrays.compute,
        opening=opening,
        words=np.zeros(0, np.int64),
        capacity=arrays.capacity,
        overhead=arrays.overhead,
        all_host=all_host,
    )
    return board._replace(words=_beginning(arrays, board))


def _moves(arrays: LatencyArrays) -> tuple[Records, Ints]:
    """The moves, MOVE[k], and the first of each step, int64[n + 1]."""
    moves: list[tuple[int, int, int, int, int]] = []
    first: list[int] = []
    last: dict[int, int] = {}
    after: dict[int, int] = {}
    for t in range(arrays.n):
        first.append(len(moves))
        for s in arrays.op_touch[arrays.op_row[t] : arrays.op_row[t + 1]].tolist():
            if arrays.movable[s]:
                before = -1
                if s in last:
                    before, after[last[s]] = moves[last[s]][1], len(moves)
                last[s] = len(moves)
                moves.append((s, t, int(arrays.producer[s] == t), before, -1))
    rows = np.array(moves, MOVE)
    for move, following in after.items():
        rows[move]["after"] = following
    return rows, np.array([*first, len(moves)], dtype=np.int64)


def _groups(arrays: LatencyArrays, moves: Records) -> tuple[Ints, Ints]:
    """Group by storage, and each group's opening move: the production of its first member."""
    group, opening = np.full(len(arrays.size), -1, dtype=np.int64), list[int]()
    produced = {int(s): i for i, s in enumerate(moves["storage"]) if moves["produces"][i]}
    for s in produced:  # in program order, so a source comes before what is written over it
        source = int(arrays.over[s])
        if source >= 0:
            if group[source] < 0:
                group[source] = len(opening)
                opening.append(produced[source])
            group[s] = group[source]
    return group, np.array(opening, dtype=np.int64)


def _beginning(arrays: LatencyArrays, board: Board) -> Ints:
    """The words of the beginning: everything in host but what is fixed."""
    state = _view(board, np.zeros(_bases(board).end, np.int64))
    standings = state.standings
    standings["row"] = standings["seen"] = -1
    state.places[:] = FREE
    standings["over"] = (arrays.fixed >= 0) & (arrays.over >= 0)
    standings["host_from"] = np.where(arrays.movable & (arrays.producer >= 0), NEVER, -1)
    for s in np.flatnonzero(arrays.fixed >= 0).tolist():
        state.residencies[state.counts[0]["residencies"]] = s, *arrays.fixed_span[s], arrays.fixed[s]
        state.counts[0]["residencies"] += 1
    for t in range(arrays.n):
        state.slow[t] = arrays.base_host[t]
        for s in arrays.op_touch[arrays.op_row[t] : arrays.op_row[t + 1]]:
            if arrays.fixed[s] >= 0:
                state.fast[t] += arrays.pad[s]
            else:
                state.slow[t] += arrays.copy[s]
        busy = max(arrays.compute[t], state.slow[t] + state.fast[t]) + arrays.overhead
        state.latency[0] += busy
        state.reach[t + 1] = state.reach[t] + busy - state.slow[t]
    return state.words


def make_state(board: Board) -> State:
    """The beginning of a game."""
    return _view(board, board.words.copy())


def copy_state(board: Board, state: State) -> State:
    """A copy that shares nothing with the original."""
    twin = _view(board, state.words.copy())
    for old, new in (
        (state.log, twin.log),
        (state.history, twin.history),
        (state.forced, twin.forced),
        *zip(state.backups, twin.backups, strict=True),
    ):
        new[:] = old
    return twin


def _bases(board: Board) -> Bases:
    """Where the parts of `words` begin."""
    m, steps, most = len(board.storages), len(board.first), _most(board)
    sizes = (
        words_of(COUNTS),
        words_of(STANDING) * m,
        words_of(RESIDENCY) * most,
        len(board.opening),
        words_of(COPY) * most,
        1,
        steps,
        steps,
        steps,
        1,
    )
    return Bases(0, *np.cumsum(sizes).tolist())


def _most(board: Board) -> int:
    """Residencies at most, and copies."""
    return len(board.moves) + len(board.storages) + 1


def words_of(record: np.dtype[np.void]) -> int:
    """How many words a record has."""
    return record.itemsize // 8


def _view(board: Board, words: Ints) -> State:
    """The state whose values are `words`."""
    m, n, k, groups = len(board.storages), len(board.compute), len(board.moves), len(board.opening)
    base, reals, most = _bases(board), words.view(np.float64), _most(board)
    return State(
        counts=words[: base.standings].view(COUNTS),
        standings=words[base.standings : base.residencies].view(STANDING),
        residencies=words[base.residencies : base.places].view(RESIDENCY),
        places=words[base.places : base.copies],
        queue=CopyQueue(words[base.copies : base.queued].view(COPY), words[base.queued : base.slow]),
        slow=reals[base.slow : base.fast],
        fast=reals[base.fast : base.reach],
        reach=reals[base.reach : base.latency],
        latency=reals[base.latency : base.end],
        words=words,
        reals=reals,
        base=base,
        log=np.zeros(24 * (m + n + k) + 256, LINE),
        history=np.zeros(k + 1, ANSWERED),
        forced=np.zeros(groups, np.int64),
        backups=Backups(
            np.zeros(groups + 1, np.int64),
            np.zeros((groups + 1, k), np.int64),
            np.zeros((groups + 1, groups), np.int64),
        ),
        near=np.zeros(most, NEIGHBOUR),
        spans=np.zeros(most, SPAN),
    )
