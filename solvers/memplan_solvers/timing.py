"""From the step model to the timed one: stores get the time in which their storage is there anyway."""

from __future__ import annotations

from memplan.plan import Move, Residency


def stretch_stores(residencies: tuple[Residency, ...], moves: tuple[Move, ...]) -> tuple[Move, ...] | None:
    """The moves with each store issued when its storage appears and due when it leaves.

    None where a storage leaves and returns between two steps: no copy fits in between.
    """
    first: dict[str, Residency] = {}
    later: dict[str, int] = {}
    for r in sorted(residencies, key=lambda r: r.start):
        if r.tensor not in first:
            first[r.tensor] = r
        else:
            later.setdefault(r.tensor, r.start)
    timed = []
    for move in moves:
        if move.kind == "store":
            start, stop = first[move.tensor].start, first[move.tensor].stop
            due = stop if later.get(move.tensor, stop + 1) > stop else stop - 1
            if due <= start:
                return None
            move = Move("store", move.tensor, start, due)
        timed.append(move)
    return tuple(sorted(timed, key=lambda m: (m.issue, m.kind, m.tensor)))


def hoist_loads(
    residencies: tuple[Residency, ...], moves: tuple[Move, ...]
) -> tuple[tuple[Residency, ...], tuple[Move, ...]]:
    """Residencies and moves with each load issued as early as its place is free and no load due before it is issued later.

    So loads that the step model issues where they are due get the time of the steps before.
    """
    rows = list(residencies)
    place = {(r.tensor, r.start): i for i, r in enumerate(rows)}
    stored = {move.tensor: move.due for move in moves if move.kind == "store"}
    ends: dict[str, list[int]] = {}
    for r in rows:
        ends.setdefault(r.tensor, []).append(r.stop)
    hoisted, floor = [], 0
    for move in sorted(moves, key=lambda m: (m.due, m.issue)):
        i = place.get((move.tensor, move.issue))
        if move.kind == "load" and i is not None:
            row = rows[i]
            earliest = max([floor, *(stop for stop in ends[move.tensor] if stop <= row.start)])
            if move.tensor in stored:
                earliest = max(earliest, stored[move.tensor] + 1)
            for other in rows:
                if other is not row and other.start < row.start and other.offset < row.offset + row.size:
                    if other.offset + other.size > row.offset:
                        earliest = max(earliest, min(other.stop, row.start))
            start = min(earliest, row.start)
            rows[i] = row._replace(start=start)
            move, floor = move._replace(issue=start), max(floor, start)
        hoisted.append(move)
    return tuple(rows), tuple(sorted(hoisted, key=lambda m: (m.issue, m.kind, m.due, m.tensor)))
