"""Which residencies overlap in time and address: a sweep over the steps."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from memplan.plan import Residency


def overlaps(rows: Sequence[Residency]) -> Iterator[tuple[Residency, Residency]]:
    """Pairs of residencies of different storages that share a step and an address.

    Live ones are kept sorted by offset. While they are disjoint a newcomer needs to be compared with
    its neighbours alone; once some overlap, all live ones are compared. O(r log r) for a valid plan.
    """
    events = sorted(
        [(r.start, 1, k) for k, r in enumerate(rows)] + [(r.stop, 0, k) for k, r in enumerate(rows)]
    )
    live: list[tuple[int, int, int]] = []  # (offset, end, row)
    clean = True  # whether the live ones are disjoint
    for _, begins, k in events:
        r = rows[k]
        if r.size <= 0:
            continue
        key = (r.offset, r.offset + r.size, k)
        at = bisect.bisect_left(live, key)
        if not begins:
            del live[at]
            continue
        near = live[max(0, at - 1) : at + 1] if clean else live
        if clean and any(o < key[1] and e > key[0] for o, e, _ in near):
            near = live
        for offset, end, other in near:
            if offset < key[1] and end > key[0]:
                clean = False
                if rows[other].tensor != r.tensor:
                    yield rows[other], r
        live.insert(at, key)
        if not clean and len(live) == 1:
            clean = True
