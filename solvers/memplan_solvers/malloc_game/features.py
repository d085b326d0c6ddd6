"""What a player sees: the next moves, the scratchpad around this step, the bandwidth left, progress. Compiled."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats32, Records
from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.latency.copy_queue import done_before
from memplan_solvers.malloc_game.board import Board
from memplan_solvers.malloc_game.state import GameState

AHEAD, STEPS, BINS = 8, 16, 32
"""Moves seen after the current one; steps and offset bins of the occupancy image."""

MANY = 16
"""Moves of a storage after which they are not counted any more."""

MOVE_FEATURES = np.dtype(
    [  # distances and times as log(1 + x), times in mean op times
        ("there", np.float32),  # 1, 0 beyond the last move
        ("produces", np.float32),  # 1 where the step writes the storage
        ("size", np.float32),  # share of the scratchpad
        ("copy", np.float32),  # its copy time
        ("pad", np.float32),  # its access time in the scratchpad
        ("compute", np.float32),  # of the op
        ("slow", np.float32),  # its host time as it stands
        ("fast", np.float32),  # its scratchpad time as it stands
        ("gain", np.float32),  # what the op gains by this storage in the scratchpad, in mean op times
        ("held", np.float32),  # 1 where its place is kept
        ("in_host", np.float32),  # 1 where host has a copy by then
        ("output", np.float32),  # 1 where it must be in host in the end
        ("streamed", np.float32),  # 1 where each use is loaded anew
        (
            "group",
            np.float32,
        ),  # 0 without a group, ½ where it is in host or undecided, 1 where it has an offset
        ("left", np.float32),  # its moves after this one
        ("until_next", np.float32),  # steps until the next one, 0 after the last
        ("since_last", np.float32),  # steps since the one before, 0 at the first
        ("load", np.float32),  # copy time over the copy capacity since then, at most 4; plain
        ("ahead", np.float32),  # steps from now
        ("opened", np.float32),  # 1 while its store has no due step
    ]
)
FEATURES = len(MOVE_FEATURES.names or ())
"""Numbers of a move."""

SUMMARY = np.dtype(
    [
        ("progress", np.float32),  # share of the moves answered
        ("score", np.float32),  # the sum of the rewards
        ("taken", np.float32),  # share of the scratchpad taken now
        ("backlog", np.float32),  # of the queue, in mean op times
    ]
)


class Observation(NamedTuple):
    """What `observe` fills. Mean op times are those with everything in host.

    occupancy[u, x]: how full bin x of the scratchpad is at step now − STEPS/2 + u, a place that is only held counting
    half. bandwidth[u]: copy time that a load due now could have if issued STEPS − 1 − u steps ago, in mean op times.
    """

    moves: Annotated[Records, MOVE_FEATURES, "seen"]  # AHEAD + 1: this move and those after it
    occupancy: Annotated[Floats32, "image, bins"]  # STEPS, BINS
    bandwidth: Annotated[Floats32, "image"]  # STEPS
    summary: Annotated[Records, SUMMARY, "1"]


def make_observation() -> Observation:
    """An observation to be filled by `observe`."""
    return Observation(
        moves=np.zeros(AHEAD + 1, MOVE_FEATURES),
        occupancy=np.zeros((STEPS, BINS), np.float32),
        bandwidth=np.zeros(STEPS, np.float32),
        summary=np.zeros(1, SUMMARY),
    )


def numbers(seen: Observation) -> dict[str, Floats32]:
    """The parts of an observation by name, without the names in them: views of what `seen` holds."""
    return {
        "moves": seen.moves.view(np.float32).reshape(-1, FEATURES),
        "occupancy": seen.occupancy,
        "bandwidth": seen.bandwidth,
        "summary": seen.summary.view(np.float32),
    }


@kernel
def observe(board: Board, state: GameState, seen: Observation) -> None:
    """Fill `seen` for the next move; zeros once the game is over, but for the summary."""
    board, state, seen = borrow(board), borrow(state), borrow(seen)
    seen.moves.view(np.float32)[:] = 0.0
    seen.occupancy[:] = 0.0
    seen.bandwidth[:] = 0.0
    i, n, k = state.totals[0].move, len(board.compute), len(board.moves)
    unit = max(board.all_host / max(n, 1), 1e-30)
    now = board.moves[i].step if i < k else n
    summary = seen.summary[0]
    summary.progress = i / max(k, 1)
    summary.score = 1.0 - state.totals[0].latency / max(board.all_host, 1e-30)
    if i < k:
        for j in range(min(AHEAD + 1, k - i)):
            _describe(board, state, seen, j, now, unit)
        summary.taken = _fill_occupancy(board, state, now, seen.occupancy)
        summary.backlog = _fill_bandwidth(state, now, unit, seen.bandwidth)


@inner
def _describe(board: Board, state: GameState, seen: Observation, j: int, now: int, unit: float) -> None:
    """Fill `seen.moves[j]`."""
    move, out = board.moves[state.totals[0].move + j], seen.moves[j]
    s, t, before, after = move.storage, move.step, move.before, move.after
    storage, standing = board.storages[s], state.standings[s]
    slow, fast, compute = state.ops[t].slow, state.ops[t].fast, board.compute[t]
    window = state.reach[t] - state.reach[max(before, 0)]
    left, i = 0, after
    while i >= 0 and left < MANY:
        left += 1
        i = board.moves[i].after
    out.there = 1.0
    out.produces = move.produces
    out.size = storage.size / board.capacity
    out.copy = math.log1p(storage.copy / unit)
    out.pad = math.log1p(storage.pad / unit)
    out.compute = math.log1p(compute / unit)
    out.slow = math.log1p(max(slow, 0.0) / unit)
    out.fast = math.log1p(fast / unit)
    out.gain = (max(compute, slow + fast) - max(compute, slow + fast - storage.copy + storage.pad)) / unit
    out.held = standing.held
    out.in_host = 1.0 if standing.host_from <= t else 0.0
    out.output = storage.output
    out.streamed = storage.streamed
    out.group = 0.0 if storage.group < 0 else (1.0 if state.places[storage.group] >= 0 else 0.5)
    out.left = math.log1p(left)
    out.until_next = math.log1p(board.moves[after].step - t) if after >= 0 else 0.0
    out.since_last = math.log1p(t - before) if before >= 0 else 0.0
    out.load = min(4.0, storage.copy / window) if window > 0.0 else 4.0
    out.ahead = math.log1p(t - now)
    out.opened = standing.opened


@inner
def _fill_occupancy(board: Board, state: GameState, now: int, image: Floats32) -> float:
    """Draw the scratchpad around step `now`; the share of it that is taken then. image: `Observation.occupancy`."""
    first, width, taken = now - STEPS // 2, board.capacity / BINS, 0.0
    for r in range(state.totals[0].residencies):
        row = state.residencies[r]
        q, start, stop = row.storage, row.start, row.stop
        until = stop  # where the place stops being held
        if state.standings[q].held and state.standings[q].row == r:
            after = board.moves[state.standings[q].seen].after
            until = max(stop, board.moves[after].step + 1 if after >= 0 else now + 1)
        if until <= first or start >= first + STEPS:
            continue
        low, high = row.offset / width, (row.offset + board.storages[q].size) / width
        if until > now >= start:
            taken += (high - low) / BINS
        for u in range(max(0, start - first), min(STEPS, until - first)):
            weight = 1.0 if first + u < stop else 0.5
            for x in range(int(low), min(BINS, int(math.ceil(high)))):
                image[u, x] += weight * (min(high, x + 1.0) - max(low, float(x)))
    return taken


@inner
def _fill_bandwidth(state: GameState, now: int, unit: float, out: Floats32) -> float:
    """Copy time a load due now could have, by issue step; the queue's backlog beyond now. out: `Observation.bandwidth`."""
    copies, reach, at = state.queue.copies, state.reach, state.queue.used[0]
    backlog = max(0.0, done_before(state.queue, at) - reach[now])
    behind = 0.0
    for u in range(STEPS - 1, -1, -1):
        start = now - (STEPS - 1 - u)
        if start < 0:
            break
        while at > 0 and copies[at - 1].key > 2 * start:
            at -= 1
            behind += copies[at].seconds
        begin = max(done_before(state.queue, at), reach[start])
        out[u] = max(0.0, reach[now] - begin - behind) / unit
    return float(backlog / unit)
