"""The board: what never changes in a game."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import NEVER, Floats, Ints, Records
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.malloc_game.state import FREE, GameState, Sizes, make_state


class MoveAnswer(IntEnum):
    """The three answers to a move."""

    NO_COPY = 0  # stay where it is, or be written to the scratchpad
    COPY = 1  # be loaded
    DROP = 2  # be served by host


ANSWERS = len(MoveAnswer)


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
        ("before", np.int64),  # the step of the storage's move before, or -1
        ("after", np.int64),  # the storage's next move, or -1
    ]
)


class Board(NamedTuple):
    """The moves: every touch of a storage that somebody may place, in program order, operands before results."""

    storages: Annotated[Records, STORAGE, "storages"]
    moves: Annotated[Records, MOVE, "moves"]
    first: Annotated[Ints, "steps + 1"]  # the moves of step t are first[t] … first[t + 1] − 1
    compute: Annotated[Floats, "steps"]  # s, without overhead
    opening: Annotated[Ints, "groups"]  # the move that decides for the group
    beginning: Annotated[Ints, "words"]  # `GameState.words` then
    capacity: int  # bytes
    overhead: float  # s, of each op
    all_host: float  # s, latency with everything in host


def make_board(arrays: LatencyArrays, all_host: float) -> Board:
    """The board of a problem; `all_host`: the latency with everything in host, in seconds."""
    moves, first = _moves(arrays)
    group, opening = _groups(arrays, moves)
    storages = np.zeros(len(arrays.size), STORAGE)
    storages["size"], storages["producer"], storages["output"] = arrays.size, arrays.producer, arrays.output
    storages["streamed"], storages["source"], storages["group"] = arrays.streamed, arrays.over, group
    storages["copy"], storages["pad"] = arrays.copy, arrays.pad
    return Board(
        storages=storages,
        moves=moves,
        first=first,
        compute=arrays.compute,
        opening=opening,
        beginning=_beginning(arrays, Sizes(len(storages), arrays.n, len(moves), len(opening))),
        capacity=arrays.capacity,
        overhead=arrays.overhead,
        all_host=all_host,
    )


def open_state(board: Board) -> GameState:
    """The beginning of a game."""
    state = make_state(Sizes(len(board.storages), len(board.compute), len(board.moves), len(board.opening)))
    state.words[:] = board.beginning
    return state


def _moves(arrays: LatencyArrays) -> tuple[Records, Ints]:
    """The moves, MOVE[moves], and the first of each step, int64[steps + 1]."""
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
    rows["after"][list(after)] = list(after.values())
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


def _beginning(arrays: LatencyArrays, sizes: Sizes) -> Ints:
    """The words of the beginning: everything in host but what is fixed."""
    state = make_state(sizes)
    standings, residencies = state.standings, state.residencies
    standings["row"] = standings["seen"] = -1
    standings["over"] = (arrays.fixed >= 0) & (arrays.over >= 0)
    standings["host_from"] = np.where(arrays.movable & (arrays.producer >= 0), NEVER, -1)
    state.places[:] = FREE
    fixed = np.flatnonzero(arrays.fixed >= 0)
    state.totals["residencies"] = len(fixed)
    for r, s in enumerate(fixed.tolist()):
        residencies[r] = s, *arrays.fixed_span[s], arrays.fixed[s]
    for t in range(arrays.n):
        slow, fast = arrays.base_host[t], 0.0
        for s in arrays.op_touch[arrays.op_row[t] : arrays.op_row[t + 1]]:
            if arrays.fixed[s] >= 0:
                fast += arrays.pad[s]
            else:
                slow += arrays.copy[s]
        busy = max(arrays.compute[t], slow + fast) + arrays.overhead
        state.ops[t] = slow, fast
        state.totals["latency"] += busy
        state.reach[t + 1] = state.reach[t] + busy - slow
    return state.words
