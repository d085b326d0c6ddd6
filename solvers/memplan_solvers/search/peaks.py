"""The least peak of live bytes from a set of executed ops on, looked up or bounded by search, in numba.

The same depth-first search as that of `peak`, from any set, with a table that keeps for every set met a lower and
an upper bound on the peak still to come: a set that failed under one budget helps under all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.peak.kernel import _cost, _execute, _undo
from memplan_solvers.peak.live import LiveModel

TRAIL, DEPTH, LIVE, CUT, NODES, SEEN, CANDIDATES, PHASE, READY, KEY_A, KEY_B = range(11)
FOUND, FAILED, PAUSED = range(3)
NONE = np.int64(2**62)

MOST = 1 << 23
"""Entries beyond which a table does not grow, 32 bytes each."""


class Peaks(NamedTuple):
    """One live model and the state of a search over it. `table` rows: two keys, lower bound, upper bound."""

    touch_at: Any
    touch: Any
    size: Any
    opening: Any
    closing: Any
    total: Any
    extra: Any
    over_at: Any
    over: Any
    saved: Any
    dying: Any
    rival_at: Any
    rival: Any
    succ_at: Any
    succ: Any
    waits0: Any
    keys: Any
    count: Any
    waits: Any
    ready: Any
    place: Any
    trail: Any
    changes: Any
    frames: Any  # trail length, begin of candidates, cut, key, key
    candidates: Any
    state: Any
    table: Any


def peaks_of(model: LiveModel, entries: int = 1 << 16) -> Peaks:
    """The arrays of a model; `entries` is the size of the table, a power of two."""
    n, m = model.n, len(model.size)
    over = [model.over.get(i, (0, ())) for i in range(n)]
    total = flat(len(t) for t in model.touches)
    return Peaks(
        *rows(model.touched),
        flat(model.size),
        np.array(model.opening, dtype=np.bool_),
        np.array(model.closing, dtype=np.bool_),
        total,
        flat(model.extra),
        *rows([x for _, x in over]),
        flat(z for z, _ in over),
        total - 1,
        *rows([() for _ in range(n)]),
        *rows(model.succs),
        flat(len(p) for p in model.preds),
        np.random.default_rng(0x6D656D).integers(-(2**63), 2**63 - 1, (n + 1, 2)),
        np.zeros(m, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n + 1, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros((n + 2, 5), np.int64),
        np.zeros((n * (n + 1) // 2 + n + 1 if n < 400 else 64 * n, 2), np.int64),
        np.zeros(11, np.int64),
        np.zeros((entries, 4), np.int64),
    )


def flat(values: Any) -> Any:
    """Integers as an array."""
    return np.array(list(values), dtype=np.int64)


def rows(parts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Rows end to end, and where each begins."""
    at = np.zeros(len(parts) + 1, dtype=np.int64)
    at[1:] = np.cumsum([len(r) for r in parts])
    return at, flat(chain.from_iterable(parts))


@kernel
def settle(pk, done):  # type: ignore[no-untyped-def]
    """Let the search stand at the set `done` (bits)."""
    pk, done = borrow(pk), borrow(done)
    n = pk.waits.shape[0]
    state = pk.state
    live = 0
    for s in range(pk.size.shape[0]):
        pk.count[s] = 0
    for i in range(n):
        pk.waits[i] = pk.waits0[i]
    state[TRAIL] = 0
    state[KEY_A] = pk.keys[n, 0]
    state[KEY_B] = pk.keys[n, 1]
    for i in range(n):
        if (done[i >> 6] >> (i & 63)) & 1:
            pk.trail[state[TRAIL]] = i
            pk.changes[state[TRAIL]] = 0
            state[TRAIL] += 1
            state[KEY_A] ^= pk.keys[i, 0]
            state[KEY_B] ^= pk.keys[i, 1]
            for k in range(pk.touch_at[i], pk.touch_at[i + 1]):
                pk.count[pk.touch[k]] += 1
            for k in range(pk.succ_at[i], pk.succ_at[i + 1]):
                pk.waits[pk.succ[k]] -= 1
    state[READY] = 0
    for i in range(n):
        if pk.waits[i] == 0 and (done[i >> 6] >> (i & 63)) & 1 == 0:
            pk.ready[state[READY]] = i
            pk.place[i] = state[READY]
            state[READY] += 1
    for s in range(pk.size.shape[0]):
        begun = pk.opening[s] or pk.count[s] > 0
        needed = pk.closing[s] or pk.count[s] < pk.total[s]
        if begun and needed:
            live += pk.size[s]
    state[LIVE] = live


