"""Deciding a value of a draft by the wishes of its touches, as memory space assignment decides by its ratios. Compiled."""

from __future__ import annotations

from memplan_solvers.jit import inlined
from memplan_solvers.latency.draft import (
    AT,
    COPY,
    DONE,
    END,
    LOADED,
    OFFSET,
    OPS,
    OUTPUT,
    OWNER,
    PRODUCER,
    REACH,
    ROW,
    SIZE,
    START,
    STEP,
    STOP,
    STREAMED,
    Draft,
    clear_store,
    extend,
    put,
    set_store,
    take,
)
from memplan_solvers.latency.room import gap, is_free
from memplan_solvers.latency.timed import Array

NEVER = 2**40
STAY, RETURN, HOST = 0, 1, 2
"""A touch's wish: stay if there is room; leave before and be loaded for it; be served from host."""


@inlined
def place(draft: Draft, wish: Array, ratio: Array, kept: Array, taken: int, s: int, fit: int) -> None:
    """Decide s from its definition through its uses, by the wishes of its touches. The first `taken` rows of `kept` are
    what has been taken out; `fit`: see `room.gap`."""
    slot, storage = draft.slot, draft.storage
    first, last, streamed = storage[s, ROW], storage[s, END], storage[s, STREAMED]
    host_from, row, k = -1, -1, first
    if storage[s, PRODUCER] >= 0:
        host_from = NEVER
        t = slot[first, STEP]
        if wish[first] != HOST and (last > first + 1 or abs(ratio[first]) > 2.0):
            row = _begin(draft, wish, s, t, first, fit)
        if row < 0:
            host_from = t
        k = first + 1
    while k < last:
        t = slot[k, STEP]
        if row >= 0 and slot[row, STOP] > t:  # begun with room until here
            k += 1
            continue
        if row >= 0 and wish[k] == STAY and not streamed:
            if is_free(draft, slot[row, OFFSET], slot[row, SIZE], slot[row, STOP], t + 1):
                extend(draft, row, t + 1)
                k += 1
                continue
        if row >= 0 and host_from == NEVER:
            due = _store(draft, s, row, t)
            if due < 0:  # no time to store it: it stays, or was never there
                take_out(draft, kept, s, len(kept))
                host_from, row, k = slot[first, STEP], -1, first + 1
                continue
            host_from = due
        row = -1
        if wish[k] != HOST:
            earliest = max(host_from, slot[k - 1, STEP] if k > first else -1) + 1
            start = issue_step(draft, kept, taken, k, ratio[k] * draft.cost[s, COPY], earliest)
            for _ in range(4):
                if start > t or start < earliest:
                    break
                row = _begin(draft, wish, s, start, k, fit)
                if row >= 0:
                    break
                start += max(1, (t - start) // 2)
        k += 1
    if row >= 0 and host_from == NEVER and storage[s, OUTPUT] and _store(draft, s, row, draft.fact[OPS]) < 0:
        take_out(draft, kept, s, len(kept))


@inlined
def issue_step(draft: Draft, kept: Array, taken: int, k: int, wanted: float, earliest: int) -> int:
    """The latest step from `earliest` on with so much copy capacity before touch k; with so much that the queue leaves
    idle, where `wanted` is negative. What the queue did for k before it was taken out is idle."""
    t, reach, at, done = draft.slot[k, STEP], draft.track[0, REACH], draft.track[0, AT], draft.track[0, DONE]
    start = t
    if wanted >= 0.0:
        while start > earliest and reach[t] - reach[start] < wanted:
            start -= 1
        return int(start)
    wanted = -wanted
    for r in range(taken):
        if kept[r, 0] == k and draft.slot[k, LOADED]:
            wanted -= draft.cost[draft.slot[k, OWNER], COPY]
    while start > earliest and wanted > 0.0:
        start -= 1
        wanted -= max(0.0, at[start + 1] - max(reach[start], done[start + 1]))
    return int(start)


@inlined
def _begin(draft: Draft, wish: Array, s: int, start: int, k: int, fit: int) -> int:
    """A residency of s from `start` through touch k and as many more that wish to stay as there is a gap for; its slot
    or -1."""
    slot, end = draft.slot, draft.storage[s, END] if not draft.storage[s, STREAMED] else k + 1
    far = k
    while far + 1 < end and wish[far + 1] == STAY:
        far += 1
    tries, offset = 0, -1
    while far >= k and offset < 0:
        offset = gap(draft, slot[k, SIZE], start, slot[far, STEP] + 1, fit)
        if offset >= 0:
            put(draft, k, start, slot[far, STEP] + 1, offset)
        else:
            tries += 1
            far = far - 1 if tries < 3 or far == k else max(k, (far + k) // 2)
    return k if offset >= 0 else -1


@inlined
def _store(draft: Draft, s: int, row: int, limit: int) -> int:
    """Store s, resident in `row` since its production, with the copy capacity it needs by `limit` if its place stays
    free, less if not; the due step, or -1 if it cannot be stored by then at all."""
    slot, reach, copy = draft.slot, draft.track[0, REACH], draft.cost[s, COPY]
    issue, stop = slot[row, START], slot[row, STOP]
    due = issue + 1
    while due < limit and reach[due] - reach[issue + 1] < copy:
        due += 1
    if due > limit:
        due = -1
    else:
        while due > stop and not is_free(draft, slot[row, OFFSET], slot[row, SIZE], stop, due):
            due -= 1
        extend(draft, row, due)
        set_store(draft, s, issue, due)
    return int(due)


@inlined
def take_out(draft: Draft, kept: Array, s: int, count: int) -> int:
    """Remove what is placed of s, remembering it in `kept` from row `count` on while that has room; the next row."""
    slot, storage = draft.slot, draft.storage
    for r in range(storage[s, ROW], storage[s, END]):
        if slot[r, START] >= 0:
            if count < len(kept):
                kept[count, 0], kept[count, 1] = r, slot[r, START]
                kept[count, 2], kept[count, 3] = slot[r, STOP], slot[r, OFFSET]
                count += 1
            take(draft, r)
    clear_store(draft, s)
    return count
