"""Lower bounds on the peak of any packing, without search."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from memplan.buffers import Buffer


def unit(buffers: Sequence[Buffer]) -> int:
    """A number that divides every offset and peak of some best packing.

    Lowered as far as it goes, each buffer of a packing rests on 0, on the end or a window's edge of another, or
    is fixed, so its offset is a multiple of everything's common divisor.
    """
    facts = [x for b in buffers for x in (b.size, b.alignment, b.offset or 0)]
    edges = [x for b in buffers for g in b.gaps for x in (g.low, g.high)]
    return math.gcd(*facts, *edges) or 1


def least_peak(buffers: Sequence[Buffer]) -> int:
    """The largest of: the end of a buffer wherever it is put, and the bytes used at one step (the load).

    Where all share one alignment, the load counts each buffer in full alignments, but for the one on top,
    which may end anywhere.
    """
    if not buffers:
        return 0
    a = buffers[0].alignment
    ends = max((b.offset or 0) + b.size for b in buffers)
    bound = max(ends, _load(buffers, 1))
    if a > 1 and all(b.alignment == a and not b.gaps for b in buffers):
        slack = max(-b.size % a for b in buffers)
        bound = max(bound, _load(buffers, a) - slack)
    return bound


def _load(buffers: Sequence[Buffer], alignment: int) -> int:
    """The most bytes used at one step, each buffer's rounded up."""
    events = []
    for b in buffers:
        for s in b.segments:
            used = -(-(s.high - s.low) // alignment) * alignment
            events += [(s.start, used), (s.stop, -used)]
    if not events:
        return 0
    rows = np.array(sorted(events), np.int64)
    return int(rows[:, 1].cumsum().max())
