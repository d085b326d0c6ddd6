"""The depth-first search over sets of executed ops under a budget of live bytes, in numba.

All state lies in arrays that the caller holds, so a search can be paused, looked at and resumed.

Shapes: n ops, m storages. `state` is the vector of scalars named below, `seen` is the table of visited sets, 2 words
an entry, its number of rows a power of two; (0, 0) marks a free row.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import inner, kernel

TRAIL, DEPTH, LIVE, CUT, NODES, SEEN, CANDIDATES, PHASE, READY, KEY_A, KEY_B, PASSED = range(12)
"""Entries of `state`: ops executed; frames; live bytes; the least transient cut off; sets expanded; entries of `seen`;
candidates on the stack; 0 to expand the current set, 1 to take the next candidate; ready ops; the set's two keys; necks passed."""

FOUND, FAILED, PAUSED, FULL = range(4)
"""How `run` ends; FULL asks for a larger table or candidate stack."""

NONE = np.int64(2**62)


@inner
def _cost(  # type: ignore[no-untyped-def]
    i, live, touch_at, touch, size, opening, closing, total, count, extra, over_at, over, saved, dying
):
    """Bytes live during op i, and the change it leaves behind."""
    alloc = 0
    freed = 0
    for k in range(touch_at[i], touch_at[i + 1]):
        s = touch[k]
        c = count[s]
        if c == 0 and not opening[s]:
            alloc += size[s]
        if c + 1 == total[s] and not closing[s]:
            freed += size[s]
    during = live + alloc + extra[i]
    for k in range(over_at[i], over_at[i + 1]):
        s = over[k]
        if count[s] == dying[s]:
            during -= saved[i]
            break
    return during, alloc - freed


@inner
def _barred(i, rival_at, rival, count):  # type: ignore[no-untyped-def]
    """Whether op i, moved to the front, would take from another op the possibility to work in place."""
    for k in range(rival_at[i], rival_at[i + 1]):
        if count[rival[k]] == 0:
            return True
    return False


@inner
def _execute(  # type: ignore[no-untyped-def]
    i, change, state, trail, changes, ready, place, waits, succ_at, succ, touch_at, touch, count, keys
):
    """Add op i to the set."""
    for k in range(touch_at[i], touch_at[i + 1]):
        count[touch[k]] += 1
    state[LIVE] += change
    state[KEY_A] ^= keys[i, 0]
    state[KEY_B] ^= keys[i, 1]
    trail[state[TRAIL]] = i
    changes[state[TRAIL]] = change
    state[TRAIL] += 1
    state[READY] -= 1
    last = ready[state[READY]]
    ready[place[i]] = last
    place[last] = place[i]
    for k in range(succ_at[i], succ_at[i + 1]):
        j = succ[k]
        waits[j] -= 1
        if waits[j] == 0:
            ready[state[READY]] = j
            place[j] = state[READY]
            state[READY] += 1


@inner
def _undo(  # type: ignore[no-untyped-def]
    until, state, trail, changes, ready, place, waits, succ_at, succ, touch_at, touch, count, keys
):
    """Take ops back until `until` are left."""
    while state[TRAIL] > until:
        state[TRAIL] -= 1
        i = trail[state[TRAIL]]
        state[LIVE] -= changes[state[TRAIL]]
        state[KEY_A] ^= keys[i, 0]
        state[KEY_B] ^= keys[i, 1]
        for k in range(touch_at[i], touch_at[i + 1]):
            count[touch[k]] -= 1
        # In reverse, so that the ready ops come back in the order they were in.
        for k in range(succ_at[i + 1] - 1, succ_at[i] - 1, -1):
            if waits[succ[k]] == 0:
                state[READY] -= 1
            waits[succ[k]] += 1
        moved = ready[place[i]]
        ready[state[READY]] = moved
        place[moved] = state[READY]
        ready[place[i]] = i
        state[READY] += 1


@inner
def _row(  # type: ignore[no-untyped-def]
    seen, a, b
):
    """The row of the keys: theirs if they are there, else a free one."""
    mask = seen.shape[0] - 1
    r = a & mask
    while (seen[r, 0] != 0 or seen[r, 1] != 0) and (seen[r, 0] != a or seen[r, 1] != b):
        r = (r + 1) & mask
    return r


@kernel
def enlarge(  # type: ignore[no-untyped-def]
    old, new
):
    """Copy a table into a larger, empty one."""
    for k in range(old.shape[0]):
        if old[k, 0] != 0 or old[k, 1] != 0:
            r = _row(new, old[k, 0], old[k, 1])
            new[r, 0] = old[k, 0]
            new[r, 1] = old[k, 1]


