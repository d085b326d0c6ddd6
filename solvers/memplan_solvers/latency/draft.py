"""A layout under change whose latency follows: only the steps between a change and the next idle queue are played.

A residency lives in a slot: the number of the first touch that it serves, of which no other residency of the
storage can be the first. Who is live when is kept by blocks of steps. Moves that open at the same step are
played in order of due step, stores before loads. `evaluate.latency` on `rows_of` gives the same seconds. Compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from memplan_solvers.latency.evaluate import latency
from memplan_solvers.latency.timed import Array, Timed

NOW, AT, DONE, TAIL, REACH = range(5)
"""Rows of `track`, by step, all in seconds. NOW: the clock; AT: the copy capacity so far; DONE: when the queue's last
move is done, TAIL: and its last store, in copy capacity; REACH: the copy capacity after the step has waited."""

BLOCKS, NARROW, FEW = 64, 8, 48
"""Blocks of steps at most; their least width; entries that are quicker sorted than found in the list of all."""


class Draft(NamedTuple):
    """k touches, m storages, n steps; a slot is a touch, or k + s for a fixed storage s that nothing touches."""

    owner: Array  # int64[k + m], storage of a slot
    step_row: Array  # int64[n + 1], rows of step_touch by step
    step_touch: Array  # int64[k], the touches at each step
    start: Array  # int64[k + m], -1 where the slot is empty
    stop: Array  # int64[k + m]
    offset: Array  # int64[k + m]
    loaded: Array  # bool[k + m], the slot's residency begins with a load
    fast: Array  # bool[k], touches served from the scratchpad
    host: Array  # float64[n], bus seconds of an op
    busy: Array  # float64[n], its whole time
    loads: Array  # int64[n + 1], first slot whose load opens at a step, or -1
    next_load: Array  # int64[k + m]
    stores: Array  # int64[m, 2], (issue, due) or -1
    opened: Array  # int64[n + 2], first storage whose store opens at a step (its issue + 1), or -1
    next_opened: Array  # int64[m]
    due: Array  # int64[n + 2], first storage whose store is due at a step, or -1
    next_due: Array  # int64[m]
    by_offset: Array  # int64[k + m], live slots by ascending offset
    count: Array  # int64[1], of them
    block: Array  # int32[b, k + m], live slots of each block of steps
    filled: Array  # int64[b], how many
    dirty: Array  # int64[2], first and last step changed since the last `settle`
    track: Array  # float64[5, n + 1], of the layout last kept
    trial: Array  # float64[5, n + 1], of the layout as it is, from its first changed step on
    done: Array  # float64[2, k + 2 m], when each slot's load and each storage's store is done: kept, tried
    around: Array  # int64[2, FEW], scratch


def make_draft(timed: Timed, rows: Array, stores: Array) -> Draft:
    """The draft of residency rows (int64[r, 4]) and stores (int64[m, 2]); what is fixed is among the rows or not."""
    k, m, n = len(timed.touch), len(timed.size), timed.n
    owner = np.concatenate((np.repeat(np.arange(m), np.diff(timed.touch_row)), np.arange(m)))
    by_step = np.argsort(timed.touch, kind="stable")
    blocks = max(1, min(BLOCKS, -(-n // NARROW)))
    draft = Draft(
        owner=owner, step_row=np.searchsorted(timed.touch[by_step], np.arange(n + 1)), step_touch=by_step,
        start=np.full(k + m, -1, np.int64), stop=np.zeros(k + m, np.int64), offset=np.zeros(k + m, np.int64),
        loaded=np.zeros(k + m, np.bool_), fast=timed.fixed[owner[:k]] >= 0, host=np.zeros(n), busy=np.zeros(n),
        loads=np.full(n + 1, -1, np.int64), next_load=np.full(k + m, -1, np.int64), stores=np.full((m, 2), -1, np.int64),
        opened=np.full(n + 2, -1, np.int64), next_opened=np.full(m, -1, np.int64),
        due=np.full(n + 2, -1, np.int64), next_due=np.full(m, -1, np.int64),
        by_offset=np.zeros(k + m, np.int64), count=np.zeros(1, np.int64),
        block=np.zeros((blocks, k + m), np.int32), filled=np.zeros(blocks, np.int64), dirty=np.array([0, n]),
        track=np.zeros((5, n + 1)), trial=np.zeros((5, n + 1)), done=np.zeros((2, k + 2 * m)),
        around=np.zeros((2, FEW), np.int64),
    )  # fmt: skip
    for s in np.flatnonzero(timed.fixed >= 0).tolist():
        begin, end = timed.fixed_span[s].tolist()
        put(timed, draft, slot_of(timed, s, begin, end), begin, end, int(timed.fixed[s]))
    for s, begin, end, offset in rows.tolist():
        slot = slot_of(timed, s, begin, end)
        if timed.fixed[s] < 0 and slot < k:
            put(timed, draft, slot, begin, end, offset)
    for s in np.flatnonzero(stores[:, 0] >= 0).tolist():
        set_store(draft, s, int(stores[s, 0]), int(stores[s, 1]))
    for t in range(n):
        refresh(timed, draft, t)
    return draft


def slot_of(timed: Timed, s: int, start: int, stop: int) -> int:
    """The slot of a residency; k + s if it serves no touch."""
    row = timed.touch_row[s]
    slot = row + int(np.searchsorted(timed.touch[row : timed.touch_row[s + 1]], start))
    return int(slot) if slot < timed.touch_row[s + 1] and timed.touch[slot] < stop else len(timed.touch) + s


def rows_of(timed: Timed, draft: Draft, start: Array, stop: Array, offset: Array) -> Array:
    """Residency rows, int64[r, 4], of the slots' columns, in the order in which the draft plays their loads."""
    slots = np.flatnonzero(start >= 0)
    due = timed.touch[np.minimum(slots, len(timed.touch) - 1)]
    slots = slots[np.lexsort((slots, due, start[slots]))]
    return np.stack([draft.owner[slots], start[slots], stop[slots], offset[slots]], axis=1)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def mark(draft: Draft, t: int) -> None:
    """Remember that step t has changed."""
    draft.dirty[0], draft.dirty[1] = min(draft.dirty[0], t), max(draft.dirty[1], t)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def refresh(timed: Timed, draft: Draft, t: int) -> None:
    """Sum step t up again."""
    owner, fast, copy, pad, step_touch = draft.owner, draft.fast, timed.copy, timed.pad, draft.step_touch
    host, near = timed.base_host[t], 0.0
    for i in range(draft.step_row[t], draft.step_row[t + 1]):
        k = step_touch[i]
        if fast[k]:
            near += pad[owner[k]]
        else:
            host += copy[owner[k]]
    draft.host[t] = host
    draft.busy[t] = max(timed.compute[t], host + near) + timed.overhead
    mark(draft, t)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def serve(timed: Timed, draft: Draft, slot: int, since: int, stop: int, fast: bool) -> None:
    """Serve the touches in [since, stop) of the slot's storage from the scratchpad or from host."""
    s, touch = draft.owner[slot], timed.touch
    k, last = slot, timed.touch_row[s + 1] if timed.fixed[s] < 0 else 0
    while k < last and touch[k] < since:
        k += 1
    while k < last and touch[k] < stop:
        draft.fast[k] = fast
        refresh(timed, draft, touch[k])
        k += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _width(draft: Draft) -> int:
    return -(-len(draft.host) // len(draft.filled))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _place_by_offset(draft: Draft, offset: int) -> int:
    """The first place in `by_offset` whose offset is not below."""
    low, high = 0, draft.count[0]
    while low < high:
        middle = (low + high) // 2
        if draft.offset[draft.by_offset[middle]] < offset:
            low = middle + 1
        else:
            high = middle
    return int(low)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def put(timed: Timed, draft: Draft, slot: int, start: int, stop: int, offset: int) -> None:
    """Enter a residency."""
    by_offset, count = draft.by_offset, draft.count[0]
    place = _place_by_offset(draft, offset)
    for i in range(count, place, -1):
        by_offset[i] = by_offset[i - 1]
    by_offset[place] = slot
    draft.count[0] = count + 1
    draft.start[slot], draft.stop[slot], draft.offset[slot] = start, stop, offset
    width = _width(draft)
    for b in range(start // width, min((stop - 1) // width + 1, len(draft.filled))):
        draft.block[b, draft.filled[b]] = slot
        draft.filled[b] += 1
    serve(timed, draft, slot, start, stop, True)
    s = draft.owner[slot]
    draft.loaded[slot] = slot < len(timed.touch) and start != timed.producer[s] and not timed.given[s]
    if draft.loaded[slot]:
        before, after = -1, draft.loads[start]
        while after >= 0 and (timed.touch[after], after) < (timed.touch[slot], slot):
            before, after = after, draft.next_load[after]
        draft.next_load[slot] = after
        if before < 0:
            draft.loads[start] = slot
        else:
            draft.next_load[before] = slot
        mark(draft, start)
        mark(draft, timed.touch[slot])


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def take(timed: Timed, draft: Draft, slot: int) -> None:
    """Remove a residency."""
    by_offset, start, stop = draft.by_offset, draft.start[slot], draft.stop[slot]
    place = _place_by_offset(draft, draft.offset[slot])
    while by_offset[place] != slot:
        place += 1
    draft.count[0] -= 1
    for i in range(place, draft.count[0]):
        by_offset[i] = by_offset[i + 1]
    width = _width(draft)
    for b in range(start // width, min((stop - 1) // width + 1, len(draft.filled))):
        i = 0
        while draft.block[b, i] != slot:
            i += 1
        draft.filled[b] -= 1
        draft.block[b, i] = draft.block[b, draft.filled[b]]
    serve(timed, draft, slot, start, stop, False)
    if draft.loaded[slot]:
        mark(draft, start)
        mark(draft, timed.touch[slot])
        if draft.loads[start] == slot:
            draft.loads[start] = draft.next_load[slot]
        else:
            before = draft.loads[start]
            while draft.next_load[before] != slot:
                before = draft.next_load[before]
            draft.next_load[before] = draft.next_load[slot]
    draft.start[slot] = -1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def extend(timed: Timed, draft: Draft, slot: int, stop: int) -> None:
    """Let a residency last until `stop`."""
    before, width = draft.stop[slot], _width(draft)
    for b in range((before - 1) // width + 1, min((stop - 1) // width + 1, len(draft.filled))):
        draft.block[b, draft.filled[b]] = slot
        draft.filled[b] += 1
    draft.stop[slot] = max(before, stop)
    serve(timed, draft, slot, before, stop, True)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _link(first: Array, following: Array, t: int, s: int) -> None:
    """Enter s in the list of t, by number."""
    before, after = -1, first[t]
    while after >= 0 and after < s:
        before, after = after, following[after]
    following[s] = after
    if before < 0:
        first[t] = s
    else:
        following[before] = s


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _unlink(first: Array, following: Array, t: int, s: int) -> None:
    """Take s out of the list of t."""
    if first[t] == s:
        first[t] = following[s]
        return
    before = first[t]
    while following[before] != s:
        before = following[before]
    following[before] = following[s]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def set_store(draft: Draft, s: int, issue: int, due: int) -> None:
    """Store s, which has no store; issue -1 leaves it so."""
    if issue < 0:
        return
    draft.stores[s, 0], draft.stores[s, 1] = issue, due
    _link(draft.opened, draft.next_opened, issue + 1, s)
    _link(draft.due, draft.next_due, due, s)
    mark(draft, issue + 1)
    mark(draft, due)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def clear_store(draft: Draft, s: int) -> None:
    """Leave the store of s out."""
    issue, due = draft.stores[s, 0], draft.stores[s, 1]
    if issue < 0:
        return
    _unlink(draft.opened, draft.next_opened, issue + 1, s)
    _unlink(draft.due, draft.next_due, due, s)
    draft.stores[s, 0] = draft.stores[s, 1] = -1
    mark(draft, issue + 1)
    mark(draft, due)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def is_free(timed: Timed, draft: Draft, low: int, size: int, start: int, stop: int) -> bool:
    """Whether nothing lies in `[low, low + size)` during `[start, stop)`."""
    width, owner, sizes, starts, stops, offsets = _width(draft), draft.owner, timed.size, draft.start, draft.stop, draft.offset
    block, filled = draft.block, draft.filled
    b, last, free = start // width, min((stop - 1) // width, len(filled) - 1), True
    while free and b <= last and start < stop:
        for i in range(filled[b]):
            r = block[b, i]
            if starts[r] < stop and stops[r] > start and offsets[r] < low + size and offsets[r] + sizes[owner[r]] > low:
                free = False
        b += 1
    return free


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def gap(timed: Timed, draft: Draft, size: int, start: int, stop: int, fit: int) -> int:
    """An offset free during `[start, stop)`, or -1: of the smallest gap, its lower end (fit < 5) or its upper end
    (5); the lowest of all (6); the highest of all (7)."""
    width, owner, sizes, starts, stops, offsets = _width(draft), draft.owner, timed.size, draft.start, draft.stop, draft.offset
    block, filled, around = draft.block, draft.filled, draft.around
    first, last = start // width, min((stop - 1) // width, len(filled) - 1)
    entries = 0
    for b in range(first, last + 1):
        entries += filled[b]
    few, found = entries <= FEW, 0
    if few:
        for b in range(first, last + 1):
            for i in range(filled[b]):
                r = block[b, i]
                if starts[r] >= stop or stops[r] <= start or (b > first and starts[r] // width < b):
                    continue
                low, j = offsets[r], found
                while j > 0 and around[0, j - 1] > low:
                    around[0, j], around[1, j] = around[0, j - 1], around[1, j - 1]
                    j -= 1
                around[0, j], around[1, j] = low, low + sizes[owner[r]]
                found += 1
    best, slack, top = -1, 2**62, 0
    total = found if few else draft.count[0]
    for i in range(total + 1):
        if i == total:
            low = high = timed.capacity
        elif few:
            low, high = around[0, i], around[1, i]
        else:
            r = draft.by_offset[i]
            if starts[r] >= stop or stops[r] <= start:
                continue
            low, high = offsets[r], offsets[r] + sizes[owner[r]]
        room = low - top
        if room >= size:
            if fit == 7 or (fit == 6 and best < 0):
                best = int(low - size if fit == 7 else top)
            elif fit < 6 and room - size < slack:
                best, slack = int(low - size if fit == 5 else top), int(room - size)
        top = max(top, int(high))
    return int(best - best % timed.alignment)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def seconds_of(timed: Timed, draft: Draft, total: float) -> float:
    """The latency as it is now; `total` was that of the layout last kept."""
    if timed.queues == 2:
        return _in_full(timed, draft)
    n, since = timed.n, draft.dirty[0]
    if since > draft.dirty[1]:
        return total
    track, trial, host, busy, copy = draft.track, draft.trial, draft.host, draft.busy, timed.copy
    start, owner, done, loaded = draft.start, draft.owner, draft.done, draft.loaded
    slots, last = len(draft.start), draft.dirty[1]
    now, a, f, tail = track[NOW, since], track[AT, since], track[DONE, since], track[TAIL, since]
    for t in range(since, n + 1):
        trial[NOW, t], trial[AT, t], trial[DONE, t], trial[TAIL, t] = now, a, f, tail
        if t > last and f <= a and track[DONE, t] <= track[AT, t]:
            draft.dirty[1] = t  # from here on all is as it was
            return float(total + (now - track[NOW, t]))
        s = draft.opened[t]
        while s >= 0:
            f = max(f, a) + copy[s]
            done[1, slots + s] = tail = f
            s = draft.next_opened[s]
        r = draft.loads[t]
        while r >= 0:
            f = max(f, a) + copy[owner[r]]
            done[1, r] = f
            r = draft.next_load[r]
        if t == n:
            break
        wanted = a
        if f > a:
            for i in range(draft.step_row[t], draft.step_row[t + 1]):
                k = draft.step_touch[i]
                if start[k] >= 0 and loaded[k]:
                    wanted = max(wanted, done[1 if start[k] >= since else 0, k])
            s = draft.due[t]
            while s >= 0:
                wanted = max(wanted, done[1 if draft.stores[s, 0] + 1 >= since else 0, slots + s])
                s = draft.next_due[s]
        now += wanted - a
        a = wanted
        trial[REACH, t] = a
        now += busy[t]
        a += busy[t] - host[t]
    trial[REACH, n] = a
    draft.dirty[1] = n + 1
    return float(now + max(0.0, tail - a))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def settle(timed: Timed, draft: Draft, keep: bool) -> None:
    """After `seconds_of`: go on from the layout as it is; without `keep`, which has been undone, from the one before."""
    n, since, end = timed.n, draft.dirty[0], draft.dirty[1]
    draft.dirty[0], draft.dirty[1] = n + 1, -1
    if not keep or since > end or timed.queues == 2:
        return
    track, trial, done, slots = draft.track, draft.trial, draft.done, len(draft.start)
    later, more = 0.0, 0.0
    if end <= n:
        later, more = trial[NOW, end] - track[NOW, end], trial[AT, end] - track[AT, end]
    for t in range(since, min(end, n + 1)):
        for c in range(5):
            track[c, t] = trial[c, t]
    if later != 0.0 or more != 0.0:
        for t in range(end, n + 1):
            track[NOW, t] += later
            for c in range(AT, REACH + 1):
                track[c, t] += more
    for t in range(since, n + 1):
        fresh = t < end
        if not fresh and more == 0.0:
            break
        s = draft.opened[t]
        while s >= 0:
            done[0, slots + s] = done[1, slots + s] if fresh else done[0, slots + s] + more
            s = draft.next_opened[s]
        r = draft.loads[t]
        while r >= 0:
            done[0, r] = done[1, r] if fresh else done[0, r] + more
            r = draft.next_load[r]


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _in_full(timed: Timed, draft: Draft) -> float:
    """The latency by `evaluate.latency`, for two queues."""
    rows, count = np.empty((draft.count[0], 4), np.int64), 0
    for loaded in (False, True):
        for t in range(timed.n + 1):
            r = draft.loads[t] if loaded else -1
            while r >= 0:
                rows[count] = draft.owner[r], draft.start[r], draft.stop[r], draft.offset[r]
                count += 1
                r = draft.next_load[r]
        for i in range(draft.count[0] if not loaded else 0):
            r = draft.by_offset[i]
            if not draft.loaded[r]:
                rows[count] = draft.owner[r], draft.start[r], draft.stop[r], draft.offset[r]
                count += 1
    return float(latency(timed, rows, count, draft.stores, draft.track[REACH]))
