"""What a player sees: the next moves, the scratchpad around this step, the bandwidth left, progress. Compiled."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.queue import FINISH, KEY, WORK, Array
from memplan_solvers.malloc_game.state import (
    AFTER,
    BEFORE,
    COPY_S,
    FAST,
    GROUP,
    HELD,
    HOST_FROM,
    MOVE,
    OFFSET,
    OPENED,
    OUTPUT,
    PAD_S,
    PRODUCES,
    REACH,
    ROW,
    ROWS,
    SEEN,
    SIZE,
    SLOW,
    START,
    STEP,
    STOP,
    STORAGE,
    STREAMED,
    WHO,
    Board,
    State,
)  # fmt: skip

AHEAD, FEATURES, STEPS, BINS = 8, 20, 16, 32
"""Moves seen after the current one; numbers for each; steps and offset bins of the occupancy image."""


class Observation(NamedTuple):
    """moves[j] describes the j-th next move (see `_describe`), all 0 beyond the last.

    occupancy[u, x]: how full bin x of the scratchpad is at step now − STEPS/2 + u, a place that is only held
    counting half. bandwidth[u]: copy time that a load due now could have if issued STEPS − 1 − u steps ago.
    summary: progress, score so far, share of the scratchpad taken now, backlog of the queue. Times are in
    mean op times with everything in host.
    """

    moves: Array  # float32[AHEAD + 1, FEATURES]
    occupancy: Array  # float32[STEPS, BINS]
    bandwidth: Array  # float32[STEPS]
    summary: Array  # float32[4]


def make_observation() -> Observation:
    """An observation to be filled by `observe`."""
    shapes: tuple[tuple[int, ...], ...] = (AHEAD + 1, FEATURES), (STEPS, BINS), (STEPS,), (4,)
    return Observation(*(np.zeros(shape, np.float32) for shape in shapes))


@kernel
def observe(board: Board, state: State, seen: Observation) -> None:
    """Fill `seen` for the next move; zeros once the game is over, but for the summary."""
    board, state, seen = borrow(board), borrow(state), borrow(seen)
    seen.moves[:] = 0.0
    seen.occupancy[:] = 0.0
    seen.bandwidth[:] = 0.0
    i, n, k = state.counts[MOVE], len(board.compute), len(board.move)
    unit = max(board.all_host / max(n, 1), 1e-30)
    now = board.move[i, STEP] if i < k else n
    seen.summary[0] = i / max(k, 1)
    seen.summary[1] = 1.0 - state.total[0] / max(board.all_host, 1e-30)
    if i < k:
        for j in range(min(AHEAD + 1, k - i)):
            _describe(board, state, i + j, now, unit, seen.moves[j])
        seen.summary[2] = _fill_occupancy(board, state, now, seen.occupancy)
        seen.summary[3] = _fill_bandwidth(state, now, unit, seen.bandwidth)


@inner
def _describe(board: Board, state: State, i: int, now: int, unit: float, out: Array) -> None:
    """The numbers of one move; distances and times as log(1 + x)."""
    s, t = board.move[i, STORAGE], board.move[i, STEP]
    slow, fast, compute = state.time[t, SLOW], state.time[t, FAST], board.compute[t]
    copy, pad = board.cost[s, COPY_S], board.cost[s, PAD_S]
    before, after = board.move[i, BEFORE], board.move[i, AFTER]
    window = state.time[t, REACH] - state.time[max(before, 0), REACH]
    left, j = 0, after
    while j >= 0 and left < 16:
        left += 1
        j = board.move[j, AFTER]
    group = board.fact[s, GROUP]
    out[0] = 1.0
    out[1] = board.move[i, PRODUCES]
    out[2] = board.fact[s, SIZE] / board.capacity
    out[3] = math.log1p(copy / unit)
    out[4] = math.log1p(pad / unit)
    out[5] = math.log1p(compute / unit)
    out[6] = math.log1p(max(slow, 0.0) / unit)
    out[7] = math.log1p(fast / unit)
    out[8] = (max(compute, slow + fast) - max(compute, slow + fast - copy + pad)) / unit
    out[9] = state.of[s, HELD]
    out[10] = 1.0 if state.of[s, HOST_FROM] <= t else 0.0
    out[11] = board.fact[s, OUTPUT]
    out[12] = board.fact[s, STREAMED]
    out[13] = 0.0 if group < 0 else (1.0 if state.at[group] >= 0 else 0.5)
    out[14] = math.log1p(left)
    out[15] = math.log1p(board.move[after, STEP] - t) if after >= 0 else 0.0
    out[16] = math.log1p(t - before) if before >= 0 else 0.0
    out[17] = min(4.0, copy / window) if window > 0.0 else 4.0
    out[18] = math.log1p(t - now)
    out[19] = state.of[s, OPENED]


@inner
def _fill_occupancy(board: Board, state: State, now: int, image: Array) -> float:
    """Draw the scratchpad around step `now`; the share of it that is taken then."""
    first, width, taken = now - STEPS // 2, board.capacity / BINS, 0.0
    for r in range(state.counts[ROWS]):
        q, start, stop = state.rows[r, WHO], state.rows[r, START], state.rows[r, STOP]
        until = stop  # where the place stops being held
        if state.of[q, HELD] and state.of[q, ROW] == r:
            after = board.move[state.of[q, SEEN], AFTER]
            until = max(stop, board.move[after, STEP] + 1 if after >= 0 else now + 1)
        if until <= first or start >= first + STEPS:
            continue
        low, high = state.rows[r, OFFSET] / width, (state.rows[r, OFFSET] + board.fact[q, SIZE]) / width
        if until > now >= start:
            taken += (high - low) / BINS
        for u in range(max(0, start - first), min(STEPS, until - first)):
            weight = 1.0 if first + u < stop else 0.5
            for x in range(int(low), min(BINS, int(math.ceil(high)))):
                image[u, x] += weight * (min(high, x + 1.0) - max(low, float(x)))
    return taken


@inner
def _fill_bandwidth(state: State, now: int, unit: float, out: Array) -> float:
    """Copy time a load due now could have, by issue step; the queue's backlog beyond now."""
    jobs, times, at = state.queue.jobs, state.queue.times, state.queue.count[0]
    backlog = max(0.0, times[at - 1, FINISH] - state.time[now, REACH]) if at > 0 else 0.0
    behind = 0.0
    for u in range(STEPS - 1, -1, -1):
        start = now - (STEPS - 1 - u)
        if start < 0:
            break
        while at > 0 and jobs[at - 1, KEY] > 2 * start:
            at -= 1
            behind += times[at, WORK]
        begin = max(times[at - 1, FINISH] if at > 0 else 0.0, state.time[start, REACH])
        out[u] = max(0.0, state.time[now, REACH] - begin - behind) / unit
    return backlog / unit
