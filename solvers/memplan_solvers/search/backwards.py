"""One op taken back from kept storages and what was paid behind them, in numba: the steps of a frontier."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.search.kernel import NEVER, begun, first_bit, members, mix, same
from memplan_solvers.search.level import LEFT_OUT, Points, cheaper, find_front, scaled

COMPARED = 1_000
"""Cheapest pairs of a set with which the others are compared."""


class Sets(NamedTuple):
    """All sets of executed ops of one size: words, where they are found by hash, and what is live after each."""

    words: Any
    slots: Any
    live: Any


class Made(NamedTuple):
    """Pairs by set while a level grows: see `level.Points`; `count` how many there are."""

    first: Any
    last: Any
    inside: Any
    cost: Any
    count: Any


class Work(NamedTuple):
    """The pairs of one set before the beaten ones are left out; slots hold `serial` numbers, old ones count as empty."""

    inside: Any
    cost: Any
    held: Any
    slots: Any
    serial: Any


def work_space(entries: int, words: int) -> Work:
    """Room for so many pairs of a set, a power of two."""
    return Work(
        np.zeros((entries, words), np.int64),
        np.zeros(entries, np.int64),
        np.zeros(entries, np.int64),
        np.full(4 * entries, -1, np.int64),
        np.zeros(1, np.int64),
    )


def room_for(sets: int, entries: int, words: int) -> Made:
    """An empty level."""
    return Made(
        np.zeros(sets, np.int64),
        np.zeros(sets, np.int64),
        np.zeros((entries, words), np.int64),
        np.zeros(entries, np.int64),
        np.zeros(1, np.int64),
    )


def enlarged(made: Made) -> Made:
    """The same level with twice the room."""
    return made._replace(
        inside=np.concatenate([made.inside, np.zeros_like(made.inside)]),
        cost=np.concatenate([made.cost, np.zeros_like(made.cost)]),
    )


def cut_short(made: Made) -> Points:
    """The level without the room that was not needed."""
    count = int(made.count[0])
    return Points(made.first, made.last, made.inside[:count].copy(), made.cost[:count].copy())


@kernel
def lives(flat, words, live):  # type: ignore[no-untyped-def]
    """Write what is live after each set of executed ops to `live`, as bits."""
    flat, words, live = borrow(flat), borrow(words), borrow(live)
    for k in range(words.shape[0]):
        for s in range(flat.size.shape[0]):
            needed = flat.closing[s]
            for w in range(words.shape[1]):
                needed = needed or flat.touchers[s, w] & ~words[k, w] != 0
            if needed and begun(flat, s, words[k]):
                live[k, s >> 6] |= np.int64(1) << (s & 63)


@inner
def weight(bits, values):  # type: ignore[no-untyped-def]
    """The sum of the values of these storages."""
    total = np.int64(0)
    for w in range(bits.shape[0]):
        total = cheaper(bits[w], w << 6, values, total, LEFT_OUT)
    return total


@inner
def has(bits, s):  # type: ignore[no-untyped-def]
    """Whether s is among the bits."""
    return (bits[s >> 6] >> (s & 63)) & 1 != 0


@inner
def next_set(flat, words, i, sets, above):  # type: ignore[no-untyped-def]
    """The number of the set with op i as well; -1 where op i was executed or waits for another."""
    if has(words, i):
        return np.int64(-1)
    for e in range(flat.pred_at[i], flat.pred_at[i + 1]):
        if not has(words, flat.pred[e]):
            return np.int64(-1)
    for w in range(words.shape[0]):
        above[w] = words[w]
    above[i >> 6] |= np.int64(1) << (i & 63)
    return find_front(sets, above, above.shape[0])


@inner
def beside(flat, i, inside):  # type: ignore[no-untyped-def]
    """Bytes that op i needs beside what is kept."""
    need = flat.extra[i]
    for e in range(flat.touch_at[i], flat.touch_at[i + 1]):
        if not has(inside, flat.touch[e]):
            need += flat.size[flat.touch[e]]
    return need


@kernel
def rise(flat, sets, peaks, following, next_peaks):  # type: ignore[no-untyped-def]
    """The least peak on the way to each set, one op on."""
    flat, sets, peaks, following, next_peaks = (
        borrow(flat),
        borrow(sets),
        borrow(peaks),
        borrow(following),
        borrow(next_peaks),
    )
    above = np.zeros(sets.words.shape[1], np.int64)
    for k in range(sets.words.shape[0]):
        held = weight(sets.live[k], flat.size)
        for i in range(flat.extra.shape[0]):
            u = next_set(flat, sets.words[k], i, following, above)
            if u >= 0:
                next_peaks[u] = min(next_peaks[u], max(peaks[k], held + beside(flat, i, sets.live[k])))


@inner
def add(work, count, row, cost, held):  # type: ignore[no-untyped-def]
    """Keep a pair, or the cheaper of two alike; how many there are, -1 where there is no room."""
    mask = work.slots.shape[0] - 1
    serial = work.serial[0]
    slot = mix(row, 0, row.shape[0]) & mask
    while work.slots[slot] >= serial:
        k = work.slots[slot] - serial
        if same(work.inside[k], row, 0, row.shape[0]):
            work.cost[k] = min(work.cost[k], cost)
            return count
        slot = (slot + 1) & mask
    if count == work.cost.shape[0]:
        return -1
    work.slots[slot] = serial + count
    for w in range(row.shape[0]):
        work.inside[count, w] = row[w]
    work.cost[count] = cost
    work.held[count] = held
    return count + 1


@inner
def keep_unbeaten(flat, work, count, made, k):  # type: ignore[no-untyped-def]
    """Append the pairs of set k that no other beats; whether there was room."""
    begin = made.count[0]
    if begin + count > made.cost.shape[0]:
        return False
    by_bytes = np.argsort(work.held[:count], kind="mergesort")
    order = by_bytes[np.argsort(work.cost[:count][by_bytes], kind="mergesort")]
    end = begin
    for x in range(count):
        b = order[x]
        beaten = False
        for a in range(begin, min(end, begin + COMPARED)):
            slack = work.cost[b] - made.cost[a]
            for w in range(made.inside.shape[1]):
                bits = made.inside[a, w] & ~work.inside[b, w]
                while bits != 0 and slack >= 0:
                    slack -= flat.reload[(w << 6) + first_bit(bits)]
                    bits &= bits - 1
            if slack >= 0:
                beaten = True
                break
        if not beaten:
            for w in range(made.inside.shape[1]):
                made.inside[end, w] = work.inside[b, w]
            made.cost[end] = work.cost[b]
            end += 1
    made.first[k], made.last[k], made.count[0] = begin, end, end
    return True


@kernel
def lay(flat, sets, peaks, upper, points, returns, room, rate, limits, least, start, stop, made, work):  # type: ignore[no-untyped-def]
    """Make the pairs of the sets [start, stop) from those of the sets one op larger; where it stopped for want of room.

    Pairs that pay a set's limit or more are left out; `least` learns what a way through a set pays at least.
    """
    flat, sets, peaks, upper, points = (
        borrow(flat),
        borrow(sets),
        borrow(peaks),
        borrow(upper),
        borrow(points),
    )
    limits, least, made, work = borrow(limits), borrow(least), borrow(made), borrow(work)
    V = sets.live.shape[1]
    m = flat.size.shape[0]
    above = np.zeros(sets.words.shape[1], np.int64)
    gain = np.zeros(V, np.int64)
    row = np.zeros(V, np.int64)
    present, out, chosen = np.zeros(m, np.int64), np.zeros(m, np.int64), np.zeros(m + 1, np.int64)
    for k in range(start, stop):
        live_bytes = weight(sets.live[k], flat.size)
        below = limits[k]
        lowest = below
        count = 0
        for i in range(flat.extra.shape[0] if least[k] < below else 0):
            u = next_set(flat, sets.words[k], i, upper, above)
            if u < 0:
                continue
            # What is there before op i because op i touches it.
            gain[:] = 0
            for e in range(flat.touch_at[i], flat.touch_at[i + 1]):
                s = flat.touch[e]
                if has(sets.live[k], s) and (returns or flat.size[s] == 0 or not has(upper.live[u], s)):
                    gain[s >> 6] |= np.int64(1) << (s & 63)
            for p in range(points.first[u], points.last[u]):
                inside = points.inside[p]
                lack = weight(inside, flat.size) + beside(flat, i, inside) - room
                candidates = 0
                rest = np.int64(0)
                if lack > 0:
                    for a in range(members(inside, m, present)):
                        s = present[a]
                        touched = False
                        for e in range(flat.touch_at[i], flat.touch_at[i + 1]):
                            touched = touched or flat.touch[e] == s
                        if touched or flat.size[s] == 0 or flat.reload[s] >= NEVER:
                            continue
                        at = candidates
                        while at > 0 and flat.size[out[at - 1]] < flat.size[s]:
                            out[at] = out[at - 1]
                            at -= 1
                        out[at] = s
                        candidates += 1
                        rest += flat.size[s]
                # All inclusion-minimal sets: the last and smallest chosen is needed, so every one is.
                for w in range(V):
                    row[w] = (inside[w] | gain[w]) & sets.live[k, w]
                depth = 0
                at = 0
                freed = np.int64(0)
                cost = points.cost[p]
                while True:
                    if freed >= lack:
                        held = weight(row, flat.size)
                        f = cost + scaled(peaks[k] - room - (live_bytes - held), rate)
                        if f < below:
                            lowest = min(lowest, f)
                            count = add(work, count, row, cost, held)
                            if count < 0:
                                return k
                    if at == candidates or freed >= lack or freed + rest < lack or cost >= below:
                        if depth == 0:
                            break
                        depth -= 1
                        while at > chosen[depth] + 1:
                            at -= 1
                            rest += flat.size[out[at]]
                        s = out[chosen[depth]]
                        if has(sets.live[k], s):
                            row[s >> 6] |= np.int64(1) << (s & 63)
                        freed -= flat.size[s]
                        cost -= flat.reload[s]
                        continue
                    s = out[at]
                    chosen[depth] = at
                    depth += 1
                    rest -= flat.size[s]
                    freed += flat.size[s]
                    cost += flat.reload[s]
                    row[s >> 6] &= ~(np.int64(1) << (s & 63))
                    at += 1
        if not keep_unbeaten(flat, work, count, made, k):
            return k
        work.serial[0] += count
        least[k] = max(least[k], lowest)
    return stop


@kernel
def owed(flat, sets, points):  # type: ignore[no-untyped-def]
    """Take off what pairs of stores alone paid for storages that are live: a state may have stored them before."""
    flat, sets, points = borrow(flat), borrow(sets), borrow(points)
    gone = np.zeros(sets.live.shape[1], np.int64)
    for k in range(sets.words.shape[0]):
        for p in range(points.first[k], points.last[k]):
            for w in range(gone.shape[0]):
                gone[w] = sets.live[k, w] & ~points.inside[p, w]
            points.cost[p] -= weight(gone, flat.store)
