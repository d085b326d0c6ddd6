"""Which memory holds what, as an integer program: what lies in a memory together must fit into it by bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from memplan.problem.placeable import Place
from memplan.problem.problem import Problem
from memplan_solvers.ilp.linear import Linear, Term
from memplan_solvers.placement.lives import Lives, Pair, pairs

FINEST = 2**20
"""The finest grid that byte costs are rounded down to, as a fraction of a byte's; coarser where sums would be too long.
"""

LONGEST = 2**50
"""Sums of costs on the grid stay below it, and so exact in floating point."""

MOST_TERMS = 1_000_000
"""Terms of the capacity rows beyond which the program is not built."""


class Crowd(NamedTuple):
    """Storages that are in a memory at the same time if they lie there, and the pairs that then share bytes."""

    memory: str
    storages: tuple[int, ...]
    pairs: tuple[Pair, ...]


class PlacementProgram:
    """The program, its variables by storage and place, and by in-place pair and memory.

    Args:
        problem: the problem; its `placeables` have a place each at least.
        crowds: what has to fit together.
        lives: the order whose pairs may share; none where crowds hold for every order.
    """

    def __init__(self, problem: Problem, crowds: Sequence[Crowd], lives: Lives | None = None) -> None:
        self.items, self.program = problem.placeables, Linear()
        self.grid = _grid(sum(max(p.cost for p in item.places) for item in self.items))
        self.chosen: dict[tuple[int, str], int] = {}
        self.shared: dict[tuple[Pair, str], int] = {}
        for k, item in enumerate(self.items):
            for place in item.places:
                self.chosen[k, place.memory] = self.program.binary(int(place.cost * self.grid))
            self.program.add([(self.chosen[k, p.memory], 1) for p in item.places], 1, 1)
        for crowd in crowds:
            self._crowd(crowd, problem.target.memory[crowd.memory].capacity, lives)
        for side in ("output", "operand"):
            groups: dict[int, list[Term]] = {}
            for (pair, _), y in self.shared.items():
                groups.setdefault(getattr(pair, side), []).append((y, 1))
            for terms in groups.values():
                if len(terms) > 1 and lives is not None:
                    self.program.add(terms, high=1)

    def _crowd(self, crowd: Crowd, capacity: int | None, lives: Lives | None) -> None:
        m, terms, most = crowd.memory, list[Term](), 0
        for k in crowd.storages:
            size = next(p.size for p in self.items[k].places if p.memory == m)
            terms.append((self.chosen[k, m], size))
            most += size
        if capacity is None or most <= capacity:
            return
        for pair in crowd.pairs:
            if lives is not None and lives.may_share(pair.output, pair.operand, m) is None:
                continue
            ends = self.chosen.get((pair.output, m)), self.chosen.get((pair.operand, m))
            if None in ends or pair.output not in crowd.storages or pair.operand not in crowd.storages:
                continue
            y = self.shared[pair, m] = self.program.binary()
            for x in ends:
                assert x is not None
                self.program.add([(y, 1), (x, -1)], high=0)
            size = next(p.size for p in self.items[pair.output].places if p.memory == m)
            terms.append((y, -size))
        self.program.add(terms, high=capacity)

    def lower(self, bound: int | None) -> float:
        """A cost that no placement beats, from a bound on the program."""
        return 0.0 if bound is None else bound / self.grid

    def places(self, x: Sequence[int]) -> list[Place]:
        """The place of each storage at a point of the program."""
        return [
            next(p for p in item.places if x[self.chosen[k, p.memory]]) for k, item in enumerate(self.items)
        ]

    def pairs(self, x: Sequence[int]) -> list[Pair]:
        """The in-place pairs at a point of the program."""
        return sorted(pair for (pair, _), y in self.shared.items() if x[y])

    def point(self, places: Sequence[Place], made: Sequence[Pair]) -> list[int]:
        """The program's variables for these places and pairs."""
        x = [0] * len(self.program.lower)
        for k, place in enumerate(places):
            x[self.chosen[k, place.memory]] = 1
        for pair in made:
            if (y := self.shared.get((pair, places[pair.output].memory))) is not None:
                x[y] = 1
        return x

    def exclude(self, memory: str, storages: set[int], made: Sequence[Pair]) -> None:
        """These storages do not lie in this memory together, not with exactly these of their pairs."""
        terms, low = [], 1
        for k in storages:
            terms.append((self.chosen[k, memory], -1))
            low -= 1
        for (pair, m), y in self.shared.items():
            if m == memory and {pair.output, pair.operand} <= storages:
                terms.append((y, -1 if pair in made else 1))
                low -= pair in made
        self.program.add(terms, low=low)


def _grid(most: float) -> int:
    grid = FINEST
    while grid > 1 and most * grid > LONGEST:
        grid //= 2
    return grid


def crowds_of(lives: Lives) -> list[Crowd] | None:
    """The largest sets of storages that an order has in each memory at a time; None where they are too many to list."""
    found, terms = [], 0
    paired: dict[int, list[Pair]] = {}
    for pair in lives.pairs:
        paired.setdefault(pair.step, []).append(pair)
    for memory in lives.addressed:
        begins: dict[int, list[int]] = {}
        ends: dict[int, list[int]] = {}
        for k, item in enumerate(lives.items):
            for place in item.places:
                for start, stop in lives.spans(k, place) if place.memory == memory else ():
                    begins.setdefault(start, []).append(k)
                    ends.setdefault(stop, []).append(k)
        live: set[int] = set()
        fresh = False
        for t in range(lives.n + 1):
            if fresh and t in ends:
                found.append(Crowd(memory, tuple(sorted(live)), tuple(paired.get(t - 1, ()))))
                terms, fresh = terms + len(live), False
                if terms > MOST_TERMS:
                    return None
            live.difference_update(ends.get(t, ()))
            live.update(begins.get(t, ()))
            fresh = fresh or t in begins
    return found


def crowds_of_any(problem: Problem) -> Iterator[Crowd]:
    """Storages that are in each memory together under every order: what one op touches."""
    items, touched = problem.placeables, dict[int, list[int]]()
    for k, item in enumerate(items):
        for i in item.touches:
            touched.setdefault(i, []).append(k)
    paired: dict[int, list[Pair]] = {}
    for i, output, operand in pairs(problem):
        paired.setdefault(i, []).append(Pair(i, output, operand))
    for memory in problem.target.addressed:
        for i, storages in sorted(touched.items()):
            there = [k for k in storages if any(p.memory == memory.name for p in items[k].places)]
            yield Crowd(memory.name, tuple(there), tuple(paired.get(i, ())))
