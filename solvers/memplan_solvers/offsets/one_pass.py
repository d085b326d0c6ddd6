"""Offsets in one pass over an order of the buffers: first fit or best fit.

Which buffers overlap in time is found once for all orders, so the cost is near linear in buffers + overlaps. Nothing is
compiled.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence

from memplan_solvers.common.holes import Extent, lowest_hole, smallest_hole
from memplan_solvers.offsets.sweep import sweep

Key = Callable[[int, int, int, int], tuple[int, ...]]
"""(start, stop, size, buffers overlapping in time) -> sort key, smallest first."""

ORDERS: dict[str, Key] = {
    "tflite": lambda a, b, z, c: (-z, a),  # size, as TensorFlow Lite's greedy planner
    "xla": lambda a, b, z, c: (-z, a - b, a),  # size then duration, as XLA's best-fit heap
    "area": lambda a, b, z, c: (-z * (b - a), -z, a),
    "duration": lambda a, b, z, c: (a - b, -z, a),
    "tvm": lambda a, b, z, c: (-c, -z, a),  # conflicts, as TVM's USMP
    "executorch": lambda a, b, z, c: (-z, a, b),  # size then start, as ExecuTorch's greedy
    "time": lambda a, b, z, c: (a, -z, -b),
    "time_reversed": lambda a, b, z, c: (-b, -z, a),
}
"""Orders by the name used in spec strings."""


MOST_BUFFERS = 20_000
MOST_OVERLAPS = 5_000_000
"""Buffers, and pairs of them that overlap in time, beyond which only the sweep is affordable."""

BUFFERS_A_CHECK = 256
"""Buffers placed between two checks of the clock."""


def load(starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int]) -> int:
    """The largest sum of sizes live at one step: a lower bound on every peak."""
    events = sorted(
        [(a, z) for a, z in zip(starts, sizes, strict=True)]
        + [(b, -z) for b, z in zip(stops, sizes, strict=True)]
    )
    live = most = 0
    for _, change in events:
        live += change
        most = max(most, live)
    return most


def neighbours(starts: Sequence[int], stops: Sequence[int]) -> list[list[int]]:
    """Per buffer, those that overlap it in time."""
    found: list[list[int]] = [[] for _ in starts]
    live: list[int] = []
    for i in sorted(range(len(starts)), key=starts.__getitem__):
        begin = starts[i]
        live = [j for j in live if stops[j] > begin]
        for j in live:
            found[j].append(i)
        found[i] += live
        live.append(i)
    return found


def place(
    order: Sequence[int],
    near: Sequence[Sequence[int]],
    sizes: Sequence[int],
    alignment: int = 1,
    best_fit: bool = False,
    limit: int | None = None,
    fixed: Sequence[int | None] = (),
    stop: Callable[[], bool] = lambda: False,
) -> list[int] | None:
    """Offsets of the buffers placed in `order`, those that are `fixed` (if given) before all others; `near`
    as `neighbours`.

    None as soon as one ends above `limit`, or where two fixed ones overlap, or when `stop` says so.
    """
    offsets = [0] * len(sizes)
    extents: list[Extent | None] = [None] * len(sizes)
    first = [i for i, offset in enumerate(fixed) if offset is not None]
    for k, i in enumerate((*first, *(i for i in order if fixed[i] is None)) if first else order):
        if k % BUFFERS_A_CHECK == BUFFERS_A_CHECK - 1 and stop():
            return None
        at = fixed[i] if first else None
        if sizes[i] == 0:
            offsets[i] = at or 0
            continue
        taken = sorted([extent for j in near[i] if (extent := extents[j]) is not None])
        if at is not None:
            offset = at
        elif best_fit:
            offset = smallest_hole(taken, sizes[i], alignment=alignment)
        else:
            offset = lowest_hole(taken, sizes[i], alignment)
        end = offset + sizes[i]
        if at is not None and any(low < end and at < high for low, high, _ in taken):
            return None
        if limit is not None and end > limit:
            return None
        offsets[i] = offset
        extents[i] = (offset, end, i)
    return offsets


def overlaps(starts: Sequence[int], stops: Sequence[int]) -> int:
    """How many ordered pairs of buffers overlap in time, each buffer with itself included."""
    begun, ended = sorted(starts), sorted(stops)
    return sum(
        bisect.bisect_left(begun, b) - bisect.bisect_right(ended, a)
        for a, b in zip(starts, stops, strict=True)
    )


def rows_in_order(name: str, starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int]) -> list[int]:
    """Buffer numbers in the order called `name`; ties by number."""
    begun, ended = sorted(starts), sorted(stops)
    key = ORDERS[name]

    def full_key(i: int) -> tuple[int, ...]:
        conflicts = bisect.bisect_left(begun, stops[i]) - bisect.bisect_right(ended, starts[i])
        return (*key(starts[i], stops[i], sizes[i], conflicts), i)

    return sorted(range(len(sizes)), key=full_key)


def pack_greedy(
    starts: Sequence[int],
    stops: Sequence[int],
    sizes: Sequence[int],
    alignment: int = 1,
    capacity: int | None = None,
    orders: Sequence[str] = tuple(ORDERS),
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[int], int]:
    """Offsets of the best of several one-pass packings, and their peak.

    Stops where the peak meets the load, with the first that fits `capacity` if that is given, or when `stop`
    says so. The sweep in time order comes first; where there are many overlaps it is all that is tried.
    """
    least = load(starts, stops, sizes)
    enough = max(least, capacity or 0)
    best = sweep(starts, stops, sizes)
    best_peak = max((o + z for o, z in zip(best, sizes, strict=True)), default=0)
    if len(sizes) > MOST_BUFFERS or overlaps(starts, stops) > MOST_OVERLAPS:
        return best, best_peak
    near = neighbours(starts, stops) if best_peak > enough else []
    for name in orders:
        rows = rows_in_order(name, starts, stops, sizes)
        for best_fit in (False, True):
            if best_peak <= enough or stop():
                return best, best_peak
            offsets = place(rows, near, sizes, alignment, best_fit, best_peak - 1, stop=stop)
            if offsets is not None:
                best = offsets
                best_peak = max((o + z for o, z in zip(offsets, sizes, strict=True)), default=0)
    return best, best_peak


def pack_around(
    starts: Sequence[int],
    stops: Sequence[int],
    sizes: Sequence[int],
    fixed: Sequence[int | None],
    alignment: int = 1,
    capacity: int | None = None,
    orders: Sequence[str] = tuple(ORDERS),
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[int] | None, int]:
    """As `pack_greedy`, around buffers whose offsets are `fixed`; None where two of those overlap."""
    ends = (o + z for o, z in zip(fixed, sizes, strict=True) if o is not None)
    enough = max(load(starts, stops, sizes), capacity or 0, *ends, 0)
    best, best_peak = None, 0
    near = neighbours(starts, stops)
    for name in orders if len(sizes) <= MOST_BUFFERS else orders[:1]:
        rows = rows_in_order(name, starts, stops, sizes)
        for best_fit in (False, True):
            if best is None:  # that there are no offsets must be known, not a matter of time
                offsets = place(rows, near, sizes, alignment, best_fit, None, fixed)
            else:
                offsets = place(rows, near, sizes, alignment, best_fit, best_peak - 1, fixed, stop)
            if offsets is not None:
                best = offsets
                best_peak = max((o + z for o, z in zip(offsets, sizes, strict=True)), default=0)
            if best is None or best_peak <= enough or stop():
                return best, best_peak
    return best, best_peak
