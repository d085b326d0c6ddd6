"""Whether a packing is valid: depends on the buffer types alone, recomputes everything."""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from memplan.judge.check.violation import Violation
from memplan.packing.buffers import Buffer


def check_packing(buffers: Sequence[Buffer], offsets: Sequence[int], capacity: int | None) -> list[Violation]:
    """What is wrong with the offsets: number, alignment, fixed ones, capacity, overlaps; empty if valid.

    A sweep over the steps; O(s log s) for s segments of a valid packing.

    Args:
        buffers: what was packed.
        offsets: bytes, one a buffer.
        capacity: bytes, None without a limit.

    Returns:
        What is wrong with single buffers, in their order, then the first overlap.
    """
    if len(offsets) != len(buffers):
        return [Violation("count", f"{len(offsets)} offsets for {len(buffers)} buffers")]
    found: list[Violation] = []
    for b, offset in zip(buffers, offsets, strict=True):
        where = b.start, (b.name,), (offset,)
        if offset < 0 or offset % b.alignment:
            found.append(
                Violation("space", f"'{b.name}' at {offset} is not aligned to {b.alignment}", *where)
            )
        if b.offset is not None and offset != b.offset:
            found.append(Violation("fixed", f"'{b.name}' at {offset} is fixed at {b.offset}", *where))
        if capacity is not None and offset + b.size > capacity:
            found.append(Violation("space", f"'{b.name}' ends at {offset + b.size} of {capacity}", *where))
    return found + _overlaps(buffers, offsets)


def _overlaps(buffers: Sequence[Buffer], offsets: Sequence[int]) -> list[Violation]:
    rows = [
        (offset + s.low, offset + s.high, b.name, s.start, s.stop)
        for b, offset in zip(buffers, offsets, strict=True)
        for s in b.segments
    ]
    events = sorted([(r[4], 0, k) for k, r in enumerate(rows)] + [(r[3], 1, k) for k, r in enumerate(rows)])
    live: list[tuple[int, int, int]] = []
    for step, begins, k in events:
        low, high, name = rows[k][:3]
        key = (low, high, k)
        at = bisect.bisect_left(live, key)
        if not begins:
            del live[at]
            continue
        # What is live is disjoint as long as nothing was reported, so only the neighbours can touch.
        for other in live[max(0, at - 1) : at + 1]:
            if other[0] < high and other[1] > low:
                who = rows[other[2]][2]
                message = f"'{name}' [{low}, {high}) and '{who}' [{other[0]}, {other[1]}) overlap"
                return [Violation("space", message, step, (name, who), (low, other[0]))]
        live.insert(at, key)
    return []
