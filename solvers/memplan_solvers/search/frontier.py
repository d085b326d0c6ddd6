"""Loads alone, backwards: for every set of executed ops, what is worth having present and what it saves.

Read from its end, a plan drops storages (each drop is a load of the plan) instead of evicting them. An exact search of
that, with stores free, gives for every set of executed ops the pairs (present storages, bytes loaded from here on)
that nothing beats. A state with R present then loads at least min over the pairs of loads + size(present − R).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from memplan.solver import Budget
from memplan_solvers.search import level as lv
from memplan_solvers.search.levels import RULES, Engine, bit

KEPT = RULES - {"belady", "free", "goal", "stores"}
"""The rules under which nothing that a state may ask for is left out: all sets are met, and no choice between two
storages is made before it is known which of them the state has."""


def loads_frontier(engine: Engine, below: int, budget: Budget, most: int) -> int | None:
    """Give the engine its frontier of loads below `below` bytes; the least loads, None if it was too large."""
    piece = engine.piece
    back = Engine(piece.backward, KEPT & engine.rules | {"loads"}, engine.effort)
    if not back.tabulate(budget):
        return None
    levels: list[lv.Level] = []
    found = back.search(below, budget, levels=levels, most=most)
    if not found.complete or budget.spent():
        return None
    full = np.zeros(engine.W, np.int64)
    for i in range(piece.n):
        full[i >> 6] |= bit(i)
    start = np.zeros((1, engine.V), np.int64)
    for s, there in enumerate(piece.closing):
        if there:
            start[0, s >> 6] |= bit(s)
    fronts = [_front(full[None, :], np.zeros(1, np.int64), start, np.zeros(1, np.int64))]
    for level in levels:
        count = int(level.made[lv.STATES])
        inside = level.row[:count, engine.W : engine.W + engine.V]
        words = full[None, :] & ~level.words[: level.made[lv.SETS]]
        fronts.append(_front(words, level.set_of[:count], inside, level.paid[:count]))
    # What was not reached costs more than `below`: a frontier that knows of no set.
    nothing = np.zeros(0, np.int64)
    while len(fronts) <= piece.n:
        fronts.append(_front(np.zeros((0, engine.W), np.int64), nothing, start[:0], nothing))
    engine.fronts = fronts[::-1]
    return found.bound


def _front(words: Any, set_of: Any, inside: Any, loads: Any) -> lv.Front:
    """The points by set and by loads."""
    order = np.lexsort((loads, set_of))
    numbers = set_of[order]
    sets = np.arange(len(words))
    slots = np.full(1 << max(4, (2 * len(words)).bit_length()), -1, np.int32)
    lv.place_sets(words, slots)
    first, last = np.searchsorted(numbers, sets), np.searchsorted(numbers, sets, "right")
    if not len(words):
        words = np.full((1, words.shape[1]), -1, np.int64)  # never looked up: no slot leads there
    return lv.Front(words, slots, first, last, np.ascontiguousarray(inside[order]), loads[order])
