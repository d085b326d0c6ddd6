"""Exact least peaks of all sets of executed ops, where they are few enough to be listed, in numba."""

from __future__ import annotations

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Ints
from memplan_solvers.jit import kernel
from memplan_solvers.peak.descent_state import Descent
from memplan_solvers.peak.executed import price, settle
from memplan_solvers.peak.met import UNBOUNDED, none_met, note, row_of
from memplan_solvers.search.state import mix, same

FEW = 300_000
"""Sets beyond which no table is made."""


@kernel(allocates=False)
def _followers(of: Descent, words: Ints, slots: Ints, found: Ints, most: int) -> int:
    """Write the sets one op larger than those of `words` to `found`; how many, -1 if there are more than `most`."""
    width = words.shape[1]
    mask = slots.shape[0] - 1
    made = 0
    for k in range(words.shape[0]):
        settle(of.model, of.executed, words[k])
        for r in range(of.executed.totals[0].ready):
            i = of.executed.ready[r]
            if made == most:
                return -1
            for w in range(width):
                found[made, w] = words[k, w]
            found[made, i >> 6] |= np.int64(1) << (i & 63)
            slot = mix(found[made]) & mask
            while slots[slot] >= 0 and not same(found[slots[slot]], found[made]):
                slot = (slot + 1) & mask
            if slots[slot] < 0:
                slots[slot] = made
                made += 1
    return made


@kernel(allocates=False)
def _tabulate(of: Descent, words: Ints) -> None:
    """Note the least peak from each of these sets on; those of the sets one op larger are noted already."""
    executed, keys = of.executed, of.model.keys
    totals = executed.totals[0]
    for k in range(words.shape[0]):
        settle(of.model, executed, words[k])
        least = UNBOUNDED if totals.count < executed.waits.shape[0] else 0
        for r in range(totals.ready):
            i = executed.ready[r]
            during, _ = price(of.model, executed, i)
            at = row_of(of.met, totals.key_a ^ keys[i].a, totals.key_b ^ keys[i].b)
            least = min(least, max(during, of.met.bounds[at].low))
        note(of.met, totals.key_a, totals.key_b, least, least)


def list_sets(of: Descent, limits: Limits, most: int = FEW) -> list[Ints] | None:
    """All sets of executed ops by their number of ops, as rows of words; None if there are more than `most`."""
    n = len(of.model.extra)
    width = max(1, -(-n // 64))
    levels = [np.zeros((1, width), np.int64)]
    rows, total = 1 << 10, 1
    for _ in range(n):
        while True:
            if limits.spent():
                return None
            found = np.zeros((rows + 1, width), np.int64)
            made = _followers(of, levels[-1], np.full(4 * rows, -1, np.int64), found, rows)
            if made >= 0:
                break
            rows *= 4
            if rows > 4 * most:
                return None
        levels.append(found[:made].copy())
        total += made
        if total > most:
            return None
    return levels


def tabulated(of: Descent, levels: list[Ints], limits: Limits) -> Descent | None:
    """The same search with the exact least peak of every set in its table; None if the time is up first."""
    total = sum(map(len, levels))
    of = of._replace(met=none_met(1 << (2 * total + 16).bit_length(), bounded=True))
    for words in reversed(levels):
        for at in range(0, len(words), 4096):
            if limits.spent():
                return None
            _tabulate(of, words[at : at + 4096])
    return of
