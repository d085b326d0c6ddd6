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
                names = sorted(ORDERS, key=lambda name: (self._nodes(name) + SLICE) / ORDERS[name])[: budget.workers]
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
        from memplan_solvers.offsets.exact_kernel import Given, Standing

        self.order = order = branching(buffers, graph, name)
        n, sections = len(order), graph.load.size
        rank = np.empty(n, np.int64)
        rank[order] = np.arange(n)
        first, edges = _permuted(graph.first, order)
        section_first, cells = _permuted(graph.section_first, order)
        section, span = graph.section[cells], graph.span[order]
        owner = np.repeat(np.arange(n), np.diff(section_first))
        sharer = owner[by_section := np.argsort(section, kind="stable")]
        sharer_first = np.searchsorted(section[by_section], np.arange(sections + 1))
        size = np.array([buffers[i].size for i in order], np.int64)
        align = np.array([buffers[i].alignment for i in order], np.int64)
        fixed = np.array([-1 if (o := buffers[i].offset) is None else o for i in order], np.int64)
        self._given = Given(
            size, align, fixed, _twins(buffers, order), first, rank[graph.to[edges]], graph.above[edges],
            graph.below[edges], span, section_first, section, sharer_first, sharer, capacity,
        )  # fmt: skip
        waiting, cut = np.zeros(sections, np.int64), np.zeros(sections + 1, np.int64)
        np.add.at(waiting, section, size[owner])
        np.add.at(cut, span[:, 0], 1)
        np.add.at(cut, span[:, 1], -1)
        ranked = name.startswith(ANEW)
        depths, components = np.full((n + 1, 4), -1, np.int64), np.zeros((n + 2, 6), np.int64)
        depths[0] = (0, 0, 1, -1)
        components[0] = (0, sections, -1, 0, n, -1)
        self._standing = Standing(
            low=np.zeros(n, np.int64), floor=np.maximum(fixed, 0), hole=np.full(n, -1, np.int64),
            weight=graph.crowding[order] if ranked else np.zeros(n, np.int64), offset=np.full(n, -1, np.int64),
            block=np.minimum(first[:-1], edges.size - 1), waiting=waiting, cut=cut.cumsum(),
            next=np.repeat(np.append(sharer, 0)[sharer_first[:-1], None], 2, 1), depths=depths,
            components=components, members=np.arange(n), trail=np.zeros((16 * n, 3), np.int64),
            state=np.array([0, 0, 0, 1, ranked], np.int64),
        )  # fmt: skip

    def advance(self, nodes: int) -> int:
        """Search on for `nodes` nodes: 1 solved, 0 exhausted, 2 neither yet."""
        from memplan_solvers.offsets.exact_kernel import FULL, search

        stop = self.nodes + nodes
        while (end := int(search(self._given, self._standing, stop - self.nodes))) == FULL:
            trail = self._standing.trail
            self._standing = self._standing._replace(trail=np.concatenate([trail, trail]))
        return end

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return int(self._standing.state[1])

    @property
    def offsets(self) -> list[int]:
        """Offsets by buffer, once solved."""
        found = np.empty_like(self._standing.offset)
        found[self.order] = self._standing.offset
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
