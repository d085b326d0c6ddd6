"""Exact packing under a capacity: several branching orders raced in slices, each a resumable search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from memplan.buffers import Buffer
from memplan.plan import Status
from memplan.solver import Budget
from memplan_solvers.offsets.conflicts import Conflicts, Ints

ORDERS = ("cwa", "wac", "daw", "wca", "zac", "caw", "zwc", "awc", "dwa", "wzc")
"""Branching orders by sort keys, largest first: the load around the buffer (c for crowding), width in steps, size (z),
area, degree. Chosen on random perfect packings and on mirrored and perturbed traces."""
SLICE = 2_000
"""Nodes in a row for one order."""
PATIENCE = 12
"""Rounds that pass before one more order joins the race, after the first `RACERS`."""
RACERS = 2


class Race:
    """The searches for one capacity: orders take turns, and more of them join while none has ended.

    They run `budget.workers` at a time; the first in the row that ends decides, so the answer depends on the
    number of workers but not on their speed.
    """

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, capacity: int) -> None:
        self.buffers, self.graph, self.capacity = buffers, graph, capacity
        self.searches: list[Search] = []
        self.rounds = 0
        self.slice = max(SLICE, 2 * len(buffers))

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return sum(search.nodes for search in self.searches)

    def run(self, budget: Budget, node_limit: int | None = None) -> tuple[Status, list[int]]:
        """Go on until it is settled, the time is up or `node_limit` more nodes are spent.

        Feasible with offsets, infeasible (a proof) or unknown: then it may be run again, unless it is over.
        """
        stop = None if node_limit is None else self.nodes + node_limit
        with ThreadPoolExecutor(budget.workers) as pool:
            while not budget.spent() and (stop is None or self.nodes < stop):
                while len(self.searches) < min(len(ORDERS), RACERS + self.rounds // PATIENCE):
                    order = branching(self.buffers, self.graph, ORDERS[len(self.searches)])
                    self.searches.append(Search(self.buffers, self.graph, order, self.capacity))
                for k in range(0, len(self.searches), budget.workers):
                    batch = self.searches[k : k + budget.workers]
                    ends = list(pool.map(lambda search: search.advance(self.slice), batch))
                    for search, end in zip(batch, ends, strict=True):
                        if end == 1:
                            return Status.FEASIBLE, search.offsets
                    if 0 in ends:
                        return (Status.INFEASIBLE if self.graph.exact else Status.UNKNOWN), []
                    if budget.spent():
                        break
                self.rounds += 1
        return Status.UNKNOWN, []


def branching(buffers: Sequence[Buffer], graph: Conflicts, name: str) -> Ints:
    """Numbers of the buffers in the order called `name`."""
    size = np.array([b.size for b in buffers], np.int64)
    width = np.array([b.stop - b.start for b in buffers], np.int64)
    keys = {"c": graph.crowding, "w": width, "z": size, "a": size.astype(float) * width, "d": graph.degree}
    return np.lexsort([-keys[letter] for letter in reversed(name)])


class Search:
    """One branching order's search, to be continued slice by slice."""

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, order: Ints, capacity: int) -> None:
        n, self.order = len(order), order
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        first, edges = _permuted(graph.first, order)
        section_first, cells = _permuted(graph.section_first, order)
        section, span = graph.section[cells], graph.span[order]
        size = np.array([buffers[i].size for i in order], np.int64)
        align = np.array([buffers[i].alignment for i in order], np.int64)
        fixed = np.array([-1 if (o := buffers[i].offset) is None else o for i in order], np.int64)
        self.offset = np.full(n, -1, np.int64)
        self._given = (
            size, align, fixed, _twins(buffers, order), first, rank[graph.to[edges]], graph.above[edges],
            graph.below[edges], span, section_first, section, capacity,
        )  # fmt: skip
        sections = graph.load.size
        waiting, count, cut = (np.zeros(sections + 1, np.int64) for _ in range(3))
        np.add.at(waiting, section, np.repeat(size, np.diff(section_first)))
        np.add.at(count, span[:, 0], 1)
        np.add.at(count, span[:, 1] + 1, -1)
        np.add.at(cut, span[:, 0], 1)
        np.add.at(cut, span[:, 1], -1)
        depths = np.full((n + 1, 7), -1, np.int64)
        depths[0] = (0, 0, 1, n, -1, -1, 0)
        components = np.zeros((n + 2, 7), np.int64)
        components[0] = (0, sections, -1, 0, 0, n, -1)
        members = np.zeros(n * (n.bit_length() + 2), np.int64)
        members[:n] = np.arange(n)
        self._state = np.array([0, 0, 0, 1, n, 1], np.int64)
        self._standing: tuple[Any, ...] = (
            np.zeros(n, np.int64), self.offset, waiting, count.cumsum(), cut.cumsum(), np.zeros(sections, np.int64),
            depths, components, members, np.zeros((graph.to.size + 1, 2), np.int64), self._state,
        )  # fmt: skip

    def advance(self, nodes: int) -> int:
        """Search on for `nodes` nodes: 1 solved, 0 exhausted, 2 neither yet."""
        from memplan_solvers.offsets.exact_kernel import search

        return int(search(*self._given, nodes, *self._standing))

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return int(self._state[1])

    @property
    def offsets(self) -> list[int]:
        """Offsets by buffer, once solved."""
        found = np.empty_like(self.offset)
        found[self.order] = self.offset
        return [int(o) for o in found]


def _permuted(first: Ints, order: Ints) -> tuple[Ints, Ints]:
    """The row pointers of compressed rows taken in another order, and where their cells were."""
    counts = np.diff(first)[order]
    begins = np.concatenate([[0], counts.cumsum()])
    return begins, np.arange(counts.sum()) + np.repeat(first[:-1][order] - begins[:-1], counts)


def _twins(buffers: Sequence[Buffer], order: Ints) -> Ints:
    """Per position, the last earlier position of an interchangeable buffer, or -1."""
    last: dict[tuple[int, ...], int] = {}
    twin = np.full(len(order), -1, np.int64)
    for k, i in enumerate(order):
        b = buffers[i]
        if b.offset is None and not b.gaps:
            key = (b.start, b.stop, b.size, b.alignment)
            twin[k] = last.get(key, -1)
            last[key] = k
    return twin
