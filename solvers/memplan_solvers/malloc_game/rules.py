"""The rules: what each answer does to the state, and whether it may be given. Compiled.

Every function logs what it changes and returns whether the answer is legal; after False the caller
rewinds. Invariant: a storage with later uses is held at its last offset, or host has a valid copy of it.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.common.arrays import NEVER
from memplan_solvers.jit import inner
from memplan_solvers.malloc_game.queue import DUE, EPS, FINISH, KEY, WORK, Array, enqueue, fits
from memplan_solvers.malloc_game.state import (
    AFTER,
    BEFORE,
    COPY,
    COPY_S,
    DROP,
    DUE_BY,
    FAST,
    FREE,
    GROUP,
    HELD,
    HOST,
    HOST_FROM,
    ISSUED,
    LOG,
    MOVE_QUEUED,
    NO_COPY,
    OFFSET,
    OPENED,
    OUTPUT,
    OVER,
    PAD_S,
    PRODUCES,
    REACH,
    ROW,
    ROW_ADDED,
    ROWS,
    SEEN,
    SIZE,
    SLOW,
    SOURCE,
    START,
    STEP,
    STOP,
    STORAGE,
    STREAMED,
    WHO,
    Board,
    State,
    note,
    put_at,
    put_of,
    put_stop,
    put_time,
    rewind,
)  # fmt: skip

LOW, HIGH, HOLDER, YIELDS = range(4)
"""Rows of `State.near`: where a neighbour lies, the storage if it only holds the place, whether it gives way."""


@inner
def is_legal(board: Board, state: State, i: int, answer: int) -> bool:
    """Whether move i may be answered so; the state is left as it was."""
    s, t = board.move[i, STORAGE], board.move[i, STEP]
    if board.move[i, PRODUCES]:
        if answer == COPY:
            return False
    elif answer == NO_COPY:
        return bool(state.of[s, HELD])
    elif answer == DROP and state.of[s, HOST_FROM] <= t:
        return True
    elif answer == COPY and state.of[s, HOST_FROM] == NEVER:
        return False
    length = state.counts[LOG]
    legal = attempt(board, state, i, answer)
    rewind(state, length)
    return bool(legal)


@inner
def attempt(board: Board, state: State, i: int, answer: int) -> bool:
    """Give `answer` to move i; False if it is illegal, with the changes made so far in the log."""
    s, t = board.move[i, STORAGE], board.move[i, STEP]
    put_of(state, s, SEEN, i)
    if board.move[i, PRODUCES]:
        return bool(_produce(board, state, i, s, t, answer))
    if answer == COPY:
        return bool(_copy(board, state, i, s, t))
    if answer == NO_COPY:
        if not state.of[s, HELD]:
            return False
        put_stop(state, state.of[s, ROW], t + 1)
        _touch_fast(board, state, i, s, t)
        return True
    if state.of[s, HOST_FROM] > t and not store_by(board, state, s, t):
        return False
    if state.of[s, HELD]:
        put_of(state, s, HELD, 0)
    return True


@inner
def _touch_fast(board: Board, state: State, i: int, s: int, t: int) -> None:
    """Account for a touch in the scratchpad; keep the place if it is needed later."""
    slow, fast, compute = state.time[t, SLOW], state.time[t, FAST], board.compute[t]
    slower, faster = slow - board.cost[s, COPY_S], fast + board.cost[s, PAD_S]
    gain = max(compute, slow + fast) - max(compute, slower + faster)
    put_time(state, t, SLOW, slower)
    put_time(state, t, FAST, faster)
    put_time(state, len(state.time), 0, state.total[0] - gain)
    pending = board.fact[s, OUTPUT] and state.of[s, HOST_FROM] == NEVER
    needed = board.move[i, AFTER] >= 0 and not board.fact[s, STREAMED]
    put_of(state, s, HELD, 1 if needed or pending else 0)


@inner
def _enter(state: State, s: int, start: int, stop: int, offset: int) -> None:
    """Begin a residency of s."""
    r = state.counts[ROWS]
    state.rows[r, WHO], state.rows[r, START], state.rows[r, STOP], state.rows[r, OFFSET] = (
        s,
        start,
        stop,
        offset,
    )
    state.counts[ROWS] = r + 1
    note(state, ROW_ADDED, r)
    put_of(state, s, ROW, r)


@inner
def _produce(board: Board, state: State, i: int, s: int, t: int, answer: int) -> bool:
    """The production of s: NoCopy writes it to a free block, Drop to host; its group decides for it."""
    group, source = board.fact[s, GROUP], board.fact[s, SOURCE]
    place = FREE if group < 0 else state.at[group]
    if answer == DROP:
        if place >= 0:
            return False
        put_of(state, s, HOST_FROM, t)
        if group >= 0 and place == FREE:
            put_at(state, group, HOST)
        return True
    if answer == COPY or place == HOST or (group >= 0 and state.forced[group]):
        return False
    if (
        place >= 0
        and source >= 0
        and state.of[source, ROW] >= 0
        and state.rows[state.of[source, ROW], STOP] == t + 1
    ):
        put_of(state, s, OVER, 1)
    else:
        place = claim(board, state, s, t, place)
        if place < 0:
            return False
        if group >= 0 and state.at[group] == FREE:
            put_at(state, group, place)
    _enter(state, s, t, t + 1, place)
    _touch_fast(board, state, i, s, t)
    return True


@inner
def _copy(board: Board, state: State, i: int, s: int, t: int) -> bool:
    """Load s for its use at t: the latest issue step with the bandwidth, then the best block."""
    work, group = board.cost[s, COPY_S], board.fact[s, GROUP]
    if state.of[s, HOST_FROM] == NEVER:
        return False
    earliest = max(board.move[i, BEFORE], state.of[s, HOST_FROM]) + 1
    start = latest_issue(state, earliest, t, work)
    if start < 0:
        return False
    if state.of[s, HELD]:
        put_of(state, s, HELD, 0)
    note(state, MOVE_QUEUED, enqueue(state.queue, state.time[:, REACH], 2 * start, t, work, s))
    place = claim(board, state, s, start, state.at[group] if group >= 0 and state.at[group] >= 0 else FREE)
    if place < 0:
        return False
    _enter(state, s, start, t + 1, place)
    _touch_fast(board, state, i, s, t)
    return True


@inner
def latest_issue(state: State, earliest: int, due: int, work: float) -> int:
    """The latest step from which a load is done by `due` and makes nothing else late; -1 if there is none.

    Walks back over steps and queue together. `room`: the latest F the newcomer may have for those behind it.
    """
    jobs, times, time = state.queue.jobs, state.queue.times, state.time
    at, room, limit = state.queue.count[0], np.inf, time[due, REACH] + EPS
    for start in range(due, earliest - 1, -1):
        while at > 0 and jobs[at - 1, KEY] > 2 * start:
            at -= 1
            if jobs[at, DUE] >= 0:
                room = min(room, time[jobs[at, DUE], REACH] + EPS)
            room -= times[at, WORK]
        done = max(times[at - 1, FINISH] if at > 0 else 0.0, time[start, REACH]) + work
        if done <= min(room, limit):
            return int(start)
        if room < work:
            break
    return -1


@inner
def store_by(board: Board, state: State, s: int, limit: int) -> bool:
    """Store s, held since its production, by step `limit`; issued at its production or else its last touch."""
    issue = _store_issue(board, state, s, limit)
    if issue < 0:
        return False
    reach, r = state.time[:, REACH], state.of[s, ROW]
    at = enqueue(state.queue, reach, 2 * issue + 1, limit, board.cost[s, COPY_S], s)
    note(state, MOVE_QUEUED, at)
    due = issue + 1
    while due < limit and reach[due] + EPS < state.queue.times[at, FINISH]:
        due += 1
    state.queue.jobs[at, DUE] = due
    put_of(state, s, ISSUED, issue)
    put_of(state, s, DUE_BY, due)
    put_of(state, s, HOST_FROM, due)
    if state.rows[r, STOP] < due:
        put_stop(state, r, due)
    return True


@inner
def _store_issue(board: Board, state: State, s: int, limit: int) -> int:
    """The step at which to issue a store of s that is done by `limit`, or -1."""
    if state.of[s, OPENED] or not state.of[s, HELD]:
        return -1
    r, work = state.of[s, ROW], board.cost[s, COPY_S]
    for issue in (state.rows[r, START], state.rows[r, STOP] - 1):
        if issue < limit and fits(state.queue, state.time[:, REACH], 2 * issue + 1, limit, work):
            return int(issue)
    return -1


@inner
def claim(board: Board, state: State, s: int, start: int, wanted: int) -> int:
    """A block for s from step `start` through the current one, at `wanted` unless that is FREE; its offset, or -1.

    First the smallest gap among those that no held storage keeps. Where there is none, holders give way,
    the one with the farthest next use first, if host has a copy of them or can get it in time.
    """
    size, near = board.fact[s, SIZE], state.near
    count = _gather(board, state, start)
    place = _gap(near, count, size, board.capacity) if wanted == FREE else -1
    while place < 0:
        chosen, farthest = -1, -1
        for k in range(count):
            q = near[HOLDER, k]
            if q >= 0 and near[YIELDS, k] == 0:
                if wanted != FREE and (near[LOW, k] >= wanted + size or near[HIGH, k] <= wanted):
                    continue
                after = board.move[state.of[q, SEEN], AFTER]
                distance = board.move[after, STEP] if after >= 0 else NEVER
                if distance > farthest:
                    chosen, farthest = k, distance
        if chosen < 0:
            break
        q = near[HOLDER, chosen]
        if state.of[q, HOST_FROM] == NEVER and _store_issue(board, state, q, start) < 0:
            near[HOLDER, chosen] = -1
            continue
        near[YIELDS, chosen] = 1
        if wanted == FREE:
            place = _gap(near, count, size, board.capacity)
    if wanted != FREE and _is_clear(near, count, wanted, size):
        place = wanted
    if place < 0:
        return -1
    for k in range(count):
        if near[YIELDS, k] and near[LOW, k] < place + size and place < near[HIGH, k]:
            q = near[HOLDER, k]
            if state.of[q, HOST_FROM] == NEVER and not store_by(board, state, q, start):
                return -1
            put_of(state, q, HELD, 0)
    return int(place)


@inner
def _gather(board: Board, state: State, start: int) -> int:
    """Fill `near` with what lies in the way of a newcomer from `start` on, by offset; how much that is.

    What is fixed is in the way from the first step on, or a held place could be lost to it later.
    """
    rows, near, of, fact = state.rows, state.near, state.of, board.fact
    count = 0
    for r in range(state.counts[ROWS]):
        q, hard = rows[r, WHO], rows[r, STOP] > start
        if hard or (of[q, HELD] and of[q, ROW] == r):
            low = rows[r, OFFSET]
            k = count
            while k > 0 and near[LOW, k - 1] > low:
                near[LOW, k], near[HIGH, k], near[HOLDER, k] = (
                    near[LOW, k - 1],
                    near[HIGH, k - 1],
                    near[HOLDER, k - 1],
                )
                k -= 1
            near[LOW, k], near[HIGH, k] = low, low + fact[q, SIZE]
            near[HOLDER, k] = -1 if hard or of[q, OPENED] else q
            near[YIELDS, count] = 0
            count += 1
    return count


@inner
def _gap(near: Array, count: int, size: int, capacity: int) -> int:
    """The lowest offset of the smallest gap that fits between what does not yield, or -1."""
    best, slack, top = -1, 2**62, 0
    for k in range(count):
        if not near[YIELDS, k]:
            gap = near[LOW, k] - top
            if gap >= size and gap - size < slack:
                best, slack = top, int(gap - size)
            top = max(top, int(near[HIGH, k]))
    gap = capacity - top
    if gap >= size and gap - size < slack:
        best = top
    return int(best)


@inner
def _is_clear(near: Array, count: int, offset: int, size: int) -> bool:
    """Whether everything at `[offset, offset + size)` yields."""
    for k in range(count):
        if not near[YIELDS, k] and near[LOW, k] < offset + size and offset < near[HIGH, k]:
            return False
    return True
