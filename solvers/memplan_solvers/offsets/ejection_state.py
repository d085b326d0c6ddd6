"""What first fit and repair work on: who lies where, in buckets of steps. Nothing is compiled here.

Steps are numbered 0 .. horizon - 1; level l cuts them into 2^l buckets, for `lowest` <= l < `levels`. Bucket
b of level l has the number 2^l - 1 + b; it lists what lies and overlaps it, ascending by offset. Memory is
linear in the buffers.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats, Ints, Records, ShortInts

BOX = np.dtype(
    [
        ("begin", np.int64),  # first step
        ("stop", np.int64),  # the step after the last
        ("offset", np.int64),  # bytes, -1: it lies nowhere
        ("end", np.int64),  # bytes, offset + size where it lies
    ]
)


class PartialLayout(NamedTuple):
    """Buffers in order of start, and what lies."""

    box: Annotated[Records, BOX, "buffers"]
    size: Annotated[Ints, "buffers"]  # bytes
    first: Annotated[Ints, "buckets + 1"]  # where each bucket's list begins in `row`
    length: Annotated[Ints, "buckets"]  # of each bucket's list
    row: Annotated[ShortInts, "entries"]  # buffers, bucket by bucket
    horizon: int  # steps
    lowest: int  # the first level in use
    levels: int  # the level after the last
    target: int  # bytes: all is to lie below


class Neighbours(NamedTuple):
    """What lies and shares a step with one buffer, ascending by offset: scratch, filled from the front."""

    who: Annotated[ShortInts, "buffers"]
    low: Annotated[Ints, "buffers"]  # offsets, bytes
    high: Annotated[Ints, "buffers"]  # ends, bytes
    end: Annotated[Ints, "buffers"]  # the same ends, ascending
    worth: Annotated[Floats, "buffers"]  # the penalty of whose end that is


class EjectionPool(NamedTuple):
    """Who waits for a place (an ejection pool), and how hard each buffer is to place."""

    queue: Annotated[Ints, "buffers"]  # those that wait, filled from the front
    penalty: Annotated[Floats, "buffers"]


def make_neighbours(buffers: int) -> Neighbours:
    """Scratch for so many buffers."""
    low, high, end = np.empty((3, buffers), np.int64)
    return Neighbours(np.empty(buffers, np.int32), low, high, end, np.empty(buffers))
