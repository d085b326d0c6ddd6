"""The sweep for overlaps against every pair compared with every other."""

from __future__ import annotations

import random
from itertools import combinations

from memplan.judge.check.space import overlaps
from memplan.problem.plan import Residency
from tests.plans import row


def share(a: Residency, b: Residency) -> bool:
    """Whether two residencies have a byte in common at a step."""
    bytes_of_b = range(b.offset, b.offset + b.size)
    return any(t in range(b.start, b.stop) for t in range(a.start, a.stop)) and any(
        byte in bytes_of_b for byte in range(a.offset, a.offset + a.size)
    )


def rows_of(dice: random.Random) -> list[Residency]:
    starts = [dice.randrange(6) for _ in range(dice.randint(0, 5))]
    return [
        row(f"r{k}", start, start + dice.randint(1, 3), dice.randrange(0, 12, 2), dice.choice((0, 2, 3, 4)))
        for k, start in enumerate(starts)
    ]


def test_an_overlap_is_found_wherever_there_is_one() -> None:
    seen = {True: 0, False: 0}
    for seed in range(1500):
        rows = rows_of(random.Random(seed))
        truth = {frozenset(pair) for pair in combinations(rows, 2) if share(*pair)}
        found = {frozenset(pair) for pair in overlaps(rows)}
        assert found <= truth and bool(found) == bool(truth), rows
        seen[bool(truth)] += 1
    assert min(seen.values()) > 300, seen


def test_all_pairs_are_told_as_long_as_they_lie_at_one_place() -> None:
    rows = [
        row("a", 0, 2, 0, 4),
        row("b", 1, 3, 0, 4),
        row("c", 2, 4, 0, 4),
        row("d", 0, 4, 4, 4),
    ]
    assert [(a.tensor, b.tensor) for a, b in overlaps(rows)] == [("a", "b"), ("b", "c")]
