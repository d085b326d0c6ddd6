"""Linear programs over integers, as data: built once, solved by any backend."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

Term = tuple[int, int]
"""(variable number, coefficient)."""


@dataclass
class Linear:
    """Minimise `cost . x + constant` with `lower <= x <= upper` integer and `low <= row . x <= high`.

    A row is (terms, low, high), None for no limit on that side.
    """

    lower: list[int] = field(default_factory=list)
    upper: list[int] = field(default_factory=list)
    rows: list[tuple[list[Term], int | None, int | None]] = field(default_factory=list)
    cost: dict[int, int] = field(default_factory=dict)
    constant: int = 0

    def binary(self, cost: int = 0) -> int:
        """A new 0-1 variable."""
        return self.integer(0, 1, cost)

    def integer(self, lower: int, upper: int, cost: int = 0) -> int:
        """A new variable in `[lower, upper]`."""
        self.lower.append(lower)
        self.upper.append(upper)
        if cost:
            self.cost[len(self.lower) - 1] = cost
        return len(self.lower) - 1

    def add(self, terms: Iterable[Term], low: int | None = None, high: int | None = None) -> None:
        """A new row; terms of one variable are summed, and an empty row that cannot hold stays."""
        merged: dict[int, int] = {}
        for v, c in terms:
            merged[v] = merged.get(v, 0) + c
        row = [(v, c) for v, c in merged.items() if c]
        if row or (low or 0) > 0 or (high or 0) < 0:
            self.rows.append((row, low, high))

    def value(self, x: list[int]) -> int:
        """The objective at x."""
        return self.constant + sum(c * x[v] for v, c in self.cost.items())

    def holds(self, x: list[int]) -> bool:
        """Whether x obeys every bound and row, in exact arithmetic."""
        if any(not a <= v <= b for a, v, b in zip(self.lower, x, self.upper, strict=True)):
            return False
        for row, low, high in self.rows:
            total = sum(c * x[v] for v, c in row)
            if (low is not None and total < low) or (high is not None and total > high):
                return False
        return True

    def round_up(self, bound: float) -> int:
        """The least objective value of at least `bound` that integers can take: cost gcd steps."""
        step = math.gcd(*self.cost.values()) if self.cost else 0
        if not step:
            return self.constant
        return self.constant + step * math.ceil((bound - self.constant) / step)


@dataclass(frozen=True)
class LinearOutcome:
    """What a backend found: the best point (None without one), a true bound, a proof of emptiness, branches."""

    x: list[int] | None
    bound: int | None
    infeasible: bool = False
    nodes: int = 0
