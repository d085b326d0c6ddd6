"""Who conflicts with whom, and how far apart they must lie, against every byte of every step."""

from __future__ import annotations

import random

from memplan_solvers.offsets.conflicts import conflicts

from tests.solvers.offsets.instances import clash, tiny


def test_distances_are_those_at_which_no_byte_is_used_twice() -> None:
    exact = interlocking = 0
    for seed in range(400):
        buffers = tiny(random.Random(seed))
        graph = conflicts(buffers)
        for i, a in enumerate(buffers):
            row = slice(graph.first[i], graph.first[i + 1])
            near = graph.to[row].tolist()
            assert near == sorted(set(near)) and i not in near
            above = dict(zip(near, graph.above[row].tolist(), strict=True))
            below = dict(zip(near, graph.below[row].tolist(), strict=True))
            for j, b in enumerate(buffers):
                if i == j:
                    continue
                collide = {d for d in range(-8, 9) if clash(a, 20, b, 20 + d)}  # b lies d bytes above a
                if j not in above:
                    assert not collide, (seed, i, j)
                    continue
                open_interval = {d for d in range(-8, 9) if -below[j] < d < above[j]}
                assert collide <= open_interval
                if graph.exact:
                    assert collide == open_interval, (seed, i, j)
        exact += graph.exact
        interlocking += not graph.exact
    assert exact > 250 and interlocking > 5, (exact, interlocking)


def test_loads_are_the_bytes_used_between_two_events() -> None:
    for seed in range(200):
        buffers = tiny(random.Random(seed))
        graph = conflicts(buffers)
        times = sorted({t for b in buffers for s in b.segments for t in (s.start, s.stop)})
        used = [
            sum(s.high - s.low for b in buffers for s in b.segments if s.start <= t < s.stop)
            for t in times[:-1]
        ]
        assert graph.load.tolist() == (used or [0])
        for i, b in enumerate(buffers):
            full = {
                k for k, t in enumerate(times[:-1]) for s in b.segments
                if s.start <= t < s.stop and s.high - s.low == b.size
            }  # fmt: skip
            filled = graph.section[graph.section_first[i] : graph.section_first[i + 1]].tolist()
            assert sorted(filled) == sorted(full)
            assert graph.crowding[i] == max((used[k] for k in full), default=0)