@kernel
def run(  # type: ignore[no-untyped-def]
    budget,
    effort,
    shrink,
    path,
    remember,
    most,
    state,
    trail,
    changes,
    ready,
    place,
    waits,
    frames,
    candidates,
    seen,
    count,
    keys,
    rank,
    touch_at,
    touch,
    size,
    opening,
    closing,
    total,
    extra,
    over_at,
    over,
    saved,
    dying,
    rival_at,
    rival,
    succ_at,
    succ,
    necks,
):
    """Search on for an order whose live bytes never exceed `budget`; one of FOUND, FAILED, PAUSED, FULL.

    FOUND: `trail` is the order. FAILED: there is none, and none below `state[CUT]` either. PAUSED after about `effort`
    evaluations of an op. `shrink`, `path`, `remember` switch the rules; at most `most` sets are remembered.
    """
    n = trail.shape[0]
    work = 0
    while True:
        if work > effort:
            return PAUSED
        if state[PHASE] == 0:
            if remember and state[SEEN] < most and 4 * (state[SEEN] + 1) > 3 * seen.shape[0]:
                return FULL
            if state[CANDIDATES] + n > candidates.shape[0]:
                return FULL
            # The safe moves, until none is left.
            moved = True
            while moved and state[TRAIL] < n:
                moved = False
                if shrink:
                    k = 0
                    while k < state[READY]:
                        i = ready[k]
                        work += 1
                        during, change = _cost(
                            i,
                            state[LIVE],
                            touch_at,
                            touch,
                            size,
                            opening,
                            closing,
                            total,
                            count,
                            extra,
                            over_at,
                            over,
                            saved,
                            dying,
                        )
                        if during <= budget and change <= 0 and not _barred(i, rival_at, rival, count):
                            _execute(
                                i,
                                change,
                                state,
                                trail,
                                changes,
                                ready,
                                place,
                                waits,
                                succ_at,
                                succ,
                                touch_at,
                                touch,
                                count,
                                keys,
                            )
                            moved = True  # another ready op has taken its place, so k stays
                        else:
                            k += 1
                if path:
                    start, level, returned = state[TRAIL], state[LIVE], False
                    for k in range(state[READY]):
                        i = ready[k]
                        while i >= 0:
                            work += 1
                            during, change = _cost(
                                i,
                                state[LIVE],
                                touch_at,
                                touch,
                                size,
                                opening,
                                closing,
                                total,
                                count,
                                extra,
                                over_at,
                                over,
                                saved,
                                dying,
                            )
                            if during > budget or _barred(i, rival_at, rival, count):
                                break
                            _execute(
                                i,
                                change,
                                state,
                                trail,
                                changes,
                                ready,
                                place,
                                waits,
                                succ_at,
                                succ,
                                touch_at,
                                touch,
                                count,
                                keys,
                            )
                            if state[LIVE] <= level:
                                returned = True
                                break
                            # On along an op that waited for this one alone.
                            follower = -1
                            least = NONE
                            for e in range(succ_at[i], succ_at[i + 1]):
                                j = succ[e]
                                if waits[j] == 0:
                                    work += 1
                                    during, change = _cost(
                                        j,
                                        state[LIVE],
                                        touch_at,
                                        touch,
                                        size,
                                        opening,
                                        closing,
                                        total,
                                        count,
                                        extra,
                                        over_at,
                                        over,
                                        saved,
                                        dying,
                                    )
                                    if during <= budget and change < least:
                                        follower = j
                                        least = change
                            i = follower
                        if returned:
                            moved = True
                            break
                        _undo(
                            start,
                            state,
                            trail,
                            changes,
                            ready,
                            place,
                            waits,
                            succ_at,
                            succ,
                            touch_at,
                            touch,
                            count,
                            keys,
                        )
            if state[TRAIL] == n:
                return FOUND
            while state[PASSED] < necks.shape[0] and necks[state[PASSED]] <= state[TRAIL]:
                # What comes from here on decides, whatever came before.
                state[PASSED] += 1
                state[DEPTH] = state[CANDIDATES] = 0
                state[CUT] = NONE
            state[PHASE] = 1
            if remember:
                r = _row(seen, state[KEY_A], state[KEY_B])
                if seen[r, 0] != 0 or seen[r, 1] != 0:
                    continue
                if state[SEEN] < most:
                    seen[r, 0] = state[KEY_A]
                    seen[r, 1] = state[KEY_B]
                    state[SEEN] += 1
            state[NODES] += 1
            begin = state[CANDIDATES]
            end = begin
            for k in range(state[READY]):
                i = ready[k]
                work += 1
                during, change = _cost(
                    i,
                    state[LIVE],
                    touch_at,
                    touch,
                    size,
                    opening,
                    closing,
                    total,
                    count,
                    extra,
                    over_at,
                    over,
                    saved,
                    dying,
                )
                if during > budget:
                    state[CUT] = min(state[CUT], during)
                    continue
                # Kept in descending order: the least change, then the least rank, is taken first.
                at = end
                while at > begin and (
                    candidates[at - 1, 1] < change
                    or (candidates[at - 1, 1] == change and rank[candidates[at - 1, 0]] < rank[i])
                ):
                    candidates[at, 0] = candidates[at - 1, 0]
                    candidates[at, 1] = candidates[at - 1, 1]
                    at -= 1
                candidates[at, 0] = i
                candidates[at, 1] = change
                end += 1
            state[CANDIDATES] = end
            frames[state[DEPTH], 0] = state[TRAIL]
            frames[state[DEPTH], 1] = begin
            state[DEPTH] += 1
        else:
            while state[DEPTH] > 0 and state[CANDIDATES] == frames[state[DEPTH] - 1, 1]:
                state[DEPTH] -= 1
            if state[DEPTH] == 0:
                return FAILED
            _undo(
                frames[state[DEPTH] - 1, 0],
                state,
                trail,
                changes,
                ready,
                place,
                waits,
                succ_at,
                succ,
                touch_at,
                touch,
                count,
                keys,
            )
            state[CANDIDATES] -= 1
            i = candidates[state[CANDIDATES], 0]
            change = candidates[state[CANDIDATES], 1]
            _execute(
                i,
                change,
                state,
                trail,
                changes,
                ready,
                place,
                waits,
                succ_at,
                succ,
                touch_at,
                touch,
                count,
                keys,
            )
            state[PHASE] = 0
