"""Space and bandwidth for a newcomer: which block it claims, and who is stored and gives way for it. Compiled."""

from __future__ import annotations

from memplan_solvers.common.arrays import NEVER, Records
from memplan_solvers.common.hole_kernel import NO_HOLE, past
from memplan_solvers.jit import inner
from memplan_solvers.latency.copy_queue import EPS, enqueue, fits
from memplan_solvers.malloc_game.board import Board
from memplan_solvers.malloc_game.state import FREE, GameState, Growth, Standing
from memplan_solvers.malloc_game.undo_log import note, set_standing, set_stop


@inner
def store_by(board: Board, state: GameState, s: int, limit: int) -> bool:
    """Store s, held since its production, by step `limit`; issued at its production or else its last touch."""
    issue = _store_issue(board, state, s, limit)
    if issue < 0:
        return False
    reach, r = state.reach, state.standings[s].row
    at = enqueue(state.queue, reach, 2 * issue + 1, limit, board.storages[s].copy, s)
    note(state, Growth.QUEUE, at)
    due = issue + 1
    while due < limit and reach[due] + EPS < state.queue.copies[at].done:
        due += 1
    state.queue.copies[at].due = due
    set_standing(state, s, Standing.HOST_FROM, due)
    if state.residencies[r].stop < due:
        set_stop(state, r, due)
    return True


@inner
def _store_issue(board: Board, state: GameState, s: int, limit: int) -> int:
    """The step at which to issue a store of s that is done by `limit`, or -1."""
    standing, work = state.standings[s], board.storages[s].copy
    if standing.opened or not standing.held:
        return -1
    row = state.residencies[standing.row]
    for issue in (row.start, row.stop - 1):
        if issue < limit and fits(state.queue, state.reach, 2 * issue + 1, limit, work):
            return int(issue)
    return -1


@inner
def claim(board: Board, state: GameState, s: int, start: int, wanted: int) -> int:
    """A block for s from step `start` through the current one, at `wanted` unless that is FREE; its offset, or -1.

    First the smallest hole between what lies there and what held storages keep. Where there is none, holders give way,
    the one with the farthest next use first, if host has a copy of them or can get it in time.
    """
    size, near = board.storages[s].size, state.near
    count = _gather(board, state, start)
    place = _hole(near, count, size, board.capacity) if wanted == FREE else -1
    while place < 0:
        chosen = _farthest_holder(board, state, count, size, wanted)
        if chosen < 0:
            break
        q = near[chosen].holder
        if state.standings[q].host_from == NEVER and _store_issue(board, state, q, start) < 0:
            near[chosen].holder = -1
            continue
        near[chosen].yields = 1
        if wanted == FREE:
            place = _hole(near, count, size, board.capacity)
    if wanted != FREE and _is_clear(near, count, wanted, size):
        place = wanted
    if place < 0:
        return -1
    for k in range(count):
        if near[k].yields and near[k].low < place + size and place < near[k].high:
            q = near[k].holder
            if state.standings[q].host_from == NEVER and not store_by(board, state, q, start):
                return -1
            set_standing(state, q, Standing.HELD, 0)
    return int(place)


@inner
def _gather(board: Board, state: GameState, start: int) -> int:
    """Fill `near` with what lies in the way of a newcomer from `start` on, by offset; how much that is.

    What is fixed is in the way from the first step on, or a held place could be lost to it later.
    """
    residencies, near, count = state.residencies, state.near, 0
    for r in range(state.totals[0].residencies):
        q, lies = residencies[r].storage, residencies[r].stop > start
        standing = state.standings[q]
        if lies or (standing.held and standing.row == r):
            low, k = residencies[r].offset, count
            while k > 0 and near[k - 1].low > low:
                near[k] = near[k - 1]
                k -= 1
            near[k].low, near[k].high = low, low + board.storages[q].size
            near[k].holder = -1 if lies or standing.opened else q
            near[k].yields = 0
            count += 1
    return count


@inner
def _farthest_holder(board: Board, state: GameState, count: int, size: int, wanted: int) -> int:
    """The neighbour that only holds its place and has the farthest next use, of all or at `wanted`; or -1."""
    near, chosen, farthest = state.near, -1, -1
    for k in range(count):
        q = near[k].holder
        if q >= 0 and not near[k].yields:
            if wanted != FREE and (near[k].low >= wanted + size or near[k].high <= wanted):
                continue
            after = board.moves[state.standings[q].seen].after
            distance = board.moves[after].step if after >= 0 else NEVER
            if distance > farthest:
                chosen, farthest = k, distance
    return chosen


@inner
def _hole(near: Records, count: int, size: int, capacity: int) -> int:
    """The lowest offset of the smallest hole that fits between what does not yield, or -1."""
    hole = NO_HOLE
    for k in range(count):
        if not near[k].yields:
            hole = past(hole, near[k].low, near[k].high, size)
    return int(past(hole, capacity, capacity, size).offset)


@inner
def _is_clear(near: Records, count: int, offset: int, size: int) -> bool:
    """Whether everything at `[offset, offset + size)` yields."""
    for k in range(count):
        if not near[k].yields and near[k].low < offset + size and offset < near[k].high:
            return False
    return True
