"""What the steps of a frontier work on: sets of executed ops, their labels, and labels under way.

Axes as in `layer.py`; `entry` is a label of one set before the beaten ones are left out.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Ints, Records, ShortInts
from memplan_solvers.search.remaining_cost import Labels
from memplan_solvers.search.subsets import Leavers

COUNT = np.dtype([("labels", np.int64)])
"""How many labels a layer has."""

SERIAL = np.dtype([("next", np.int64)])
"""The number that the first label of the next set gets; slots with smaller ones count as empty."""


class Sets(NamedTuple):
    """All sets of executed ops of one size."""

    words: Ints  # [set, op_word] the sets
    slots: ShortInts  # [slot] a hash table of their numbers, -1 where free
    live: Ints  # [set, storage_word] what is live after each, as bits


class Bounds(NamedTuple):
    """What is known of each set of a layer besides its labels, in bytes."""

    peaks: Ints  # [set] the least peak on the way there
    limits: Ints  # [set] labels that pay so much with what the ops before cost at least are left out
    least: Ints  # [set] what a way through the set pays of this half at least


class HalfTerms(NamedTuple):
    """What is paid for in one half of the price."""

    returns: bool  # whether what is dropped is back at its next touch
    capacity: int
    rate: float  # the least price of a byte dropped


class GrowingLabels(NamedTuple):
    """Labels of a layer that is being made: see `remaining_cost.Labels`."""

    first: Ints  # [set]
    last: Ints  # [set]
    inside: Ints  # [label, storage_word]
    cost: Ints  # [label]
    totals: Annotated[Records, COUNT, "1"]


class WorkSpace(NamedTuple):
    """The labels of one set before the beaten ones are left out."""

    inside: Ints  # [entry, storage_word] storages kept
    cost: Ints  # [entry]
    held: Ints  # [entry] bytes of what is kept
    slots: Ints  # [slot] a hash table of serial numbers
    serial: Annotated[Records, SERIAL, "1"]


class Label(NamedTuple):
    """A label of a set."""

    inside: Ints  # [storage_word] storages kept
    cost: int  # the price


class SetRange(NamedTuple):
    """Sets from `start` to before `stop`."""

    start: int
    stop: int


class FoundLabels(NamedTuple):
    """What has been found of a set before its beaten labels are left out."""

    set: int  # its number
    labels: int  # how many, in the work space, -1 where it is full
    lowest: int  # the least that a way through one of them pays


class Above(NamedTuple):
    """The sets one op larger, with their labels."""

    sets: Sets
    labels: Labels


def work_space(entries: int, words: int) -> WorkSpace:
    """Room for so many labels of a set, a power of two."""
    return WorkSpace(
        inside=np.zeros((entries, words), np.int64),
        cost=np.zeros(entries, np.int64),
        held=np.zeros(entries, np.int64),
        slots=np.full(4 * entries, -1, np.int64),
        serial=np.zeros(1, SERIAL),
    )


def no_labels(sets: int, entries: int, words: int) -> GrowingLabels:
    """A layer without labels, with room for `entries`."""
    return GrowingLabels(
        first=np.zeros(sets, np.int64),
        last=np.zeros(sets, np.int64),
        inside=np.zeros((entries, words), np.int64),
        cost=np.zeros(entries, np.int64),
        totals=np.zeros(1, COUNT),
    )


def enlarged(made: GrowingLabels) -> GrowingLabels:
    """The same layer with twice the room."""
    return made._replace(
        inside=np.concatenate([made.inside, np.zeros_like(made.inside)]),
        cost=np.concatenate([made.cost, np.zeros_like(made.cost)]),
    )


def cut_short(made: GrowingLabels) -> Labels:
    """The layer without the room that was not needed."""
    count = int(made.totals["labels"][0])
    return Labels(made.first, made.last, made.inside[:count].copy(), made.cost[:count].copy())


class Taken(NamedTuple):
    """An op taken back before set k, and what the kernel works in meanwhile."""

    op: int
    gain: Ints  # [storage_word] what is there before the op because the op touches it, as bits
    row: Ints  # [storage_word]
    present: Ints  # [storage]
    leavers: Leavers
