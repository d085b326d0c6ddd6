"""Offset assignment alone, through whichever packer is installed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from operator import index
from typing import SupportsIndex

from memplan.base.errors import GraphError, InvalidPlanError, OptionError
from memplan.base.plugins import PACKERS, load_plugin, plugins
from memplan.base.units import MAX_BYTES
from memplan.packing.buffers import Buffer, Gap, Packing
from memplan.packing.check import check_packing
from memplan.problem.plan import Status
from memplan.solving.limits import Limits, Progress, limits_for

DEFAULT_PACKER = "ladder"


class Packer(ABC):
    """Assigns offsets. Found through the entry-point group `memplan.packers`."""

    @abstractmethod
    def pack(self, buffers: Sequence[Buffer], capacity: int | None, limits: Limits) -> Packing:
        """Offsets under `capacity` bytes, or with the least peak where it is None.

        Deterministic for the same buffers, seed and workers unless the time ran out. The bound is
        true: no valid packing has a smaller peak. Status infeasible only where that is proved.

        Args:
            buffers: what is packed; the caller has seen to it that their sizes add up to 2^62 at most.
            capacity: bytes, None where the least peak is asked for.
            limits: time, workers, seed; `limits.spent()` is asked at least every 0.1 s.

        Returns:
            Offsets in the order of the buffers; the caller checks them.
        """


def pack(
    starts: Collection[SupportsIndex],
    stops: Collection[SupportsIndex],
    sizes: Collection[SupportsIndex],
    capacity: int | None = None,
    *,
    alignment: int | Collection[SupportsIndex] = 1,
    offsets: Collection[SupportsIndex | None] | None = None,
    gaps: Sequence[Sequence[Gap]] | None = None,
    time_limit_s: float = 10.0,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Packing:
    """Checked offsets for n buffers given as arrays: within `capacity`, or with the least peak.

    Each argument of length n is a list, a tuple or an array of NumPy.

    Args:
        starts, stops: whole numbers of length n; buffer i lives in steps `[starts[i], stops[i])`.
        sizes: bytes, of length n.
        capacity: bytes, None where the least peak is asked for.
        alignment: offsets are multiples of so many bytes; one number, or one a buffer.
        offsets: bytes, of length n, where buffers are fixed; None for those that may lie anywhere.
        gaps: of each buffer, the parts of its lifetime in which less of it is used.
        time_limit_s, workers, seed, progress, cancel: as of `plan`.

    Returns:
        The offsets and what is proved about their peak; `status` infeasible or unknown where there are none.

    Raises:
        GraphError: lengths differ, a buffer makes no sense, or sizes add up to more than 2^62 bytes.
        OptionError: capacity, time limit, workers or seed make no sense.

    >>> import memplan
    >>> packing = memplan.pack(starts=[0, 1, 2], stops=[2, 3, 4], sizes=[5, 6, 7])
    >>> print(packing.status, packing.peak, packing.offsets)
    optimal 13 (0, 7, 0)
    """
    n = len(sizes)
    alignments = [alignment] * n if isinstance(alignment, int) else alignment
    columns = (starts, stops, sizes, alignments, [None] * n if offsets is None else offsets, gaps or [()] * n)
    if any(len(column) != n for column in columns):
        raise GraphError("the arrays differ in length", "give one entry a buffer in each")
    try:
        buffers = [
            Buffer(
                str(i),
                index(a),
                index(b),
                index(z),
                index(g),
                None if at is None else index(at),
                tuple(Gap(*w) for w in windows),
            )
            for i, (a, b, z, g, at, windows) in enumerate(zip(*columns, strict=True))
        ]
    except TypeError as error:
        raise GraphError(f"the arrays hold something else: {error}", "give whole numbers") from error
    return pack_buffers(
        buffers,
        capacity,
        time_limit_s=time_limit_s,
        workers=workers,
        seed=seed,
        progress=progress,
        cancel=cancel,
    )


def pack_buffers(
    buffers: Sequence[Buffer],
    capacity: int | None = None,
    *,
    time_limit_s: float = 10.0,
    workers: int | None = None,
    seed: int = 0,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Packing:
    """Checked offsets for `buffers`: within `capacity`, or with the least peak if that is None.

    Args:
        buffers: what is packed.
        capacity: bytes, None where the least peak is asked for.
        time_limit_s, workers, seed, progress, cancel: as of `plan`.

    Returns:
        Offsets in the order of the buffers; `status` infeasible or unknown where there are none.

    Raises:
        GraphError: the sizes add up to more than 2^62 bytes.
        OptionError: capacity, time limit, workers or seed make no sense, or no packer is installed.
        InvalidPlanError: the packer's answer is not valid, which is a bug in it.
    """
    if (
        sum(b.size + b.alignment for b in buffers) + max((b.offset or 0 for b in buffers), default=0)
        > MAX_BYTES
    ):
        raise GraphError("the sizes of the buffers add up to more than 2^62 bytes", "give sizes in bytes")
    if capacity is not None and capacity < 0:
        raise OptionError(f"capacity {capacity}", "give a whole number of bytes from 0")
    points = plugins(PACKERS)
    if DEFAULT_PACKER not in points:
        raise OptionError("no packer is installed", "install memplan with its solvers")
    packer: Packer = load_plugin(points[DEFAULT_PACKER])()
    limits = limits_for(time_limit_s, workers, seed, progress, cancel)
    begin = time.monotonic()
    answer = packer.pack(buffers, capacity, limits)
    if answer.status not in (Status.INFEASIBLE, Status.UNKNOWN):
        if violations := check_packing(buffers, answer.offsets, capacity):
            raise InvalidPlanError(
                f"the packing is not valid: {violations[0]}", "this is a bug in the packer"
            )
        peak = max((o + b.size for o, b in zip(answer.offsets, buffers, strict=True)), default=0)
        if answer.bound > peak:
            raise InvalidPlanError(
                f"the bound {answer.bound} is above the peak {peak}", "this is a bug in the packer"
            )
        status = Status.OPTIMAL if peak == answer.bound else Status.FEASIBLE
        answer = replace(answer, peak=peak, status=status)
    return replace(answer, seconds=answer.seconds or time.monotonic() - begin)


def clash(buffers: Sequence[Buffer]) -> str:
    """Which buffers are fixed over one another; nothing if none are."""
    fixed = [b for b in buffers if b.offset is not None]
    wrong = check_packing(fixed, [b.offset or 0 for b in fixed], None)
    return wrong[0].message if wrong else ""
