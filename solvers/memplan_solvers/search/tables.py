"""Exact least peaks of all sets of executed ops, where they are few enough to be listed, in numba."""

from __future__ import annotations

from typing import Any

import numpy as np

from memplan.solver import Budget
from memplan_solvers.jit import borrow, kernel
from memplan_solvers.search.kernel import mix, same
from memplan_solvers.search.peaks import (
    KEY_A,
    KEY_B,
    NONE,
    READY,
    SEEN,
    TRAIL,
    Peaks,
    entry,
    note,
    price,
    settle,
)

FEW = 300_000
"""Sets beyond which no table is made."""


@kernel
def _followers(pk, words, count, slots, found, most):  # type: ignore[no-untyped-def]
    """Write the sets one op larger than words[:count] to `found`; how many, -1 if there are more than `most`."""
    pk, words, slots, found = borrow(pk), borrow(words), borrow(slots), borrow(found)
    width = words.shape[1]
    mask = slots.shape[0] - 1
    made = 0
    for k in range(count):
        settle(pk, words[k])
        for r in range(pk.state[READY]):
            i = pk.ready[r]
            if made == most:
                return -1
            for w in range(width):
                found[made, w] = words[k, w]
            found[made, i >> 6] |= np.int64(1) << (i & 63)
            slot = mix(found[made], 0, width) & mask
            while slots[slot] >= 0 and not same(found[slots[slot]], found[made], 0, width):
                slot = (slot + 1) & mask
            if slots[slot] < 0:
                slots[slot] = made
                made += 1
    return made


@kernel
def _tabulate(pk, words):  # type: ignore[no-untyped-def]
    """Note the least peak from each of these sets on; those of the sets one op larger are noted already."""
    pk, words = borrow(pk), borrow(words)
    n = pk.waits.shape[0]
    for k in range(words.shape[0]):
        settle(pk, words[k])
        a, b = pk.state[KEY_A], pk.state[KEY_B]
        least = NONE if pk.state[TRAIL] < n else np.int64(0)
        for r in range(pk.state[READY]):
            i = pk.ready[r]
            during, _ = price(pk, i)
            e = entry(pk, a ^ pk.keys[i, 0], b ^ pk.keys[i, 1])
            least = min(least, max(during, pk.table[e, 2]))
        note(pk, a, b, least, least)


def list_sets(pk: Peaks, n: int, budget: Budget, most: int = FEW) -> list[Any] | None:
    """All sets of executed ops by their number of ops, as rows of words; None if there are more than `most`."""
    width = max(1, -(-n // 64))
    levels = [np.zeros((1, width), np.int64)]
    room, total = 1 << 10, 1
    for _ in range(n):
        while True:
            if budget.spent():
                return None
            found = np.zeros((room + 1, width), np.int64)
            made = _followers(pk, levels[-1], len(levels[-1]), np.full(4 * room, -1, np.int64), found, room)
            if made >= 0:
                break
            room *= 4
            if room > 4 * most:
                return None
        levels.append(found[:made].copy())
        total += made
        if total > most:
            return None
    return levels


def tabulated(pk: Peaks, levels: list[Any], budget: Budget) -> Peaks | None:
    """The same search with the exact least peak of every set in its table; None if the time is up first."""
    total = sum(map(len, levels))
    pk = pk._replace(table=np.zeros((1 << (2 * total + 16).bit_length(), 4), np.int64))
    pk.state[SEEN] = 0
    for words in reversed(levels):
        for at in range(0, len(words), 4096):
            if budget.spent():
                return None
            _tabulate(pk, words[at : at + 4096])
    return pk
