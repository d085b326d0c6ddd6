"""First fit for buffers of any kind: alignments, fixed offsets, gaps, all through their conflicts."""

from __future__ import annotations

from collections.abc import Sequence

from memplan.buffers import Buffer
from memplan_solvers.offsets.conflicts import Conflicts
from memplan_solvers.offsets.one_pass import ORDERS


def first_fit(buffers: Sequence[Buffer], graph: Conflicts, order: Sequence[int]) -> list[int] | None:
    """Each buffer in turn at its lowest free place, fixed ones first; None where fixed ones collide."""
    first, to = graph.first.tolist(), graph.to.tolist()
    gap_of: list[dict[int, int]] = [
        dict(zip(to[a:b], graph.gap[a:b].tolist(), strict=True))
        for a, b in zip(first[:-1], first[1:], strict=True)
    ]
    offsets: dict[int, int] = {}
    for i in sorted(order, key=lambda i: buffers[i].offset is None):
        forbidden = sorted(
            (offsets[j] - gap, offsets[j] + gap_of[j][i]) for j, gap in gap_of[i].items() if j in offsets
        )
        b = buffers[i]
        at = b.offset or 0
        for low, high in forbidden:  # open intervals
            if low < at < high:
                at = -(-high // b.alignment) * b.alignment
        if b.offset is not None and at != b.offset:
            return None
        offsets[i] = at
    return [offsets[i] for i in range(len(buffers))]


def best_first_fit(buffers: Sequence[Buffer], graph: Conflicts, goal: int) -> list[int] | None:
    """The best of first fits over the one-pass orders; stops at the first that reaches `goal`."""
    best: list[int] | None = None
    best_peak = 0
    degree = [int(b - a) for a, b in zip(graph.first[:-1], graph.first[1:], strict=True)]
    for key in ORDERS.values():
        keys = [key(b.start, b.stop, b.size, d) for b, d in zip(buffers, degree, strict=True)]
        order = sorted(range(len(buffers)), key=lambda i: (keys[i], i))
        offsets = first_fit(buffers, graph, order)
        if offsets is None:
            return None
        peak = max(o + b.size for o, b in zip(offsets, buffers, strict=True))
        if best is None or peak < best_peak:
            best, best_peak = offsets, peak
        if peak <= goal:
            break
    return best
