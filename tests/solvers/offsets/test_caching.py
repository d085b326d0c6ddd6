"""The caching allocator: sizes of segments, splitting, best fit, merging; and never an overlap."""

from __future__ import annotations

import random

from memplan_solvers.offsets.caching import LARGE_SEGMENT, MIB, SMALL_SEGMENT, CachingAllocator, place_caching


def test_segments_are_the_documented_ones() -> None:
    for nbytes, reserved in (
        (1, 2 * MIB),
        (MIB, 2 * MIB),
        (MIB + 1, 20 * MIB),
        (10 * MIB - 512, 20 * MIB),
        (10 * MIB, 10 * MIB),
        (11 * MIB, 12 * MIB),
    ):
        allocator = CachingAllocator()
        allocator.allocate(nbytes)
        assert allocator.reserved == reserved


def test_small_and_large_do_not_share() -> None:
    allocator = CachingAllocator()
    a, b, c = allocator.allocate(100), allocator.allocate(600), allocator.allocate(3 * MIB)
    assert (a, b, c) == (0, 512, SMALL_SEGMENT)
    assert allocator.allocate(5 * MIB) == SMALL_SEGMENT + 3 * MIB
    assert allocator.reserved == SMALL_SEGMENT + LARGE_SEGMENT


def test_the_smallest_free_block_serves_and_neighbours_join() -> None:
    allocator = CachingAllocator()
    blocks = [allocator.allocate(n * 512) for n in (4, 1, 2, 1, 8)]
    allocator.release(blocks[0])
    allocator.release(blocks[2])
    assert allocator.allocate(2 * 512) == blocks[2]  # not the larger hole before it
    assert allocator.allocate(3 * 512) == blocks[0]
    allocator.release(blocks[2])
    allocator.release(
        blocks[1]
    )  # joins both free neighbours: 512 left of the first hole, and the third block
    assert allocator.allocate(4 * 512) == blocks[0] + 3 * 512
    assert allocator.reserved == SMALL_SEGMENT


def test_a_large_block_s_small_rest_is_not_split_off() -> None:
    allocator = CachingAllocator()
    allocator.allocate(12 * MIB)
    other = allocator.allocate(LARGE_SEGMENT // 2 - 512)
    allocator.release(other)
    assert allocator.allocate(LARGE_SEGMENT - MIB) == allocator.reserved - LARGE_SEGMENT
    assert not allocator.free[False]


def test_never_an_overlap_and_all_comes_together_again() -> None:
    dice = random.Random(5)
    for _ in range(20):
        n = dice.randint(1, 120)
        starts = [dice.randrange(40) for _ in range(n)]
        stops = [start + dice.randint(1, 12) for start in starts]
        sizes = [dice.choice((0, 5, 512, 40_000, MIB, 3 * MIB, 15 * MIB)) for _ in range(n)]
        offsets = place_caching(starts, stops, sizes, alignment=dice.choice((1, 64, 1024, 48)))
        for i in range(n):
            for j in range(i):
                if starts[i] < stops[j] and starts[j] < stops[i]:
                    assert offsets[i] + sizes[i] <= offsets[j] or offsets[j] + sizes[j] <= offsets[i]
    allocator = CachingAllocator()
    live = [allocator.allocate(dice.randint(1, 4 * MIB)) for _ in range(200)]
    dice.shuffle(live)
    for at in live:
        allocator.release(at)
    assert all(size in (SMALL_SEGMENT, LARGE_SEGMENT) for pool in allocator.free.values() for size, _ in pool)
    assert sum(size for pool in allocator.free.values() for size, _ in pool) == allocator.reserved
