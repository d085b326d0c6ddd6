"""What the exact search works on: its tables, and where it begins. Nothing is compiled here."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated, NamedTuple

import numpy as np

from memplan.packing.buffers import Buffer
from memplan_solvers.common.arrays import Ints, Records
from memplan_solvers.offsets.conflicts import Conflicts

TRAIL_ROWS = 16
"""Rows a buffer that the trail has at first."""


class SliceOutcome(IntEnum):
    """How a slice of the search ends."""

    SOLVED = 0
    EXHAUSTED = 1  # no packing exists
    PAUSED = 2  # neither yet
    FULL = 3  # the trail needs more rows


BUFFER = np.dtype(
    [
        ("size", np.int64),  # bytes
        ("alignment", np.int64),  # bytes
        ("fixed", np.int64),  # its offset, -1: free
        ("twin", np.int64),  # the last earlier buffer equal to it, -1: none
        ("edges", np.int64),  # where its edges begin
        ("begin", np.int64),  # the first section in which it is used at all
        ("last", np.int64),  # the last such section
        ("cells", np.int64),  # where its cells begin
    ]
)
EDGE = np.dtype(
    [
        ("to", np.int64),  # the neighbour
        ("above", np.int64),  # bytes from the buffer's offset to the least of the neighbour's above it
        ("below", np.int64),  # bytes from the neighbour's offset to the least of the buffer's above it
    ]
)
PLACE = np.dtype(
    [
        ("low", np.int64),  # bytes, see above
        ("floor", np.int64),  # bytes, see above
        ("hole", np.int64),  # an offset that it must not be able to drop to, -1: none
        ("weight", np.int64),  # of those whose floors are equal the one with the largest weight goes first
        ("offset", np.int64),  # where it lies, -1: it waits
        ("blocker", np.int64),  # the edge to a neighbour that may block its hole; a hint, not restored
    ]
)
SECTION = np.dtype(
    [
        ("waiting", np.int64),  # bytes of those that wait and fill it
        ("crossing", np.int64),  # how many that wait cross into the next section
        ("next", np.int64),  # two waiting buffers that may be the lowest of the section, as last seen
        ("other", np.int64),
        ("sharers", np.int64),  # where those that fill it begin
    ]
)
COMPONENT = np.dtype(
    [
        ("left", np.int64),  # its sections are [left, right)
        ("right", np.int64),
        ("parent", np.int64),  # the depth of the decision that split it off, -1: none
        ("row", np.int64),  # its waiting buffers are members[row:row + length]
        ("length", np.int64),
        ("sibling", np.int64),  # the component to go on with when it is packed, -1: none
    ]
)
DEPTH = np.dtype(
    [
        ("component", np.int64),  # what is to be packed from here, -1: nothing is left
        ("changes", np.int64),  # rows of the trail before the decision
        ("components", np.int64),  # components before the decision
        ("buffer", np.int64),  # the buffer it places, -1: not decided
    ]
)
CHANGE = np.dtype(
    [
        ("buffer", np.int64),  # whose place changed, and what that was before
        ("low", np.int64),
        ("floor", np.int64),
        ("hole", np.int64),
        ("weight", np.int64),
    ]
)
COUNTS = np.dtype(
    [
        ("depth", np.int64),  # decisions that stand
        ("nodes", np.int64),  # decisions taken so far
        ("changes", np.int64),  # rows of the trail
        ("components", np.int64),  # rows of the components
    ]
)


class PackingInstance(NamedTuple):
    """What no decision changes. Buffers are numbered in branching order; a section is a time between two events."""

    buffer: Annotated[Records, BUFFER, "buffers + 1"]  # one more row ends the last edges and cells
    edge: Annotated[Records, EDGE, "edges"]  # buffer by buffer
    cells: Annotated[Ints, "cells"]  # the sections that each buffer fills, buffer by buffer
    sharers: Annotated[Ints, "cells + 1"]  # the buffers that fill each section, section by section; a spare
    capacity: int  # bytes
    ranks_anew: bool  # whether weights follow what waits in each component


class SearchProgress(NamedTuple):
    """Where a search stands."""

    place: Annotated[Records, PLACE, "buffers"]
    section: Annotated[Records, SECTION, "sections + 1"]  # one more row ends the last sharers
    component: Annotated[Records, COMPONENT, "buffers + 2"]
    members: Annotated[Ints, "buffers"]  # all buffers, those of a component in a row
    depth: Annotated[Records, DEPTH, "buffers + 1"]
    trail: Annotated[Records, CHANGE, "changes"]  # what to restore, the last first
    counts: Annotated[Records, COUNTS, "1"]


def make_instance(
    buffers: Sequence[Buffer], graph: Conflicts, order: Ints, capacity: int, ranks_anew: bool
) -> PackingInstance:
    """The buffers and their conflicts, in branching order."""
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    edges_begin, edges = _permuted(graph.first, order)
    cells_begin, cells = _permuted(graph.section_first, order)
    ordered, span = [buffers[i] for i in order], graph.span[order]
    buffer = np.zeros(len(order) + 1, BUFFER)
    buffer["size"][:-1] = [b.size for b in ordered]
    buffer["alignment"][:-1] = [b.alignment for b in ordered]
    buffer["fixed"][:-1] = [-1 if b.offset is None else b.offset for b in ordered]
    buffer["twin"][:-1] = _twins(ordered)
    buffer["begin"][:-1], buffer["last"][:-1] = span[:, 0], span[:, 1]
    buffer["edges"], buffer["cells"] = edges_begin, cells_begin
    edge = np.zeros(len(edges), EDGE)
    edge["to"], edge["above"], edge["below"] = rank[graph.to[edges]], graph.above[edges], graph.below[edges]
    section, owner = graph.section[cells], np.repeat(np.arange(len(order)), np.diff(cells_begin))
    sharers = np.append(owner[np.argsort(section, kind="stable")], 0)
    return PackingInstance(buffer, edge, section, sharers, capacity, ranks_anew)


def make_progress(instance: PackingInstance, graph: Conflicts, order: Ints) -> SearchProgress:
    """Where every search begins: all buffers wait, in one component."""
    buffer, sections = instance.buffer[:-1], graph.load.size
    n = len(buffer)
    place = np.zeros(n, PLACE)
    place["floor"] = np.maximum(buffer["fixed"], 0)
    place["weight"] = graph.crowding[order] if instance.ranks_anew else 0
    place["hole"] = place["offset"] = -1
    place["blocker"] = buffer["edges"]
    section = np.zeros(sections + 1, SECTION)
    owner = np.repeat(np.arange(n), np.diff(instance.buffer["cells"]))
    np.add.at(section["waiting"], instance.cells, buffer["size"][owner])
    np.add.at(section["crossing"], buffer["begin"], 1)
    np.add.at(section["crossing"], buffer["last"], -1)
    section["crossing"] = section["crossing"].cumsum()
    section["sharers"] = np.searchsorted(np.sort(instance.cells), np.arange(sections + 1))
    section["next"] = section["other"] = instance.sharers[section["sharers"]]
    component, depth = np.zeros(n + 2, COMPONENT), np.zeros(n + 1, DEPTH)
    component[0] = (0, sections, -1, 0, n, -1)  # left, right, parent, row, length, sibling
    depth["buffer"] = depth["component"] = -1
    depth[0] = (0, 0, 1, -1)  # component, changes, components, buffer
    counts = np.zeros(1, COUNTS)
    counts["components"] = 1
    trail = np.zeros(TRAIL_ROWS * n, CHANGE)
    return SearchProgress(place, section, component, np.arange(n), depth, trail, counts)


def _permuted(first: Ints, order: Ints) -> tuple[Ints, Ints]:
    """The row pointers of compressed rows taken in another order, and where their cells were."""
    counts = np.diff(first)[order]
    begins = np.concatenate([[0], counts.cumsum()])
    return begins, np.arange(counts.sum()) + np.repeat(first[:-1][order] - begins[:-1], counts)


def _twins(ordered: Sequence[Buffer]) -> list[int]:
    """Per position, the last earlier position of an interchangeable buffer, or -1."""
    last: dict[tuple[int, ...], int] = {}
    twin = [-1] * len(ordered)
    for k, b in enumerate(ordered):
        if b.offset is None and not b.gaps:
            key = (b.start, b.stop, b.size, b.alignment)
            twin[k] = last.get(key, -1)
            last[key] = k
    return twin
