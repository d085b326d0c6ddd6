"""Exact packing under a capacity: several branching orders raced in slices, each a resumable search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from memplan.buffers import Buffer
from memplan.plan import Status
from memplan.solver import Budget
from memplan_solvers.offsets.conflicts import Conflicts, Ints

ANEW = "+"
"""Marks an order by crowding that is made anew, from what waits, for each component that splits off."""
ORDERS = {"+cwa": 8, "wac": 4, "cwa": 2, "+cwd": 2, "+caw": 2, "cdw": 1, "dca": 1, "+wcd": 1}
"""Branching orders by sort keys, largest first: the load around the buffer (c for crowding), width in steps, area, degree;
and the share of the nodes that each gets. "+cwa", "+caw" and "wac" are MiniMalloc's; the others and the shares were chosen
on random perfect packings and on mirrored and perturbed traces."""
SLICE = 1_000
"""Nodes in a row for one order."""


class Race:
    """The searches for one capacity: orders take turns, and more of them join while none has ended.

    They run `budget.workers` at a time, those that would be least ahead of their share; the first in the row that ends
    decides, so the answer depends on the number of workers but not on their speed.
    """

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, capacity: int) -> None:
        self.buffers, self.graph, self.capacity = buffers, graph, capacity
        self.searches: dict[str, Search] = {}

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return sum(search.nodes for search in self.searches.values())

    def run(self, budget: Budget, node_limit: int | None = None) -> tuple[Status, list[int]]:
        """Go on until it is settled, the time is up or `node_limit` more nodes are spent.

        Feasible with offsets, infeasible (a proof) or unknown: then it may be run again, unless it is over.
        """
        stop = None if node_limit is None else self.nodes + node_limit
        with ThreadPoolExecutor(budget.workers) as pool:
            while not budget.spent() and (stop is None or self.nodes < stop):
                names = sorted(ORDERS, key=lambda name: (self._nodes(name) + SLICE) / ORDERS[name])[
                    : budget.workers
                ]
                for name in names:
                    if name not in self.searches:
                        self.searches[name] = Search(self.buffers, self.graph, name, self.capacity)
                batch = [self.searches[name] for name in names]
                ends = list(pool.map(lambda search: search.advance(SLICE), batch))
                for search, end in zip(batch, ends, strict=True):
                    if end == 1:
                        return Status.FEASIBLE, search.offsets
                if 0 in ends:
                    return (Status.INFEASIBLE if self.graph.exact else Status.UNKNOWN), []
        return Status.UNKNOWN, []

    def _nodes(self, name: str) -> int:
        return self.searches[name].nodes if name in self.searches else 0


def branching(buffers: Sequence[Buffer], graph: Conflicts, name: str) -> Ints:
    """Numbers of the buffers in the order called `name`."""
    size = np.array([b.size for b in buffers], np.int64)
    width = np.array([b.stop - b.start for b in buffers], np.int64)
    keys = {"c": graph.crowding, "w": width, "z": size, "a": size.astype(float) * width, "d": graph.degree}
    return np.lexsort([-keys[letter] for letter in reversed(name.removeprefix(ANEW))])


class Search:
    """One branching order's search, to be continued slice by slice."""

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, name: str, capacity: int) -> None:
        self.order = order = branching(buffers, graph, name)
        n, sections = len(order), graph.load.size
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        edges_begin, edges = _permuted(graph.first, order)
        cells_begin, cells = _permuted(graph.section_first, order)
        section, span = graph.section[cells], graph.span[order]
        owner = np.repeat(np.arange(n), np.diff(cells_begin))
        sharers = np.append(owner[by_section := np.argsort(section, kind="stable")], 0)
        sharers_begin = np.searchsorted(section[by_section], np.arange(sections + 1))
        facts = np.array(
            [(b.size, b.alignment, -1 if b.offset is None else b.offset) for b in buffers], np.int64
        )
        buffer = np.zeros((n + 1, 8), np.int64)
        buffer[:n, :3], buffer[:n, 3], buffer[:n, 5:7] = facts[order], _twins(buffers, order), span
        buffer[:, 4], buffer[:, 7] = edges_begin, cells_begin
        edge = np.stack([rank[graph.to[edges]], graph.above[edges], graph.below[edges]], 1)
        ranked = name.startswith(ANEW)
        now = np.full((n, 6), -1, np.int64)
        now[:, 0], now[:, 1], now[:, 3] = (
            0,
            np.maximum(buffer[:n, 2], 0),
            graph.crowding[order] if ranked else 0,
        )
        now[:, 5] = edges_begin[:-1]
        table = np.zeros((sections + 1, 5), np.int64)
        np.add.at(table[:, 0], section, buffer[owner, 0])
        np.add.at(table[:, 1], span[:, 0], 1)
        np.add.at(table[:, 1], span[:, 1], -1)
        table[:, 1] = table[:, 1].cumsum()
        table[:, 2] = table[:, 3] = sharers[sharers_begin]
        table[:, 4] = sharers_begin
        depths, components = np.full((n + 1, 4), -1, np.int64), np.zeros((n + 2, 6), np.int64)
        depths[0] = (0, 0, 1, -1)
        components[0] = (0, sections, -1, 0, n, -1)
        self._given = (buffer, edge, section, sharers)
        self._now, self._trail, self._state = (
            now,
            np.zeros((16 * n, 3), np.int64),
            np.array([0, 0, 0, 1, ranked], np.int64),
        )
        self._places = (now, table, depths, components, np.arange(n))
        self.capacity = capacity

    def advance(self, nodes: int) -> int:
        """Search on for `nodes` nodes: 1 solved, 0 exhausted, 2 neither yet."""
        from memplan_solvers.offsets.exact_kernel import FULL, search

        stop = self.nodes + nodes
        while (
            end := int(
                search(
                    self.capacity, stop - self.nodes, *self._given, *self._places, self._trail, self._state
                )
            )
        ) == FULL:
            self._trail = np.concatenate([self._trail, self._trail])
        return end

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return int(self._state[1])

    @property
    def offsets(self) -> list[int]:
        """Offsets by buffer, once solved."""
        found = np.empty(len(self.order), np.int64)
        found[self.order] = self._now[:, 4]
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
