"""The table of residencies that memory space assignment builds, beside a list."""

from __future__ import annotations

import random
from typing import NamedTuple

import pytest
from memplan_solvers.common.holes import smallest_hole
from memplan_solvers.jit import kernel
from memplan_solvers.latency.arrays import LatencyArrays, make_arrays
from memplan_solvers.latency.residency_table import (
    ResidencyTable,
    add_row,
    best_hole,
    is_free,
    make_table,
    remove_row,
)

from memplan.solving.limits import Limits
from tests.solvers.latency.test_msa import small_problem


@kernel
def add(table: ResidencyTable, s: int, start: int, stop: int, offset: int) -> int:
    return int(add_row(table, s, start, stop, offset))


@kernel
def remove(table: ResidencyTable, r: int) -> None:
    remove_row(table, r)


@kernel
def free(arrays: LatencyArrays, table: ResidencyTable, offset: int, size: int, start: int, stop: int) -> bool:
    return bool(is_free(arrays, table, offset, size, start, stop))


@kernel
def hole(arrays: LatencyArrays, table: ResidencyTable, size: int, start: int, stop: int) -> int:
    return int(best_hole(arrays, table, size, start, stop))


class Row(NamedTuple):
    storage: int
    start: int
    stop: int
    offset: int


@pytest.mark.slow(reason="compiles kernels of its own")
def test_rows_holes_and_free_places_are_those_of_a_list() -> None:
    problem = small_problem("x>a a>b b>c c>d d,w>y", {"a": 3, "b": 7, "c": 5, "w": 4}, 40)
    arrays = make_arrays(problem, Limits(10.0))
    assert arrays is not None
    sizes, found = [s.size for s in problem.storages], {True: 0, False: 0}
    for seed in range(60):
        dice, table, rows = random.Random(seed), make_table(arrays), list[Row]()
        for _ in range(15):
            start, size = dice.randrange(4), dice.randint(1, 20)
            stop = dice.randint(start + 1, 5)
            beside = sorted(
                (r.offset, r.offset + sizes[r.storage], 0) for r in rows if r.start < stop and start < r.stop
            )
            at = hole(arrays, table, size, start, stop)
            assert at == smallest_hole(beside, size, end=40), seed
            offset = dice.randrange(40)
            is_clear = all(high <= offset or offset + size <= low for low, high, _ in beside)
            assert free(arrays, table, offset, size, start, stop) == is_clear
            found[is_clear] += 1
            if len(rows) > 7 or (rows and dice.random() < 0.3):
                gone = dice.randrange(len(rows))
                remove(table, gone)
                rows[gone] = rows[-1]
                rows.pop()
            else:
                s = dice.randrange(len(sizes))
                place = hole(arrays, table, sizes[s], start, stop)
                if place >= 0:
                    rows.append(Row(s, start, stop, place))
                    assert add(table, *rows[-1]) == len(rows) - 1
            used = int(table.used[0])
            assert [Row(*row) for row in table.rows[:used].tolist()] == rows
            order = table.by_offset[:used].tolist()
            assert sorted(order) == list(range(used))
            assert [rows[r].offset for r in order] == sorted(r.offset for r in rows)
    assert min(found.values()) > 100, found