@inner
def price(pk, i):  # type: ignore[no-untyped-def]
    """Bytes live during op i, and the change it leaves behind."""
    return _cost(
        i,
        pk.state[LIVE],
        pk.touch_at,
        pk.touch,
        pk.size,
        pk.opening,
        pk.closing,
        pk.total,
        pk.count,
        pk.extra,
        pk.over_at,
        pk.over,
        pk.saved,
        pk.dying,
    )


@inner
def execute(pk, i, change):  # type: ignore[no-untyped-def]
    """Add op i."""
    _execute(
        i,
        change,
        pk.state,
        pk.trail,
        pk.changes,
        pk.ready,
        pk.place,
        pk.waits,
        pk.succ_at,
        pk.succ,
        pk.touch_at,
        pk.touch,
        pk.count,
        pk.keys,
    )


@inner
def undo(pk, until):  # type: ignore[no-untyped-def]
    """Take ops back until `until` are left."""
    _undo(
        until,
        pk.state,
        pk.trail,
        pk.changes,
        pk.ready,
        pk.place,
        pk.waits,
        pk.succ_at,
        pk.succ,
        pk.touch_at,
        pk.touch,
        pk.count,
        pk.keys,
    )


@inner
def entry(pk, a, b):  # type: ignore[no-untyped-def]
    """The row of the keys: theirs, or a free one; -1 where the table is too full for a new one."""
    mask = pk.table.shape[0] - 1
    r = a & mask
    while pk.table[r, 0] != 0 or pk.table[r, 1] != 0:
        if pk.table[r, 0] == a and pk.table[r, 1] == b:
            return r
        r = (r + 1) & mask
    if 4 * pk.state[SEEN] > 3 * pk.table.shape[0]:
        return -1
    return r


@inner
def note(pk, a, b, low, high):  # type: ignore[no-untyped-def]
    """Remember bounds on the peak from a set on."""
    r = entry(pk, a, b)
    if r < 0:
        return
    if pk.table[r, 0] == 0 and pk.table[r, 1] == 0:
        pk.table[r, 0] = a
        pk.table[r, 1] = b
        pk.table[r, 2] = low
        pk.table[r, 3] = high
        pk.state[SEEN] += 1
    else:
        pk.table[r, 2] = max(pk.table[r, 2], low)
        pk.table[r, 3] = min(pk.table[r, 3], high)


@inner
def _close(pk, budget):  # type: ignore[no-untyped-def]
    """The safe moves under `budget`, until none is left; evaluations made."""
    state = pk.state
    n = pk.waits.shape[0]
    work = 0
    moved = True
    while moved and state[TRAIL] < n:
        moved = False
        k = 0
        while k < state[READY]:
            i = pk.ready[k]
            work += 1
            during, change = price(pk, i)
            if during <= budget and change <= 0:
                execute(pk, i, change)
                moved = True
            else:
                k += 1
        start, level, returned = state[TRAIL], state[LIVE], False
        for k in range(state[READY]):
            i = pk.ready[k]
            while i >= 0:
                work += 1
                during, change = price(pk, i)
                if during > budget:
                    break
                execute(pk, i, change)
                if state[LIVE] <= level:
                    returned = True
                    break
                follower = -1
                least = NONE
                for e in range(pk.succ_at[i], pk.succ_at[i + 1]):
                    j = pk.succ[e]
                    if pk.waits[j] == 0:
                        work += 1
                        during, change = price(pk, j)
                        if during <= budget and change < least:
                            follower = j
                            least = change
                i = follower
            if returned:
                moved = True
                break
            undo(pk, start)
    return work


