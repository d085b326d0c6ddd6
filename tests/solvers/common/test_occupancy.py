"""Who takes which bytes when, against a list of everything that was ever put there."""

from __future__ import annotations

import random
import time

import pytest
from memplan_solvers.common.occupancy import Occupancy


def test_it_says_what_a_list_says() -> None:
    for seed in range(40):
        rng = random.Random(seed)
        steps = rng.randint(1, 20)
        occupied, rows = Occupancy(steps), list[tuple[int, int, int, int, int]]()
        for owner in range(30):
            start = rng.randrange(steps)
            row = (
                owner,
                start,
                rng.randint(start + 1, steps),
                low := rng.randrange(9),
                low + rng.randrange(4),
            )
            occupied.add(*row)
            rows.append(row)
            if rng.random() < 0.3:
                gone = rows.pop(rng.randrange(len(rows)))
                occupied.remove(*gone[:3])
            begin = rng.randrange(steps)
            end = rng.randint(begin + 1, steps)
            there = sorted(
                (low, high, k) for k, a, b, low, high in rows if a < end and begin < b and low < high
            )
            assert occupied.taken(begin, end) == there


@pytest.mark.slow(reason="measures a speed")
def test_a_question_costs_what_is_there_and_not_what_was_ever_put_there() -> None:
    def seconds(steps: int) -> float:
        begin = time.process_time()
        occupied = Occupancy(steps)
        for t in range(steps - 3):
            occupied.add(t, t, t + 3, 0, 4)
            assert len(occupied.taken(t, t + 3)) <= 5
        return time.process_time() - begin

    few, many = min(seconds(2_000) for _ in range(3)), min(seconds(16_000) for _ in range(3))
    assert many < 20 * few  # eight times as many; a look at all of them would take sixty-four times as long
