"""A layout under change: residencies and stores come and go, and what is free and what each op takes follow.

A residency lives in a slot: the number of the first touch that it serves, of which no other residency of the
storage can be the first. Who is live when is kept by blocks of steps. Moves that open at the same step are
in order of due step, stores before loads. `follow` plays it. Compiled.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan_solvers.jit import inlined
from memplan_solvers.latency.timed import Array, Timed

NOW, AT, DONE, TAIL, REACH = range(5)
"""Rows of `track`, by step, all in seconds. NOW: the clock; AT: the copy capacity so far; DONE: when the queue's last
move is done, TAIL: and its last store, in copy capacity; REACH: the copy capacity after the step has waited."""

BLOCKS, NARROW = 64, 8
"""Blocks of steps at most; their least width."""


OPS, CAPACITY, ALIGNMENT, WIDTH, SINCE, UNTIL = range(6)
"""Of `fact`: ops, bytes, bytes, steps of a block, first and last step changed since the last `settle`."""

OWNER, STEP, SIZE, START, STOP, OFFSET, LOADED, FAST, NEXT = range(9)
"""Of `slot`: its storage, step of its touch, bytes; its residency, START -1 if there is none, and whether that begins
with a load; whether the touch is served from the scratchpad; the next load that opens at the same step."""

ROW, END, PRODUCER, GIVEN, FIXED, STREAMED, OUTPUT, ISSUE, DUE, NEXT_OPENED, NEXT_DUE = range(11)
"""Of `storage`: its slots ROW … END - 1; what `Timed` says of it; its store or -1; the next in the lists of its steps."""

COPY, PAD = range(2)
"""Of `cost`: seconds in host and in the scratchpad."""

BEGIN, LOADS, OPENED, DUES = range(4)
"""Of `step`: its rows of `step_touch`; the first slot whose load opens there, the first storage whose store does, and
the first whose store is due, or -1."""

BASE, COMPUTE, OVERHEAD, BUS, BUSY = range(5)
"""Of `op`: what `Timed` says of it; its bus seconds and its whole time as it is."""


class Draft(NamedTuple):
    """k touches, m storages, n steps; a slot is a touch, or k + s for a fixed storage s that nothing touches.

    Few wide arrays, because each one counts at every call.
    """

    fact: Array  # int64[6]
    slot: Array  # int64[k + m, 9]
    storage: Array  # int64[m, 11]
    cost: Array  # float64[m, 2]
    step: Array  # int64[n + 2, 4]
    op: Array  # float64[n, 5]
    step_touch: Array  # int64[k], the touches at each step
    block: Array  # uint32[b, k + m], live slots of each block of steps, by ascending offset
    filled: Array  # int64[b], how many
    track: Array  # float64[2, 5, n + 1], of the layout last kept, and as it is from its first changed step on
    done: Array  # float64[2, k + 2 m], when each slot's load and each storage's store is done: kept, tried
    around: Array  # int64[2, k + m], scratch
    fresh: Array  # uint32[k + m], scratch


def make_draft(timed: Timed, rows: Array, stores: Array) -> Draft:
    """The draft of residency rows (int64[r, 4]) and stores (int64[m, 2]); what is fixed is among the rows or not."""
    k, m, n = len(timed.touch), len(timed.size), timed.n
    owner = np.concatenate((np.repeat(np.arange(m), np.diff(timed.touch_row)), np.arange(m)))
    by_step = np.argsort(timed.touch, kind="stable")
    blocks = max(1, min(BLOCKS, -(-n // NARROW)))
    slot = np.zeros((k + m, 9), np.int64)
    slot[:, OWNER], slot[:, STEP], slot[:, SIZE] = (
        owner,
        np.append(timed.touch, np.full(m, n)),
        timed.size[owner],
    )
    slot[:, START] = slot[:, NEXT] = -1
    slot[:, FAST] = timed.fixed[owner] >= 0
    storage = np.full((m, 11), -1, np.int64)
    storage[:, ROW], storage[:, END], storage[:, PRODUCER] = (
        timed.touch_row[:-1],
        timed.touch_row[1:],
        timed.producer,
    )
    storage[:, GIVEN], storage[:, FIXED], storage[:, STREAMED] = timed.given, timed.fixed >= 0, timed.streamed
    storage[:, OUTPUT] = timed.output
    step = np.full((n + 2, 4), -1, np.int64)
    step[:, BEGIN] = np.searchsorted(timed.touch[by_step], np.arange(n + 2))
    op = np.zeros((n, 5))
    op[:, BASE], op[:, COMPUTE], op[:, OVERHEAD] = timed.base_host, timed.compute, timed.overhead
    draft = Draft(
        fact=np.array([n, timed.capacity, timed.alignment, -(-n // blocks), 0, n], np.int64),
        slot=slot,
        storage=storage,
        cost=np.stack([timed.copy, timed.pad], axis=1),
        step=step,
        op=op,
        step_touch=by_step,
        block=np.zeros((blocks, k + m), np.uint32),
        filled=np.zeros(blocks, np.int64),
        track=np.zeros((2, 5, n + 1)),
        done=np.zeros((2, k + 2 * m)),
        around=np.zeros((2, k + m), np.int64),
        fresh=np.zeros(k + m, np.uint32),
    )
    for s in np.flatnonzero(timed.fixed >= 0).tolist():
        begin, end = timed.fixed_span[s].tolist()
        put(draft, slot_of(timed, s, begin, end), begin, end, int(timed.fixed[s]))
    for s, begin, end, offset in rows.tolist():
        place = slot_of(timed, s, begin, end)
        if timed.fixed[s] < 0 and place < k:
            put(draft, place, begin, end, offset)
    for s in np.flatnonzero(stores[:, 0] >= 0).tolist():
        set_store(draft, s, int(stores[s, 0]), int(stores[s, 1]))
    for t in range(n):
        refresh(draft, t)
    return draft


def slot_of(timed: Timed, s: int, start: int, stop: int) -> int:
    """The slot of a residency; k + s if it serves no touch."""
    row = timed.touch_row[s]
    slot = row + int(np.searchsorted(timed.touch[row : timed.touch_row[s + 1]], start))
    return int(slot) if slot < timed.touch_row[s + 1] and timed.touch[slot] < stop else len(timed.touch) + s


def rows_of(residencies: Array, draft: Draft) -> Array:
    """Residency rows, int64[r, 4], of slots' (start, stop, offset), int64[k + m, 3], in the order in which the draft
    plays their loads."""
    slots = np.flatnonzero(residencies[:, 0] >= 0)
    slots = slots[np.lexsort((slots, draft.slot[slots, STEP], residencies[slots, 0]))]
    return np.concatenate([draft.slot[slots, OWNER, None], residencies[slots]], axis=1)


@inlined
def mark(draft: Draft, t: int) -> None:
    """Remember that step t has changed."""
    draft.fact[SINCE], draft.fact[UNTIL] = min(draft.fact[SINCE], t), max(draft.fact[UNTIL], t)


@inlined
def refresh(draft: Draft, t: int) -> None:
    """Sum step t up again."""
    slot, cost, op, step_touch = draft.slot, draft.cost, draft.op, draft.step_touch
    bus, near = op[t, BASE], 0.0
    for i in range(draft.step[t, BEGIN], draft.step[t + 1, BEGIN]):
        k = step_touch[i]
        if slot[k, FAST]:
            near += cost[slot[k, OWNER], PAD]
        else:
            bus += cost[slot[k, OWNER], COPY]
    op[t, BUS] = bus
    op[t, BUSY] = max(op[t, COMPUTE], bus + near) + op[t, OVERHEAD]
    mark(draft, t)


@inlined
def serve(draft: Draft, r: int, since: int, stop: int, fast: bool) -> None:
    """Serve the touches in [since, stop) of slot r's storage from the scratchpad or from host."""
    slot, s = draft.slot, draft.slot[r, OWNER]
    k, last = r, 0 if draft.storage[s, FIXED] else draft.storage[s, END]
    while k < last and slot[k, STEP] < since:
        k += 1
    while k < last and slot[k, STEP] < stop:
        slot[k, FAST] = fast
        refresh(draft, slot[k, STEP])
        k += 1


