"""Offset assignment alone: buffers with fixed lifetimes, and what a packer answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from memplan.base.errors import GraphError
from memplan.base.units import MAX_BYTES
from memplan.problem.plan import Status


class Gap(NamedTuple):
    """In steps `[start, stop)` only bytes `[low, high)` of the buffer are used; none if low == high."""

    start: int
    stop: int
    low: int
    high: int


class Segment(NamedTuple):
    """In steps `[start, stop)` the bytes `[low, high)` of a buffer are used, counted from its offset."""

    start: int
    stop: int
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes that are needed in steps `[start, stop)`.

    Args:
        name: for people.
        start, stop: steps from 0; the buffer is free at `stop`.
        size: bytes.
        alignment: its offset is a multiple of so many bytes.
        offset: the byte where it is fixed, None where it may lie anywhere.
        gaps: ascending parts of its lifetime in which less of it is used.

    Raises:
        GraphError: lifetime, size, alignment, offset or gaps make no sense.
    """

    name: str
    start: int
    stop: int
    size: int
    alignment: int = 1
    offset: int | None = None
    gaps: tuple[Gap, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop <= MAX_BYTES:
            raise GraphError(
                f"buffer '{self.name}' lives in [{self.start}, {self.stop})",
                "lifetimes are half-open and begin at 0 or later",
            )
        if not (0 <= self.size <= MAX_BYTES and 1 <= self.alignment <= MAX_BYTES):
            raise GraphError(
                f"buffer '{self.name}' has size {self.size}, alignment {self.alignment}",
                "sizes are whole bytes from 0, alignments from 1, up to 2^62",
            )
        if self.offset is not None and (not 0 <= self.offset <= MAX_BYTES or self.offset % self.alignment):
            raise GraphError(
                f"buffer '{self.name}' is fixed at {self.offset}",
                f"fixed offsets are multiples of the alignment, {self.alignment}, from 0",
            )
        at = self.start
        for gap in self.gaps:
            if not (at <= gap.start < gap.stop <= self.stop and 0 <= gap.low <= gap.high <= self.size):
                raise GraphError(
                    f"buffer '{self.name}' has the gap {gap.start}-{gap.stop}@{gap.low}:{gap.high}",
                    "gaps lie in the lifetime, ascending, windows in the buffer",
                )
            at = gap.stop

    @property
    def segments(self) -> tuple[Segment, ...]:
        """What is used when: the lifetime without its gaps, and the windows of the gaps that have one."""
        found, at = [], self.start
        for gap in self.gaps:
            if at < gap.start:
                found.append(Segment(at, gap.start, 0, self.size))
            if gap.low < gap.high:
                found.append(Segment(*gap))
            at = gap.stop
        if at < self.stop:
            found.append(Segment(at, self.stop, 0, self.size))
        return tuple(s for s in found if s.low < s.high)


@dataclass(frozen=True)
class Packing:
    """A packer's answer.

    Args:
        status: optimal where the peak is proved least, feasible where it fits, infeasible where no packing
            exists, unknown where none was found in time.
        offsets: bytes, one a buffer, in the buffers' order; empty where there is no packing.
        peak: the end in bytes of the highest buffer, None where there is no packing.
        bound: bytes that every valid packing needs.
        seconds: how long it took.
        nodes: decisions of the exact search, 0 where a one-pass order met the bound.
        method: what found it, for people.
    """

    status: Status
    offsets: tuple[int, ...]
    peak: int | None
    bound: int
    seconds: float = 0.0
    nodes: int = 0
    method: str = ""
