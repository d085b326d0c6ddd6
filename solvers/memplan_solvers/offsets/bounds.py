"""Lower bounds on the peak of any packing, without search."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from memplan.packing.buffers import Buffer
from memplan.problem.fixed_places import attainable, least_top, lowest_end

MOST_FIXED_WORK = 4_000_000
"""Fixed buffers times all of them beyond which their places are no part of the bound."""
MOST_STEPS = 2_000
"""Steps at which what is live beside fixed buffers is summed up."""


def unit(buffers: Sequence[Buffer]) -> int:
    """A number that divides every offset and peak of some best packing.

    Lowered as far as it goes, each buffer of a packing rests on 0, on the end or a window's edge of another,
    or is fixed; so its offset is a multiple of everything's common divisor, but where its own alignment lifts
    it: then it is a multiple of that.
    """
    edges = (x for b in buffers for g in b.gaps for x in (g.low, g.high))
    divisor = math.gcd(*(x for b in buffers for x in (b.size, b.offset or 0)), *edges)
    alignments, before = {b.alignment for b in buffers}, -1
    while divisor != before:  # what one alignment takes away may let another lift
        before, divisor = divisor, math.gcd(divisor, *(a for a in alignments if divisor % a))
    return divisor or 1


def least_peak(buffers: Sequence[Buffer]) -> int:
    """The largest of: the end of a buffer wherever it is put, and the bytes used at one step (the load).

    Beside fixed buffers a buffer lies in a hole between them or above, and so does what is live with them. Where
    all share one alignment, the load counts each buffer in full alignments, but for the one on top, which may end
    anywhere.
    """
    if not buffers:
        return 0
    a = buffers[0].alignment
    ends = max((b.offset or 0) + b.size for b in buffers)
    bound = max(ends, _load(buffers, 1), _beside_fixed(buffers))
    if a > 1 and all(b.alignment == a and not b.gaps for b in buffers):
        slack = max(-b.size % a for b in buffers)
        bound = max(bound, _load(buffers, a) - slack)
    return bound


def next_peak(buffers: Sequence[Buffer], above: int, step: int) -> int:
    """The least peak above `above` that a best packing may have, all being multiples of `step` (see `unit`).

    The highest buffer is fixed, or stands on a pile of others on 0 or on a fixed one: the sums of sizes upon these ends
    are all the peaks there are. Where they cannot be listed, the next multiple.
    """
    following = (above // step + 1) * step
    if any(b.gaps or step % b.alignment for b in buffers):
        return following
    free = [b.size for b in buffers if b.offset is None]
    bases = {0, *(b.offset + b.size for b in buffers if b.offset is not None)}
    most = max(bases) + sum(free)
    sums = attainable(free, most, step)
    if sums is None or most <= above:
        return following
    peaks = 0
    for base in bases:
        peaks |= sums << (base // step)
    higher = peaks >> (following // step)
    return following + ((higher & -higher).bit_length() - 1) * step if higher else following


def _beside_fixed(buffers: Sequence[Buffer]) -> int:
    """The bound that fixed buffers without gaps give; 0 where there are none. O(fixed x buffers)."""
    fixed = [(b, b.offset) for b in buffers if b.offset is not None and not b.gaps and b.size]
    free = [b for b in buffers if b.offset is None and not b.gaps and b.size]
    if not fixed or len(fixed) * len(buffers) > MOST_FIXED_WORK:
        return 0
    step = unit(buffers)
    bound = 0
    for b in free:
        beside = [(at, at + f.size) for f, at in fixed if f.start < b.stop and b.start < f.stop]
        bound = max(bound, lowest_end(beside, b.size))
    for t in sorted({b.start for b, _ in fixed} | {b.start for b in free})[:MOST_STEPS]:
        there = [(at, at + f.size) for f, at in fixed if f.start <= t < f.stop]
        if there:
            bound = max(bound, least_top(there, [b.size for b in free if b.start <= t < b.stop], step))
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
