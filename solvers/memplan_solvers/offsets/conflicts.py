"""Which buffers conflict, and how far apart they must be: the packer's view of a set of buffers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from memplan.buffers import Buffer

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Conflicts:
    """Pairs that share a step and could share an address, as a graph in compressed rows.

    Row i lists neighbours `to[first[i]:first[i + 1]]`; a neighbour j that lies above i must have
    offset_j >= offset_i + `gap[k]`. `section_first` and `section` list the sections (times between
    two events) in which each buffer is used in full; `load` is the bytes used per section.
    `exact` is False where windows in gaps make "above or below" a restriction: then a failed search
    proves nothing.
    """

    first: Ints
    to: Ints
    gap: Ints
    section_first: Ints
    section: Ints
    load: Ints
    exact: bool


def conflicts(buffers: Sequence[Buffer]) -> Conflicts:
    """The conflicts of the buffers; memory linear in pairs that really overlap, found by a sweep."""
    rows = [(s.start, s.stop, i, s.low, s.high) for i, b in enumerate(buffers) for s in b.segments]
    times = sorted({t for r in rows for t in r[:2]})
    index = {t: k for k, t in enumerate(times)}
    load = np.zeros(max(len(times) - 1, 1), np.int64)
    sections: list[list[int]] = [[] for _ in buffers]
    for start, stop, i, low, high in rows:
        a, b = index[start], index[stop]
        load[a:b] += high - low
        if high - low == buffers[i].size:
            sections[i].extend(range(a, b))
    above: dict[tuple[int, int], list[tuple[int, int]]] = {}
    live: dict[int, tuple[int, int, int, int, int]] = {}
    events = sorted([(r[1], 0, k) for k, r in enumerate(rows)] + [(r[0], 1, k) for k, r in enumerate(rows)])
    for _, begins, k in events:
        if not begins:
            del live[k]
            continue
        _, _, i, low, high = rows[k]
        for _, _, j, other_low, other_high in live.values():
            if i != j:
                # Forbidden: offset_i - offset_j strictly between these two.
                lo, hi = other_low - high, other_high - low
                pair, span = ((i, j), (lo, hi)) if i < j else ((j, i), (-hi, -lo))
                above.setdefault(pair, []).append(span)
        live[k] = rows[k]
    exact = True
    neighbours: list[list[tuple[int, int]]] = [[] for _ in buffers]
    for (i, j), spans in above.items():
        lo, hi = min(s[0] for s in spans), max(s[1] for s in spans)
        exact = exact and all(s[0] < 0 < s[1] for s in spans)
        neighbours[j].append((i, max(hi, 0)))  # i above j by at least hi
        neighbours[i].append((j, max(-lo, 0)))
    for row in neighbours:
        row.sort()
    counts = [len(row) for row in neighbours]
    widths = [len(s) for s in sections]
    return Conflicts(
        first=np.array([0, *np.cumsum(counts)], np.int64),
        to=np.array([j for row in neighbours for j, _ in row], np.int64),
        gap=np.array([g for row in neighbours for _, g in row], np.int64),
        section_first=np.array([0, *np.cumsum(widths)], np.int64),
        section=np.array([s for row in sections for s in row], np.int64),
        load=load,
        exact=exact,
    )