@kernel
def within(pk, budget, effort, remembered):  # type: ignore[no-untyped-def]
    """Whether some order from where the search stands keeps within `budget`: FOUND, FAILED or PAUSED, and a lower bound.

    The search stands where it stood afterwards, except that with `remembered` off a FOUND order is left in the
    trail. `remembered`: whether a set known to succeed ends the search.
    """
    pk = borrow(pk)
    n = pk.waits.shape[0]
    state = pk.state
    root = state[TRAIL]
    root_a, root_b = state[KEY_A], state[KEY_B]
    r = entry(pk, root_a, root_b)
    if r >= 0 and pk.table[r, 0] == root_a and pk.table[r, 1] == root_b:
        if pk.table[r, 2] > budget:
            return FAILED, pk.table[r, 2]
        if pk.table[r, 3] <= budget and remembered:
            return FOUND, pk.table[r, 2]
    depth = 0
    at = 0
    work = 0
    expand = True
    outcome = PAUSED
    value = np.int64(0)
    while True:
        if work > effort:
            break
        if expand:
            work += _close(pk, budget)
            a, b = state[KEY_A], state[KEY_B]
            found = state[TRAIL] == n
            failed = False
            if not found:
                r = entry(pk, a, b)
                if r >= 0 and pk.table[r, 0] == a and pk.table[r, 1] == b:
                    if pk.table[r, 2] > budget:
                        failed = True
                        value = pk.table[r, 2]
                    elif pk.table[r, 3] <= budget and remembered:
                        found = True
            if found:
                for d in range(depth):
                    note(pk, pk.frames[d, 3], pk.frames[d, 4], 0, budget)
                note(pk, root_a, root_b, 0, budget)
                outcome = FOUND
                break
            if failed:
                if depth == 0:
                    outcome = FAILED
                    break
                pk.frames[depth - 1, 2] = min(pk.frames[depth - 1, 2], value)
                expand = False
                continue
            if at + state[READY] > pk.candidates.shape[0]:
                break
            begin = at
            cut = NONE
            for k in range(state[READY]):
                i = pk.ready[k]
                work += 1
                during, change = price(pk, i)
                if during > budget:
                    cut = min(cut, during)
                    continue
                at_ = at
                while at_ > begin and (
                    pk.candidates[at_ - 1, 1] < change
                    or (pk.candidates[at_ - 1, 1] == change and pk.candidates[at_ - 1, 0] < i)
                ):
                    pk.candidates[at_, 0] = pk.candidates[at_ - 1, 0]
                    pk.candidates[at_, 1] = pk.candidates[at_ - 1, 1]
                    at_ -= 1
                pk.candidates[at_, 0] = i
                pk.candidates[at_, 1] = change
                at += 1
            pk.frames[depth, 0] = state[TRAIL]
            pk.frames[depth, 1] = begin
            pk.frames[depth, 2] = cut
            pk.frames[depth, 3] = a
            pk.frames[depth, 4] = b
            depth += 1
            expand = False
        else:
            if at == pk.frames[depth - 1, 1]:
                depth -= 1
                value = pk.frames[depth, 2]
                note(pk, pk.frames[depth, 3], pk.frames[depth, 4], value, NONE)
                if depth == 0:
                    outcome = FAILED
                    break
                pk.frames[depth - 1, 2] = min(pk.frames[depth - 1, 2], value)
                continue
            undo(pk, pk.frames[depth - 1, 0])
            at -= 1
            i = pk.candidates[at, 0]
            execute(pk, i, pk.candidates[at, 1])
            expand = True
    state[NODES] += work
    if outcome == FAILED:
        note(pk, root_a, root_b, value, NONE)
    if outcome != FOUND or remembered:
        undo(pk, root)
    return outcome, value


@kernel
def _rehash(pk, old):  # type: ignore[no-untyped-def]
    pk, old = borrow(pk), borrow(old)
    pk.state[SEEN] = 0
    for k in range(old.shape[0]):
        if old[k, 0] != 0 or old[k, 1] != 0:
            note(pk, old[k, 0], old[k, 1], old[k, 2], old[k, 3])


def grown(pk: Peaks) -> Peaks:
    """The same search with a larger table, where the table is half full."""
    if 2 * pk.state[SEEN] < len(pk.table) or len(pk.table) >= MOST:
        return pk
    return enlarged(pk)


def enlarged(pk: Peaks) -> Peaks:
    """The same search with a table four times as large."""
    larger = pk._replace(table=np.zeros((4 * len(pk.table), 4), np.int64))
    _rehash(larger, pk.table)
    return larger
