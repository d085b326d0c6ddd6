"""The latency of a draft, which follows its changes: only the steps between a change and the next idle queue are played.

`evaluate.latency` on `draft.rows_of` gives the same seconds. Compiled.
"""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import inlined, kernel
from memplan_solvers.latency.draft import (
    AT,
    BEGIN,
    BUS,
    BUSY,
    COPY,
    DONE,
    DUE,
    DUES,
    ISSUE,
    LOADED,
    LOADS,
    NEXT,
    NEXT_DUE,
    NEXT_OPENED,
    NOW,
    OFFSET,
    OPENED,
    OPS,
    OWNER,
    REACH,
    SINCE,
    START,
    STOP,
    TAIL,
    UNTIL,
    Draft,
)
from memplan_solvers.latency.evaluate import latency
from memplan_solvers.latency.timed import Timed


@inlined
def seconds_of(draft: Draft, total: float) -> float:
    """The latency as it is now, one queue; `total` was that of the layout last kept."""
    fact, slot, storage, step, cost, op = (
        draft.fact,
        draft.slot,
        draft.storage,
        draft.step,
        draft.cost,
        draft.op,
    )
    track, done, step_touch = draft.track, draft.done, draft.step_touch
    n, slots, since, last = fact[OPS], len(slot), fact[SINCE], fact[UNTIL]
    if since <= last:
        now, a, f, tail = (
            track[0, NOW, since],
            track[0, AT, since],
            track[0, DONE, since],
            track[0, TAIL, since],
        )
        t = since
        while t <= n and not (t > last and f <= a and track[0, DONE, t] <= track[0, AT, t]):
            track[1, NOW, t], track[1, AT, t], track[1, DONE, t], track[1, TAIL, t] = now, a, f, tail
            s = step[t, OPENED]
            while s >= 0:
                f = max(f, a) + cost[s, COPY]
                done[1, slots + s] = tail = f
                s = storage[s, NEXT_OPENED]
            r = step[t, LOADS]
            while r >= 0:
                f = max(f, a) + cost[slot[r, OWNER], COPY]
                done[1, r] = f
                r = slot[r, NEXT]
            if t < n:
                wanted = a
                if f > a:
                    for i in range(step[t, BEGIN], step[t + 1, BEGIN]):
                        k = step_touch[i]
                        if slot[k, START] >= 0 and slot[k, LOADED]:
                            wanted = max(wanted, done[1 if slot[k, START] >= since else 0, k])
                    s = step[t, DUES]
                    while s >= 0:
                        wanted = max(wanted, done[1 if storage[s, ISSUE] + 1 >= since else 0, slots + s])
                        s = storage[s, NEXT_DUE]
                now += wanted - a
                a = wanted
                track[1, REACH, t] = a
                now += op[t, BUSY]
                a += op[t, BUSY] - op[t, BUS]
            else:
                track[1, REACH, t] = a
            t += 1
        fact[UNTIL] = t
        if t <= n:  # from here on all is as it was
            track[1, NOW, t], track[1, AT, t] = now, a
            total += now - track[0, NOW, t]
        else:
            total = now + max(0.0, tail - a)
    return float(total)


@inlined
def settle(draft: Draft, keep: bool) -> None:
    """After `seconds_of`: go on from the layout as it is; without `keep`, which has been undone, from the one before."""
    fact, slot, storage, step, track, done = (
        draft.fact,
        draft.slot,
        draft.storage,
        draft.step,
        draft.track,
        draft.done,
    )
    n, slots, since, end = fact[OPS], len(slot), fact[SINCE], fact[UNTIL]
    fact[SINCE], fact[UNTIL] = n + 1, -1
    if keep and since <= end:
        later, more = 0.0, 0.0
        if end <= n:
            later, more = track[1, NOW, end] - track[0, NOW, end], track[1, AT, end] - track[0, AT, end]
        for c in range(5):
            for t in range(since, min(end, n + 1)):
                track[0, c, t] = track[1, c, t]
            shift = later if c == NOW else more
            if shift != 0.0:
                for t in range(end, n + 1):
                    track[0, c, t] += shift
        for t in range(since, n + 1 if more != 0.0 else min(end, n + 1)):
            s, r, fresh = step[t, OPENED], step[t, LOADS], t < end
            while s >= 0:
                done[0, slots + s] = done[1, slots + s] if fresh else done[0, slots + s] + more
                s = storage[s, NEXT_OPENED]
            while r >= 0:
                done[0, r] = done[1, r] if fresh else done[0, r] + more
                r = slot[r, NEXT]


@kernel
def seconds_in_full(timed: Timed, draft: Draft) -> float:
    """The latency by `evaluate.latency`, for any number of queues."""
    slot, rows, count = draft.slot, np.empty((len(draft.slot), 4), np.int64), 0
    for r in range(len(slot)):
        if slot[r, START] >= 0 and not slot[r, LOADED]:
            rows[count] = slot[r, OWNER], slot[r, START], slot[r, STOP], slot[r, OFFSET]
            count += 1
    for t in range(timed.n + 1):
        r = draft.step[t, LOADS]
        while r >= 0:
            rows[count] = slot[r, OWNER], slot[r, START], slot[r, STOP], slot[r, OFFSET]
            count += 1
            r = slot[r, NEXT]
    draft.fact[SINCE], draft.fact[UNTIL] = timed.n + 1, -1
    return float(latency(timed, rows, count, draft.storage[:, ISSUE : DUE + 1], draft.track[0, REACH]))
