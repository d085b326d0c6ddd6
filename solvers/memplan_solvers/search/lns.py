"""Windows of a plan solved again with everything around them as it is: large-neighbourhood search.

A plan is an order and evictions: (step, storage) says that the storage leaves before the op of that step, while it is
still needed. What is present where a window begins is kept; what is present where it ends must be there again or be
paid for; what leaves in it and returns later leaves in any case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from memplan.solver import Budget
from memplan_solvers.search.piece import Piece

BEAM = 300
"""States of a level that go on in a window."""

STATES = 60_000
"""States after which a window is left as it is."""

LENGTHS = (36, 72, 144)
"""Ops of a window; the longer ones once the shorter ones find nothing."""


@dataclass(frozen=True)
class Way:
    """One way through a piece: ops by step, and what leaves before which step."""

    piece: Piece
    order: tuple[int, ...]
    evictions: tuple[tuple[int, int], ...]

    @cached_property
    def value(self) -> int:
        """What the evictions cost: a reload each, a store for the first of a storage that host does not have."""
        total, stored = 0, set(s for s, clean in enumerate(self.piece.clean) if clean)
        for _, s in sorted(self.evictions):
            total += self.piece.reload[s] + (0 if s in stored else self.piece.store[s])
            stored.add(s)
        return total

    @cached_property
    def steps(self) -> list[list[int]]:
        """Per storage, the steps that touch it."""
        found: list[list[int]] = [[] for _ in self.piece.size]
        for t, i in enumerate(self.order):
            for s in self.piece.touched[i]:
                found[s].append(t)
        return found

    @cached_property
    def leaves(self) -> list[list[int]]:
        """Per storage, the steps before which it leaves."""
        found: list[list[int]] = [[] for _ in self.piece.size]
        for t, s in sorted(self.evictions):
            found[s].append(t)
        return found

    def inside(self, s: int, t: int) -> bool:
        """Whether a storage that exists and is still needed is present between steps t - 1 and t."""
        last_touch = max((x for x in self.steps[s] if x < t), default=-1)
        last_leave = max((x for x in self.leaves[s] if x < t), default=-1)
        if last_touch < 0 and last_leave < 0:
            return self.piece.inside[s]
        return last_touch >= last_leave


@dataclass(frozen=True)
class Window:
    """Steps [first, stop) of a way as a piece. `leaving` are storages that must leave in it, whatever it does."""

    way: Way
    first: int
    stop: int

    @cached_property
    def _kinds(self) -> tuple[list[int], list[int]]:
        """Storages that the window decides about, and those that only leave."""
        way, piece = self.way, self.way.piece
        chosen: list[int] = []
        gone: list[int] = []
        for s, steps in enumerate(way.steps):
            if steps and (
                steps[-1] < self.first
                and not piece.closing[s]
                or steps[0] >= self.stop
                and not piece.begun[s]
            ):
                continue
            begun = piece.begun[s] or bool(steps and steps[0] < self.first)
            needed = piece.closing[s] or bool(steps and steps[-1] >= self.stop)
            within = any(self.first <= t < self.stop for t in steps)
            if within:
                chosen.append(s)
            elif begun and needed and way.inside(s, self.first):
                (chosen if way.inside(s, self.stop) else gone).append(s)
        return chosen, gone

    @cached_property
    def leaving(self) -> frozenset[int]:
        """Storages of the piece that are still needed behind the window and not present there."""
        way, piece = self.way, self.way.piece
        return frozenset(
            s
            for s in self._kinds[0]
            if (piece.closing[s] or way.steps[s][-1] >= self.stop) and not way.inside(s, self.stop)
        )

    @cached_property
    def piece(self) -> Piece:
        """The window as a piece of its own, storages numbered as in `_kinds`."""
        way, whole = self.way, self.way.piece
        chosen = self._kinds[0]
        number = {s: k for k, s in enumerate(chosen)}
        ops = way.order[self.first : self.stop]
        position = {i: k for k, i in enumerate(ops)}
        closing = tuple(
            s not in self.leaving
            and (whole.closing[s] or bool(way.steps[s]) and way.steps[s][-1] >= self.stop)
            for s in chosen
        )
        begun = tuple(whole.begun[s] or bool(way.steps[s]) and way.steps[s][0] < self.first for s in chosen)
        store = []
        for s in chosen:
            outside = any(not self.first <= t < self.stop for t in way.leaves[s])
            store.append(0 if outside or whole.clean[s] or s in self.leaving else whole.store[s])
        over = {}
        for k, i in enumerate(ops):
            saved, sources = whole.over.get(i, (0, ()))
            dying = tuple(number[s] for s in sources if way.steps[s][-1] < self.stop)
            if dying:
                over[k] = saved, dying
        return Piece(
            whole.capacity,
            ops,
            tuple(chosen),
            tuple(whole.size[s] for s in chosen),
            tuple(whole.reload[s] for s in chosen),
            tuple(store),
            tuple(tuple(number[s] for s in whole.touched[i]) for i in ops),
            tuple(whole.extra[i] for i in ops),
            over,
            tuple(tuple(position[p] for p in whole.preds[i] if p in position) for i in ops),
            begun,
            tuple(b and way.inside(s, self.first) for b, s in zip(begun, chosen, strict=True)),
            (False,) * len(chosen),
            closing,
        )

    @cached_property
    def value(self) -> int:
        """What the way pays in the window, but for what must leave in any case."""
        total, stored = 0, set()
        number = {s: k for k, s in enumerate(self._kinds[0])}
        for t, s in sorted(self.way.evictions):
            if not self.first <= t < self.stop or s not in number:
                continue
            if s in self.leaving and not any(t <= x < self.stop for x in self.way.steps[s]):
                continue
            k = number[s]
            total += self.piece.reload[k] + (0 if s in stored else self.piece.store[k])
            stored.add(s)
        return total

    def put_back(self, order: Sequence[int], evictions: Sequence[tuple[int, int]]) -> Way:
        """The way with the window's steps done so."""
        way, chosen = self.way, self._kinds[0]
        steps = [self.piece.ops[k] for k in order]
        last: dict[int, int] = {}
        for t, i in enumerate(steps):
            for s in way.piece.touched[i]:
                last[s] = self.first + t
        new = [(t, s) for t, s in way.evictions if not self.first <= t < self.stop]
        new += [(self.first + t, chosen[s]) for t, s in evictions]
        new += [(last.get(s, self.first - 1) + 1, s) for s in self.leaving]
        new += [(self.first, s) for s in self._kinds[1]]
        full = (*way.order[: self.first], *steps, *way.order[self.stop :])
        return replace(way, order=full, evictions=tuple(sorted(set(new))))


def improved(way: Way, budget: Budget, enough: int) -> Way:
    """A way that costs less, or the same one: windows around evictions solved again until none gets better."""
    from memplan_solvers.search.layered_search import Engine

    for length in LENGTHS:
        settled: set[tuple[int, ...]] = set()
        changed = True
        while changed and way.value > enough:
            changed = False
            first = 0
            while first < len(way.order):
                if budget.spent():
                    return way
                stop = min(first + length, len(way.order))
                key = way.order[first:stop]
                if key not in settled and any(first <= t < stop for t, _ in way.evictions):
                    settled.add(key)
                    window = Window(way, first, stop)
                    if window.value > 0:
                        found = Engine(window.piece, effort=2_000).search(
                            window.value, budget, BEAM, most=STATES
                        )
                        if found.order is not None:
                            better = window.put_back(found.order, found.evictions)
                            if better.value < way.value:
                                way, changed = better, True
                if stop == len(way.order):
                    break
                first += length // 2
        if length >= len(way.order):
            break
    return way
