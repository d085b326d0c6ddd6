"""Replacement for a fixed order: keep or drop each gap between two touches.

Presence is forced where an op touches a storage. Between two consecutive touches it may stay (its
size counts at the steps in between) or leave (it is loaded again, and stored once before that unless
host has it or gets it anyway). The best bytes over these choices is the best over all plans with this
order, addresses apart: stretches may begin and end at touches without loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from memplan.problem.contradictions import fixed_clashes
from memplan_solvers.ilp.linear import Linear
from memplan_solvers.residency import Stretch, Walk


class ReuseGap(NamedTuple):
    """Storage `storage` is touched at steps `before` and `after`, and not in between."""

    storage: int
    before: int
    after: int


@dataclass(frozen=True)
class Gaps:
    """The choices of one order under `capacity` bytes.

    gaps      what may be kept or dropped, in order of storage and step
    base      bytes that each step needs in any case
    """

    walk: Walk
    capacity: int

    @cached_property
    def pinned(self) -> frozenset[int]:
        return frozenset(i for i, s in enumerate(self.walk.problem.storages) if s.pinned)

    @cached_property
    def gaps(self) -> tuple[ReuseGap, ...]:
        problem = self.walk.problem
        stream = problem.options.weights == "stream"
        return tuple(
            ReuseGap(s, a, b)
            for s, steps in enumerate(self.walk.steps)
            if s not in self.pinned and not (stream and problem.storages[s].is_constant)
            for a, b in pairwise(steps)
        )

    @cached_property
    def base(self) -> tuple[int, ...]:
        walk, problem = self.walk, self.walk.problem
        sizes = [s.size for s in problem.storages]
        change = [0] * (problem.n + 1)
        for s in self.pinned:
            for start, stop in walk.whole[s]:
                change[start] += sizes[s]
                change[stop] -= sizes[s]
        base, live = [], 0
        for t, touched in enumerate(walk.touches):
            live += change[t]
            own = sum(sizes[s] for s in touched if s not in self.pinned)
            own -= sum(sizes[s] for s in touched if s in walk.inplace and walk.steps[s][0] == t)
            base.append(live + own)
        return tuple(base)

    def stretches(self, kept: Sequence[int | bool]) -> list[list[Stretch]]:
        """The stretches of presence per storage, where `kept[k]` says whether gap k stays."""
        problem = self.walk.problem
        stays = {(g.storage, g.before): bool(k) for g, k in zip(self.gaps, kept, strict=True)}
        found: list[list[Stretch]] = []
        for s, steps in enumerate(self.walk.steps):
            streamed = problem.options.weights == "stream" and problem.storages[s].is_constant
            if s in self.pinned or streamed:
                found.append(list(self.walk.whole[s]))
                continue
            parts: list[Stretch] = []
            for t in steps:
                if parts and stays[s, parts[-1][1] - 1]:
                    parts[-1] = (parts[-1][0], t + 1)
                else:
                    parts.append((t, t + 1))
            found.append(parts)
        return found

    def choice(self, stretches: Sequence[Sequence[Stretch]]) -> list[int]:
        """Which gaps these stretches keep: the inverse of `stretches`, for hints."""
        return [int(any(a <= g.before and g.after < b for a, b in stretches[g.storage])) for g in self.gaps]

    def fits(self, kept: Sequence[int | bool]) -> bool:
        """Whether the kept gaps fit the capacity at every step."""
        sizes = [s.size for s in self.walk.problem.storages]
        change = [0] * (self.walk.problem.n + 1)
        for g, k in zip(self.gaps, kept, strict=True):
            if k:
                change[g.before + 1] += sizes[g.storage]
                change[g.after] -= sizes[g.storage]
        live = 0
        for base, delta in zip(self.base, change, strict=False):
            live += delta
            if live + base > self.capacity:
                return False
        return True

    def filled(self, kept: Sequence[bool], ranked: Sequence[int]) -> list[bool]:
        """`kept`, which fits, and of the gaps `ranked` each that still fits, one after the other."""
        sizes = [s.size for s in self.walk.problem.storages]
        free, kept = [self.capacity - base for base in self.base], list(kept)
        for g in (gap for gap, stays in zip(self.gaps, kept, strict=True) if stays):
            for t in range(g.before + 1, g.after):
                free[t] -= sizes[g.storage]
        for k in ranked:
            g = self.gaps[k]
            span, size = range(g.before + 1, g.after), sizes[g.storage]
            if all(free[t] >= size for t in span):
                kept[k] = True
                for t in span:
                    free[t] -= size
        return kept

    def linear(self) -> tuple[Linear, list[int], dict[int, int]]:
        """The program, the keep variable of each gap, and the store variable of each dirty storage.

        Its value is the traffic of the order; streamed constants are in the constant. Steps whose
        gaps are a subset of a neighbour's with no smaller base get no row.
        """
        problem = self.walk.problem
        program = Linear(constant=int(problem.free_bound))
        keep: list[int] = []
        store: dict[int, int] = {}
        for g in self.gaps:
            s = problem.storages[g.storage]
            keep.append(program.binary(-s.nbytes))
            program.constant += s.nbytes
            if not (s.in_host or s.is_output):
                if g.storage not in store:
                    store[g.storage] = program.binary(s.nbytes)
                program.add([(keep[-1], 1), (store[g.storage], 1)], low=1)
        self._capacity_rows(program, keep)
        self._clashes(program, keep)
        return program, keep, store

    def _clashes(self, program: Linear, keep: list[int]) -> None:
        """Storages pinned to overlapping places are never there at once, but for a step they may share in place."""
        spans: dict[
            int, list[tuple[int, int, int | None]]
        ] = {}  # per pinned storage: steps, and the gap they are
        for s, storage in enumerate(self.walk.problem.storages):
            if storage.offset is not None:
                spans[s] = (
                    [(a, b, None) for a, b in self.walk.whole[s]]
                    if s in self.pinned
                    else [(t, t + 1, None) for t in self.walk.steps[s]]
                )
        for k, g in enumerate(self.gaps):
            if g.storage in spans:
                spans[g.storage].append((g.before + 1, g.after, k))
        for s, other in fixed_clashes(self.walk.problem, spans):
            pair = self.walk.inplace.get(s) == other or self.walk.inplace.get(other) == s
            for a, b, one in spans[s]:
                for c, d, two in spans[other]:
                    shared = min(b, d) - max(a, c)
                    both = [x for x in (one, two) if x is not None]
                    if shared > 1 or (shared == 1 and not (pair and not both)):
                        program.add([(keep[x], 1) for x in both], high=len(both) - 1)

    def _capacity_rows(self, program: Linear, keep: list[int]) -> None:
        sizes = [s.size for s in self.walk.problem.storages]
        opening: dict[int, list[int]] = {}
        closing: dict[int, list[int]] = {}
        for k, g in enumerate(self.gaps):
            if g.after > g.before + 1 and sizes[g.storage]:
                opening.setdefault(g.before + 1, []).append(k)
                closing.setdefault(g.after, []).append(k)
        live: dict[int, None] = {}
        rows: list[tuple[frozenset[int], int]] = []
        for t, base in enumerate(self.base):
            for k in closing.get(t, ()):
                del live[k]
            live.update(dict.fromkeys(opening.get(t, ())))
            free_bytes = self.capacity - base
            if sum(sizes[self.gaps[k].storage] for k in live) <= free_bytes:
                continue
            row = frozenset(live)
            while rows and rows[-1][0] <= row and rows[-1][1] >= free_bytes:
                rows.pop()
            if not (rows and row <= rows[-1][0] and free_bytes >= rows[-1][1]):
                rows.append((row, free_bytes))
        for row, free_bytes in rows:
            unit = math.gcd(*(sizes[self.gaps[k].storage] for k in row))
            terms = []
            for k in sorted(row):
                size = sizes[self.gaps[k].storage]
                if size > free_bytes:
                    program.upper[keep[k]] = 0  # can never stay across this step
                else:
                    terms.append((keep[k], size // unit))
            program.add(terms, high=free_bytes // unit)