@inlined
def _enter(draft: Draft, b: int, r: int) -> None:
    """Enter slot r in the list of block b, by offset."""
    slot, block, i = draft.slot, draft.block, draft.filled[b]
    draft.filled[b] = i + 1
    offset = slot[r, OFFSET]
    while i > 0 and slot[block[b, i - 1], OFFSET] > offset:
        block[b, i] = block[b, i - 1]
        i -= 1
    block[b, i] = r


@inlined
def put(draft: Draft, r: int, start: int, stop: int, offset: int) -> None:
    """Enter a residency."""
    slot, step, width = draft.slot, draft.step, draft.fact[WIDTH]
    slot[r, START], slot[r, STOP], slot[r, OFFSET] = start, stop, offset
    for b in range(start // width, min((stop - 1) // width + 1, len(draft.filled))):
        _enter(draft, b, r)
    serve(draft, r, start, stop, True)
    s = slot[r, OWNER]
    slot[r, LOADED] = (
        slot[r, STEP] < draft.fact[OPS]
        and start != draft.storage[s, PRODUCER]
        and not draft.storage[s, GIVEN]
    )
    if slot[r, LOADED]:
        _link(step, LOADS, slot, NEXT, STEP, start, r)
        mark(draft, start)
        mark(draft, slot[r, STEP])


@inlined
def take(draft: Draft, r: int) -> None:
    """Remove a residency."""
    slot, step, block, filled = draft.slot, draft.step, draft.block, draft.filled
    start, stop, width = slot[r, START], slot[r, STOP], draft.fact[WIDTH]
    for b in range(start // width, min((stop - 1) // width + 1, len(filled))):
        i = 0
        while block[b, i] != r:
            i += 1
        filled[b] -= 1
        while i < filled[b]:
            block[b, i] = block[b, i + 1]
            i += 1
    serve(draft, r, start, stop, False)
    if slot[r, LOADED]:
        mark(draft, start)
        mark(draft, slot[r, STEP])
        _unlink(step, LOADS, slot, NEXT, start, r)
    slot[r, START] = -1


@inlined
def extend(draft: Draft, r: int, stop: int) -> None:
    """Let a residency last until `stop`."""
    before, width = draft.slot[r, STOP], draft.fact[WIDTH]
    for b in range((before - 1) // width + 1, min((stop - 1) // width + 1, len(draft.filled))):
        _enter(draft, b, r)
    draft.slot[r, STOP] = max(before, stop)
    serve(draft, r, before, stop, True)


@inlined
def _link(step: Array, first: int, table: Array, following: int, key: int, t: int, x: int) -> None:
    """Enter row x of `table` in the list of step t that begins in column `first`, by `key`, then by number."""
    before, after = -1, step[t, first]
    while after >= 0 and (
        table[after, key] < table[x, key] or (table[after, key] == table[x, key] and after < x)
    ):
        before, after = after, table[after, following]
    table[x, following] = after
    if before < 0:
        step[t, first] = x
    else:
        table[before, following] = x


@inlined
def _unlink(step: Array, first: int, table: Array, following: int, t: int, x: int) -> None:
    """Take row x of `table` out of the list of step t."""
    if step[t, first] == x:
        step[t, first] = table[x, following]
    else:
        before = step[t, first]
        while table[before, following] != x:
            before = table[before, following]
        table[before, following] = table[x, following]


@inlined
def set_store(draft: Draft, s: int, issue: int, due: int) -> None:
    """Store s, which has no store; issue -1 leaves it so."""
    step, storage = draft.step, draft.storage
    if issue >= 0:
        storage[s, ISSUE], storage[s, DUE] = issue, due
        _link(step, OPENED, storage, NEXT_OPENED, ROW, issue + 1, s)
        _link(step, DUES, storage, NEXT_DUE, ROW, due, s)
        mark(draft, issue + 1)
        mark(draft, due)


@inlined
def clear_store(draft: Draft, s: int) -> None:
    """Leave the store of s out."""
    step, storage = draft.step, draft.storage
    issue, due = storage[s, ISSUE], storage[s, DUE]
    if issue >= 0:
        _unlink(step, OPENED, storage, NEXT_OPENED, issue + 1, s)
        _unlink(step, DUES, storage, NEXT_DUE, due, s)
        storage[s, ISSUE] = storage[s, DUE] = -1
        mark(draft, issue + 1)
        mark(draft, due)
