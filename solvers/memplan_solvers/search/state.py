"""What one op does to a state (executed ops, present storages, stored storages), in numba.

A state is a row of int64 words: W words of executed ops, V of present storages, V of clean ones among them (those that
host has, where storing costs something). Ops and storages are bits of these words.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from memplan_solvers.common.arrays import Flags, Ints
from memplan_solvers.jit import inner
from memplan_solvers.peak.executed import Rows, integers, rows
from memplan_solvers.search.subproblem import Subproblem

NONE = 1 << 62
"""More than anything costs."""

first_bit: Any = trailing_zeros
"""The number of the lowest set bit of a word that is not 0."""


class SubproblemArrays(NamedTuple):
    """A subproblem as arrays; prices and sizes in bytes."""

    touched: Rows  # per op, the storages that it writes or reads
    succs: Rows  # per op, the ops that wait for it
    preds: Rows  # per op, the ops that it waits for
    sources: Rows  # per op, the storages one of which must die with it for it to work in place
    saved: Annotated[Ints, "op"]  # what working in place saves, 0 where it never does
    extra: Annotated[Ints, "op"]  # what is there during its step alone
    size: Annotated[Ints, "storage"]  # scratchpad
    reload: Annotated[Ints, "storage"]  # the price of leaving while needed; PROHIBITIVE: it may not
    store: Annotated[
        Ints, "storage"
    ]  # and what is paid beside the first time; 0 where host has it or gets it anyway
    begun: Annotated[Flags, "storage"]  # whether it exists at the start
    closing: Annotated[Flags, "storage"]  # whether it is needed after the last op
    touchers: Rows  # per storage, the ops that touch it
    toucher_bits: Annotated[Ints, "storage, op_word"]  # the same as bits
    descendants: Annotated[Ints, "op, op_word"]  # an op and all that waits for it, as bits


def subproblem_arrays(subproblem: Subproblem) -> SubproblemArrays:
    """The arrays of a subproblem."""
    n = subproblem.n
    over = [subproblem.over.get(i, (0, ())) for i in range(n)]
    touchers = np.zeros((len(subproblem.size), words_of(n)), np.int64)
    for s, ops in enumerate(subproblem.touches):
        for i in ops:
            touchers[s, i >> 6] |= bit(i)
    below = np.zeros((n, words_of(n)), np.int64)
    for i in reversed(range(n)):
        below[i, i >> 6] |= bit(i)
        for j in subproblem.succs[i]:
            below[i] |= below[j]
    return SubproblemArrays(
        touched=rows(subproblem.touched),
        succs=rows(subproblem.succs),
        preds=rows(subproblem.preds),
        sources=rows([sources for _, sources in over]),
        saved=integers(saved for saved, _ in over),
        extra=integers(subproblem.extra),
        size=integers(subproblem.size),
        reload=integers(subproblem.reload),
        store=integers(subproblem.store),
        begun=np.array(subproblem.begun, np.bool_),
        closing=np.array(subproblem.closing, np.bool_),
        touchers=rows(subproblem.touches),
        toucher_bits=touchers,
        descendants=below,
    )


def words_of(count: int) -> int:
    """How many 64-bit words have a bit for each of so many, at least one."""
    return max(1, -(-count // 64))


def bit(i: int) -> Any:
    """Bit i of its word."""
    return np.array(1 << (i & 63), np.uint64).astype(np.int64)


@inner(allocates=False)
def members(words: Ints, out: Ints) -> int:
    """Write the numbers of the set bits to `out`; how many."""
    count = 0
    for w in range(words.shape[0]):
        x = words[w]
        while x != 0:
            out[count] = (w << 6) + first_bit(x)
            count += 1
            x &= x - 1
    return count


@inner(allocates=False)
def begun(flat: SubproblemArrays, s: int, done: Ints) -> bool:
    """Whether storage s exists once the ops of `done` have run."""
    if flat.begun[s]:
        return True
    for w in range(done.shape[0]):
        if flat.toucher_bits[s, w] & done[w]:
            return True
    return False


@inner(allocates=False)
def left(flat: SubproblemArrays, s: int, done: Ints) -> int:
    """How many ops outside `done` touch storage s, up to 2."""
    count = 0
    for k in range(flat.touchers.at[s], flat.touchers.at[s + 1]):
        i = flat.touchers.values[k]
        if (done[i >> 6] >> (i & 63)) & 1 == 0:
            count += 1
            if count == 2:
                break
    return count


@inner(allocates=False)
def demand(flat: SubproblemArrays, i: int, done: Ints, inside: Ints, held: int) -> int:
    """Bytes that op i needs, with `held` bytes inside."""
    need: int = held + flat.extra[i]
    for k in range(flat.touched.at[i], flat.touched.at[i + 1]):
        s = flat.touched.values[k]
        if (inside[s >> 6] >> (s & 63)) & 1 == 0:
            need += flat.size[s]
    for k in range(flat.sources.at[i], flat.sources.at[i + 1]):
        s = flat.sources.values[k]
        if not flat.closing[s] and left(flat, s, done) == 1:
            need -= flat.saved[i]
            break
    return need


@inner(allocates=False)
def is_free(flat: SubproblemArrays, i: int, done: Ints, inside: Ints, clean: Ints) -> bool:
    """Whether op i, which fits, may run at once without loss: see `engine.RULES`."""
    born = -1
    for k in range(flat.touched.at[i], flat.touched.at[i + 1]):
        s = flat.touched.values[k]
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
    for k in range(flat.touched.at[i], flat.touched.at[i + 1]):
        s = flat.touched.values[k]
        there = (inside[s >> 6] >> (s & 63)) & 1 != 0
        if there and flat.size[s] >= flat.size[born] and not flat.closing[s] and left(flat, s, done) == 1:
            gain += flat.reload[s]
            if (clean[s >> 6] >> (s & 63)) & 1 == 0:
                gain += flat.store[s]
    enough: bool = gain >= flat.reload[born] + flat.store[born]
    return enough


@inner(allocates=False)
def rank_victims(
    flat: SubproblemArrays, done: Ints, clean: Ints, present: Ints, before: Flags, covered: Ints
) -> None:
    """before[a, b]: whether present[a] may be evicted before present[b] without loss; see `engine.RULES`."""
    words, count = done.shape[0], present.shape[0]
    for b in range(count):
        v = present[b]
        for w in range(words):
            covered[w] = 0
        consumers = 0
        for k in range(flat.touchers.at[v], flat.touchers.at[v + 1]):
            y = flat.touchers.values[k]
            if (done[y >> 6] >> (y & 63)) & 1 == 0:
                consumers += 1
                for w in range(words):
                    covered[w] |= flat.descendants[y, w]
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
                    if flat.toucher_bits[u, w] & ~done[w] & ~covered[w]:
                        good = False
                        break
            before[a, b] = good
    for a in range(count):
        for b in range(a):
            if before[a, b] and before[b, a]:
                before[a, b] = False


@inner(allocates=False)
def mix(row: Ints) -> np.int64:
    """A hash of a row."""
    h = np.int64(-7046029254386353131)
    for k in range(row.shape[0]):
        h ^= row[k]
        h *= np.int64(-49064778989728563)
        h ^= (h >> 32) & 0xFFFFFFFF
    return h


@inner(allocates=False)
def same(a: Ints, b: Ints) -> bool:
    """Whether two rows are equal."""
    for k in range(a.shape[0]):
        if a[k] != b[k]:
            return False
    return True
