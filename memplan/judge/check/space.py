"""Which residencies overlap in time and address: a sweep over the steps."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from memplan.problem.plan import Residency


def overlaps(rows: Sequence[Residency]) -> Iterator[tuple[Residency, Residency]]:
    """Pairs of residencies that share a step and an address, to the first step where two do that are not at one place.

    Live ones are kept sorted by offset. As long as any two are disjoint or, as in-place pairs are, at one
    place, a newcomer needs to be compared with its neighbours alone: O(r log r), however many overlap.
    """
    events = sorted(
        [(r.start, 1, k) for k, r in enumerate(rows)] + [(r.stop, 0, k) for k, r in enumerate(rows)]
    )
    live: list[tuple[int, int, int]] = []  # (offset, end, row)
    for _, begins, k in events:
        r = rows[k]
        if r.size <= 0:
            continue
        key = (r.offset, r.offset + r.size, k)
        at = bisect.bisect_left(live, key)
        if not begins:
            del live[at]
            continue
        met = [other for other in live[max(0, at - 1) : at + 1] if other[0] < key[1] and other[1] > key[0]]
        for _, _, other in met:
            yield rows[other], r
        if any(other[:2] != key[:2] for other in met):
            return
        live.insert(at, key)
