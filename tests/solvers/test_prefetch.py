"""Loads issued early: what room there is for them, and when the bus gets to them, worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from memplan_solvers.prefetch import Bytes, Holes, Load, PrefetchPolicy, list_schedule
from memplan_solvers.residency import Block

BLOCKS = [Block(0, 2, 6), Block(3, 4, 6), Block(2, 5, 2)]


def test_bytes_are_free_wherever_they_lie() -> None:
    free = Bytes(BLOCKS, capacity=10, n=5)
    assert free.free == [4, 4, 8, 2, 8]
    assert not free.take(1, 1) and free.free == [4, 4, 8, 2, 8]  # six do not fit beside six in step 1
    assert free.take(1, 2) and free.free == [4, 4, 2, 2, 8]
    assert free.take(2, 0) and free.free == [2, 2, 2, 2, 8]


def test_holes_are_between_what_lies_until_the_block_ends() -> None:
    blocks = [Block(0, 3, 4), Block(0, 1, 2), Block(2, 4, 3), Block(3, 5, 2)]
    holes = Holes(blocks, [0, 4, 7, 0], capacity=10, n=5)
    holes.advance(0)
    assert not holes.take(3, 0)  # 6 to 7 is too small while the second lies there
    holes.advance(1)
    assert holes.take(3, 1) and holes.offsets[3] == 4  # 4 to 7, between the first and the third
    pinned = Holes([*blocks[:3], Block(3, 5, 2, offset=5)], [0, 4, 7, 5], 10, 5)
    pinned.advance(1)
    assert pinned.take(3, 1) and pinned.offsets[3] == 5
    taken = Holes([*blocks[:3], Block(3, 5, 2, offset=8)], [0, 4, 7, 8], 10, 5)
    taken.advance(1)
    assert not taken.take(3, 1)  # the third comes to lie there


class Everywhere:
    """A space in which there is room for all, or for none but some."""

    def __init__(self, *refused: int) -> None:
        self.refused = refused

    def advance(self, t: int) -> None:
        pass

    def take(self, block: int, t: int) -> bool:
        return block not in self.refused


def starts(
    loads: list[Load], space: Any, policy: PrefetchPolicy, stop: Callable[[], bool] = lambda: False
) -> dict[int, int]:
    copies: Any = SimpleNamespace(loads=loads, idle=[1.0] * 6, stores={})
    return list_schedule(copies, space, policy, stop)


LOADS = [Load(0, 0, 2, 1.5), Load(1, 0, 4, 1.0), Load(2, 3, 5, 1.0)]


def test_a_load_is_issued_when_the_bus_would_run_dry() -> None:
    # Step 0: the first fills it for 1.5 s; step 1: half a second is left of it, the second joins; the third has no copy
    # in host before step 3.
    assert starts(LOADS, Everywhere(), PrefetchPolicy(1, 0.0)) == {0: 0, 1: 1, 2: 3}
    assert starts(LOADS, Everywhere(), PrefetchPolicy(1, float("inf"))) == {0: 0, 1: 0, 2: 3}


def test_past_a_load_without_room_only_with_reach() -> None:
    assert starts(LOADS, Everywhere(0), PrefetchPolicy(1, 0.0)) == {
        1: 2,
        2: 3,
    }  # the first blocks until it is due
    assert starts(LOADS, Everywhere(0), PrefetchPolicy(16, 0.0)) == {1: 0, 2: 3}


def test_what_was_decided_before_the_stop_stands() -> None:
    calls = iter([False, False, True])
    assert starts(LOADS, Everywhere(), PrefetchPolicy(1, 0.0), lambda: next(calls)) == {0: 0, 1: 1}
