"""How kernels are compiled."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np
from memplan_solvers.jit import borrow, inlined, kernel


class Inside(NamedTuple):
    """What lies in a tuple of arrays."""

    table: Any  # int64[n, 2]


class Outside(NamedTuple):
    """A tuple of an array, a number and a tuple."""

    row: Any  # float64[n]
    factor: float
    inside: Inside


@inlined
def scale(of: Outside) -> None:
    """Change both arrays in place."""
    row, table = of.row, of.inside.table
    for i in range(len(row)):
        row[i] *= of.factor
        table[i, 1] += 1


@kernel
def rounds(of: Outside, count: int) -> float:
    """Scale so often; the sum of the row."""
    of = borrow(of)
    for _ in range(count):
        scale(of)
    return float(of.row.sum())


def test_what_is_borrowed_is_the_callers_at_any_depth_and_is_not_counted() -> None:
    of = Outside(np.arange(4.0), 2.0, Inside(np.zeros((4, 2), np.int64)))
    held = [sys.getrefcount(array) for array in (of.row, of.inside.table)]
    for _ in range(100):
        rounds(of, 0)
    assert rounds(of, 3) == 6 * 8
    assert of.row.tolist() == [0, 8, 16, 24] and of.inside.table.tolist() == [[0, 3]] * 4
    assert [sys.getrefcount(array) for array in (of.row, of.inside.table)] == held
