"""First fit for buffers of any kind: alignments, fixed offsets, gaps, all through their conflicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from memplan.packing.buffers import Buffer
from memplan_solvers.offsets.conflicts import Conflicts


def first_fit(buffers: Sequence[Buffer], graph: Conflicts, order: Iterable[int]) -> list[int] | None:
    """Each buffer in turn at its lowest free place, fixed ones first; None where fixed ones collide."""
    offsets = [-1] * len(buffers)
    for i in sorted(order, key=lambda i: buffers[i].offset is None):
        row = slice(graph.first[i], graph.first[i + 1])
        forbidden = sorted(
            (offsets[j] - above, offsets[j] + below)
            for j, above, below in zip(
                graph.to[row].tolist(), graph.above[row].tolist(), graph.below[row].tolist(), strict=True
            )
            if offsets[j] >= 0
        )
        b = buffers[i]
        at = b.offset or 0
        for low, high in forbidden:  # open intervals
            if low < at < high:
                at = -(-high // b.alignment) * b.alignment
        if b.offset is not None and at != b.offset:
            return None
        offsets[i] = at
    return offsets
