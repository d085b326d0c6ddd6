"""A model searched from both ends, turn by turn."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from memplan.solving.limits import Limits
from memplan_solvers.peak.descent import descend
from memplan_solvers.peak.descent_state import DescentOutcome, DescentRules, new_descent
from memplan_solvers.peak.executed import LiveArrays, live_arrays
from memplan_solvers.peak.live import LiveModel, contracted
from memplan_solvers.peak.met import enlarged, none_met
from memplan_solvers.peak.rules import RULES

EFFORT = 400_000
"""Evaluations of an op between two looks at the clock: some 20 ms."""

FIRST_ROWS = 1 << 12
"""Rows of the table of sets that a search begins with."""

MOST_SETS = 12_000_000
"""Sets that are remembered at most, 16 bytes each at a load of 3/4; beyond, the search goes on without."""

FIRST_PATIENCE = 400_000
"""Evaluations after which the other direction has its turn; each turn is four times as long as the last."""


class Directions:
    """The searches of one model from both ends."""

    def __init__(self, model: LiveModel, rules: frozenset[str] = RULES) -> None:
        self.model, self.rules = model, rules
        inner, self.groups = (
            contracted(model) if "contracted" in rules else (model, [[i] for i in range(model.n)])
        )
        self.ends = [inner, inner.reversed] if "backward" in rules else [inner]
        self.arrays = [
            live_arrays(end, articulation_sizes(end) if "articulation" in rules else ()) for end in self.ends
        ]
        self.nodes = 0

    def within(self, limit: int, limits: Limits, patience: int, seed: int = 0) -> tuple[int, ...] | int:
        """An order whose live peak is at most `limit`, () if none was found in time, or the number of bytes
        that every order needs where it is proved that there is none: from whichever end is done first, turn by turn.

        `patience` is the number of evaluations allowed in each. `seed` varies which of equally good ops goes first.
        """
        applied = DescentRules(
            "shrink" in self.rules, "path" in self.rules, "visited" in self.rules, known=False
        )
        searches = [SearchFromOneEnd(arrays, applied, limit, seed) for arrays in self.arrays]
        turn = min(FIRST_PATIENCE, patience)
        while True:
            for end, search in zip(self.ends, searches, strict=True):
                before = search.nodes
                outcome = search.go_on(limits, turn)
                self.nodes += search.nodes - before
                if outcome is DescentOutcome.FAILED:
                    return search.needed
                if outcome is DescentOutcome.FOUND:
                    order = search.order[::-1] if end.backward else search.order
                    return tuple(i for k in order for i in self.groups[k])
                if limits.spent():
                    return ()
            if turn >= patience:
                return ()
            turn = min(4 * turn, patience)


class SearchFromOneEnd:
    """One search under one limit, to be continued."""

    def __init__(self, model: LiveArrays, rules: DescentRules, limit: int, seed: int = 0) -> None:
        n = len(model.extra)
        rank = np.random.default_rng(seed).permutation(n) if seed else None
        self.descent = new_descent(model, none_met(FIRST_ROWS, False, MOST_SETS), rules, 8 * n + 64, rank)
        self.limit, self.effort = limit, 0

    @property
    def nodes(self) -> int:
        """Sets expanded so far."""
        return int(self.descent.stack.progress["expanded"][0])

    @property
    def needed(self) -> int:
        """After FAILED: the bytes that every order needs."""
        return int(self.descent.stack.progress["cut"][0])

    @property
    def order(self) -> list[int]:
        """After FOUND: the order, of the ops as they are searched."""
        return [int(i) for i in self.descent.executed.trail]

    def go_on(self, limits: Limits, effort: int) -> DescentOutcome:
        """Search until `effort` evaluations of an op were made in all, or the limits are spent: PAUSED then."""
        outcome = DescentOutcome.PAUSED
        while outcome is DescentOutcome.FULL or (
            outcome is DescentOutcome.PAUSED and self.effort < effort and not limits.spent()
        ):
            outcome = descend(self.descent, self.limit, EFFORT)
            if outcome is DescentOutcome.FULL:
                self.enlarge()
            else:
                self.effort += EFFORT
        return outcome

    def enlarge(self) -> None:
        """Make room for more candidates, and for more sets."""
        stack, met = self.descent.stack, self.descent.met
        if stack.progress["candidates"][0] + len(stack.rank) > len(stack.candidates):
            larger = np.concatenate([stack.candidates, np.zeros_like(stack.candidates)])
            stack = stack._replace(candidates=larger)
        if 4 * (met.sets["count"][0] + 1) > 3 * len(met.keys):
            met = enlarged(met, MOST_SETS)
        self.descent = self.descent._replace(stack=stack, met=met)


def articulation_sizes(model: LiveModel) -> list[int]:
    """Numbers of ops after which every order has executed the same ones: up to one that all others come
    before or after.

    In an order of the ops, that is one none before which waits for none up to it, and none after which skips back
    over it. Linear.
    """
    order = topological(model)
    place = [0] * model.n
    for t, i in enumerate(order):
        place[i] = t
    reached = [min((place[j] for j in model.succs[i]), default=model.n) for i in order]
    needed = [max((place[j] for j in model.preds[i]), default=-1) for i in order]
    furthest = list(accumulate(reached, max))  # the last place that one of the first ops reaches first
    nearest = [*accumulate(reversed(needed), min)][::-1]
    return [t + 1 for t in range(model.n - 1) if (not t or furthest[t - 1] <= t) and nearest[t + 1] >= t]


def topological(model: LiveModel) -> list[int]:
    """The ops, each after those that it waits for."""
    waits = [len(before) for before in model.preds]
    order = [i for i, count in enumerate(waits) if not count]
    for i in order:
        for j in model.succs[i]:
            waits[j] -= 1
            if not waits[j]:
                order.append(j)
    return order
