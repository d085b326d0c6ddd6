"""What one op does to a state (executed ops, present storages, stored storages), in numba.

A state is a row of int64 words: W words of executed ops, V of present storages, V of clean ones among them (those that
host has, where storing costs something). Ops and storages are bits of these words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from memplan_solvers.jit import inner

NEVER = 1 << 50
NONE = 1 << 62

first_bit: Any = trailing_zeros
"""The number of the lowest set bit of a word that is not 0."""


class Flat(NamedTuple):
    """A piece as arrays; rows end to end with where each begins (`_at`)."""

    touch_at: Any
    touch: Any
    succ_at: Any
    succ: Any
    pred_at: Any
    pred: Any
    over_at: Any
    over: Any
    saved: Any
    extra: Any
    size: Any
    reload: Any
    store: Any
    begun: Any
    closing: Any
    toucher_at: Any
    toucher: Any
    touchers: Any  # m x W: ops that touch a storage, as bits
    below: Any  # n x W: an op and its descendants, as bits


@inner
def members(words, n, out):  # type: ignore[no-untyped-def]
    """Write the numbers of the set bits below n to `out`; how many."""
    count = 0
    for w in range(words.shape[0]):
        x = words[w]
        while x != 0:
            out[count] = (w << 6) + first_bit(x)
            count += 1
            x &= x - 1
    return count


@inner
def begun(flat, s, done):  # type: ignore[no-untyped-def]
    """Whether storage s exists once the ops of `done` have run."""
    if flat.begun[s]:
        return True
    for w in range(done.shape[0]):
        if flat.touchers[s, w] & done[w]:
            return True
    return False


@inner
def left(flat, s, done):  # type: ignore[no-untyped-def]
    """How many ops outside `done` touch storage s, up to 2."""
    count = 0
    for k in range(flat.toucher_at[s], flat.toucher_at[s + 1]):
        i = flat.toucher[k]
        if (done[i >> 6] >> (i & 63)) & 1 == 0:
            count += 1
            if count == 2:
                break
    return count


@inner
def demand(flat, i, done, inside, live):  # type: ignore[no-untyped-def]
    """Bytes that op i needs beside `live`, the bytes inside."""
    need = live + flat.extra[i]
    for k in range(flat.touch_at[i], flat.touch_at[i + 1]):
        s = flat.touch[k]
        if (inside[s >> 6] >> (s & 63)) & 1 == 0:
            need += flat.size[s]
    for k in range(flat.over_at[i], flat.over_at[i + 1]):
        s = flat.over[k]
        if not flat.closing[s] and left(flat, s, done) == 1:
            need -= flat.saved[i]
            break
    return need


@inner
def is_free(flat, i, done, inside, clean):  # type: ignore[no-untyped-def]
    """Whether op i, which fits, may run at once without loss: see `RULES`."""
    born = -1
    for k in range(flat.touch_at[i], flat.touch_at[i + 1]):
        s = flat.touch[k]
        if (inside[s >> 6] >> (s & 63)) & 1 == 0:
            if begun(flat, s, done):
                return False
            if flat.closing[s] or left(flat, s, done) > 1:
                if born >= 0:
                    return False
                born = s
    if born < 0:
        return True
    gain = 0
    for k in range(flat.touch_at[i], flat.touch_at[i + 1]):
        s = flat.touch[k]
        there = (inside[s >> 6] >> (s & 63)) & 1 != 0
        if there and flat.size[s] >= flat.size[born] and not flat.closing[s] and left(flat, s, done) == 1:
            gain += flat.reload[s]
            if (clean[s >> 6] >> (s & 63)) & 1 == 0:
                gain += flat.store[s]
    return gain >= flat.reload[born] + flat.store[born]


@inner
def rank_victims(flat, done, clean, present, count, before, covered):  # type: ignore[no-untyped-def]
    """before[a, b]: whether present[a] may be evicted before present[b] without loss; see `RULES`."""
    words = done.shape[0]
    for b in range(count):
        v = present[b]
        for w in range(words):
            covered[w] = 0
        consumers = 0
        for k in range(flat.toucher_at[v], flat.toucher_at[v + 1]):
            y = flat.toucher[k]
            if (done[y >> 6] >> (y & 63)) & 1 == 0:
                consumers += 1
                for w in range(words):
                    covered[w] |= flat.below[y, w]
        if flat.closing[v]:
            consumers += 1
        v_clean = flat.store[v] == 0 or (clean[v >> 6] >> (v & 63)) & 1 != 0
        if not (v_clean or consumers == 1):
            for a in range(count):
                before[a, b] = False
            continue
        v_cost = flat.reload[v] + (0 if v_clean else flat.store[v])
        for a in range(count):
            u = present[a]
            good = a != b and flat.size[u] >= flat.size[v]
            if good:
                cost = flat.reload[u]
                if (clean[u >> 6] >> (u & 63)) & 1 == 0:
                    cost += flat.store[u]
                good = cost <= v_cost
            if good:
                for w in range(words):
                    if flat.touchers[u, w] & ~done[w] & ~covered[w]:
                        good = False
                        break
            before[a, b] = good
    for a in range(count):
        for b in range(a):
            if before[a, b] and before[b, a]:
                before[a, b] = False


@inner
def mix(row, begin, end):  # type: ignore[no-untyped-def]
    """A hash of row[begin:end]."""
    h = np.int64(-7046029254386353131)
    for k in range(begin, end):
        h ^= row[k]
        h *= np.int64(-49064778989728563)
        h ^= (h >> 32) & 0xFFFFFFFF
    return h


@inner
def same(a, b, begin, end):  # type: ignore[no-untyped-def]
    """Whether two rows are equal between begin and end."""
    for k in range(begin, end):
        if a[k] != b[k]:
            return False
    return True
