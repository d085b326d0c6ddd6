"""How much of the first memory ops cannot do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from memplan.problem.fixed_places import least_top
from memplan.problem.storage import Storage

Overwriting = Mapping[int, tuple[int, tuple[int, ...]]]
"""Per op, the storage it writes and those it may write it over, as `Problem.overwriting`."""


def needed(
    storages: Sequence[Storage], present: Sequence[Sequence[int]], overwriting: Overwriting
) -> tuple[int, ...]:
    """Per op, the bytes that the storages take which are present at its step, its result over an operand if it may."""
    sizes = [s.size for s in storages]
    total = [sum([sizes[s] for s in mine]) for mine in present]
    for i, (written, over) in overwriting.items():
        if written in present[i] and any(s in present[i] for s in over):
            total[i] -= storages[written].size
    return tuple(total)


def fixed_end(
    storages: Sequence[Storage], present: Sequence[Sequence[int]], overwriting: Overwriting, alignment: int
) -> int:
    """The byte up to which every plan reaches, since storages that every plan has are pinned to offsets; 0 without any."""
    fixed = {s for mine in present for s in mine if storages[s].offset is not None}
    fixed |= {k for k, s in enumerate(storages) if s.resident and s.offset is not None}
    if not fixed:
        return 0
    beside = [_end_at(i, storages, mine, overwriting, alignment) for i, mine in enumerate(present)]
    return max(*(storages[s].end for s in fixed), *beside)


def _end_at(
    i: int, storages: Sequence[Storage], present: Sequence[int], overwriting: Overwriting, alignment: int
) -> int:
    """The capacity below which what op `i` touches has no place beside what is pinned to an offset."""
    written, over = overwriting.get(i, (-1, ()))
    shared = {written} if written < 0 or storages[written].offset is None else {*over}
    mine = [(k, storages[k]) for k in present]
    pinned = [(s.offset, s.end) for _, s in mine if s.offset is not None and s.size]
    free = [s.size for k, s in mine if s.offset is None and k not in shared]
    return least_top(pinned, free, alignment) if pinned else 0
