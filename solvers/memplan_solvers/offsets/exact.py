"""Exact packing under a capacity: several branching orders raced in slices, each a resumable search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from memplan.buffers import Buffer
from memplan.plan import Status
from memplan.solver import Budget
from memplan_solvers.offsets.conflicts import Conflicts

Key = Callable[["_Facts", int], tuple[float, ...]]

SLICE = 20_000
"""Nodes of the first round's slices; each round doubles them."""


class _Facts:
    """What branching orders sort by."""

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts) -> None:
        self.size = [b.size for b in buffers]
        self.width = [b.stop - b.start for b in buffers]
        self.area = [z * w for z, w in zip(self.size, self.width, strict=True)]
        self.start = [b.start for b in buffers]
        self.stop = [b.stop for b in buffers]
        self.degree = np.diff(graph.first).tolist()
        cut, load = graph.section_first, graph.load
        self.total = [
            int(load[graph.section[a:b]].max()) if b > a else 0 for a, b in zip(cut[:-1], cut[1:], strict=True)
        ]


ORDERS: tuple[Key, ...] = (
    lambda f, i: (-f.total[i], -f.area[i], -f.width[i]),
    lambda f, i: (-f.total[i], -f.width[i], -f.area[i]),
    lambda f, i: (-f.width[i], -f.area[i], -f.total[i]),
    lambda f, i: (-f.area[i], -f.width[i], -f.total[i]),
    lambda f, i: (-f.total[i], -f.size[i], -f.width[i]),
    lambda f, i: (-f.size[i], -f.width[i], -f.total[i]),
    lambda f, i: (f.start[i], -f.area[i]),
    lambda f, i: (-f.stop[i], -f.area[i]),
    lambda f, i: (-f.degree[i], -f.area[i]),
    lambda f, i: (-f.width[i], -f.size[i]),
)
"""Branching orders, by sort key; chosen on generated instances."""


class Search:
    """One branching order's search, to be continued slice by slice."""

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, order: Sequence[int], capacity: int) -> None:
        n = len(order)
        place = np.empty(n, np.int64)
        place[list(order)] = np.arange(n)
        self.order, self.n = list(order), n
        size = np.array([buffers[i].size for i in order], np.int64)
        align = np.array([buffers[i].alignment for i in order], np.int64)
        fixed = np.array([-1 if (o := buffers[i].offset) is None else o for i in order], np.int64)
        cuts = [(graph.first[i], graph.first[i + 1]) for i in order]
        first = np.array([0, *np.cumsum([b - a for a, b in cuts])], np.int64)
        to = _joined([place[graph.to[a:b]] for a, b in cuts])
        gap = _joined([graph.gap[a:b] for a, b in cuts])
        widths = [(graph.section_first[i], graph.section_first[i + 1]) for i in order]
        section_first = np.array([0, *np.cumsum([b - a for a, b in widths])], np.int64)
        section = _joined([graph.section[a:b] for a, b in widths])
        waiting = np.zeros(graph.load.size, np.int64)
        np.add.at(waiting, section, np.repeat(size, np.diff(section_first)))
        trail = to.size + section.size + 1
        self.low = np.zeros(n, np.int64)
        self.offset = np.full(n, -1, np.int64)
        self.state = np.zeros(3, np.int64)
        twin = _twins(buffers, order)
        self.given = (size, align, fixed, twin, first, to, gap, section_first, section, capacity)
        self.standing: tuple[Any, ...] = (
            self.low, self.offset, waiting, np.zeros(graph.load.size, np.int64), np.zeros(graph.load.size, np.int64),
            np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64),
            np.zeros(n + 1, np.int64),
            np.zeros(trail, np.int64), np.zeros(trail, np.int64), np.zeros(trail, np.int64), self.state,
        )  # fmt: skip

    def advance(self, nodes: int) -> int:
        """Search on for `nodes` nodes; SOLVED, EXHAUSTED or PAUSED."""
        from memplan_solvers.offsets.exact_kernel import search

        return int(search(*self.given, nodes, *self.standing))

    @property
    def offsets(self) -> list[int]:
        """Offsets by buffer, once solved."""
        found = [0] * self.n
        for k, i in enumerate(self.order):
            found[i] = int(self.offset[k])
        return found


def _joined(parts: list[Any]) -> Any:
    return np.ascontiguousarray(np.concatenate(parts)) if parts else np.zeros(0, np.int64)


def _twins(buffers: Sequence[Buffer], order: Sequence[int]) -> Any:
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


def solve(
    buffers: Sequence[Buffer], graph: Conflicts, capacity: int, budget: Budget, node_limit: int | None = None
) -> tuple[Status, list[int], int]:
    """Offsets under `capacity`: (feasible, infeasible or unknown; offsets; nodes).

    Orders take turns in slices that double, `budget.workers` at a time; the first order that ends decides, so the
    answer depends on the number of workers but not on their speed. Infeasible is a proof.
    """
    facts = _Facts(buffers, graph)
    orders = [sorted(range(len(buffers)), key=lambda i, key=key: (*key(facts, i), i)) for key in ORDERS]  # type: ignore[misc]
    searches = [Search(buffers, graph, order, capacity) for order in dict.fromkeys(map(tuple, orders))]
    workers = max(1, min(budget.workers, len(searches)))
    nodes, size = 0, SLICE
    with ThreadPoolExecutor(workers) as pool:
        while True:
            for k in range(0, len(searches), workers):
                batch = searches[k : k + workers]
                ends = list(pool.map(lambda s: _advance(s, size, budget), batch))  # noqa: B023
                nodes = sum(int(s.state[1]) for s in searches)
                for search, end in zip(batch, ends, strict=True):
                    if end == 1:
                        return Status.FEASIBLE, search.offsets, nodes
                    if end == 0 and graph.exact:
                        return Status.INFEASIBLE, [], nodes
                if budget.spent() or (node_limit is not None and nodes >= node_limit):
                    return Status.UNKNOWN, [], nodes
            size *= 2


def _advance(search: Search, nodes: int, budget: Budget) -> int:
    """One slice, in pieces short enough to notice that the time is up."""
    end = 2
    while nodes > 0 and end == 2 and not budget.spent():
        end = search.advance(min(nodes, SLICE))
        nodes -= SLICE
    return end
