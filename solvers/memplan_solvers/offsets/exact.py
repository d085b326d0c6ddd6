"""Exact packing under a capacity: several branching orders raced in slices, each a resumable search."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from memplan.packing.buffers import Buffer
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Ints
from memplan_solvers.offsets.conflicts import Conflicts
from memplan_solvers.offsets.exact_state import SliceOutcome, make_instance, make_progress

ANEW = "+"
"""Marks an order by crowding that is made anew, from what waits, for each component that splits off."""
BRANCHING_ORDERS = {"+cwa": 8, "wac": 4, "cwa": 2, "+cwd": 2, "+caw": 2, "cdw": 1, "dca": 1, "+wcd": 1}
"""Branching orders by sort keys, largest first: the load around the buffer (c for crowding), width in steps,
area, degree; and the share of the nodes that each gets. "+cwa", "+caw" and "wac" are MiniMalloc's; the others
and the shares were chosen on random perfect packings and on mirrored and perturbed traces.
"""
SLICE = 1_000
"""Nodes in a row for one order."""


class Race:
    """The searches for one capacity: orders take turns, and more of them join while none has ended.

    They run `limits.workers` at a time, those that would be least ahead of their share; the first in the row that ends
    decides, so the answer depends on the number of workers but not on their speed.
    """

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, capacity: int) -> None:
        self.buffers, self.graph, self.capacity = buffers, graph, capacity
        self.searches: dict[str, BranchAndBound] = {}

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return sum(search.nodes for search in self.searches.values())

    def run(self, limits: Limits, node_limit: int | None = None) -> tuple[Status, list[int]]:
        """Go on until it is settled, the time is up or `node_limit` more nodes are spent.

        Feasible with offsets, infeasible (a proof) or unknown: then it may be run again, unless it is over.
        """
        stop = None if node_limit is None else self.nodes + node_limit
        with ThreadPoolExecutor(limits.workers) as pool:
            while not limits.spent() and (stop is None or self.nodes < stop):
                names = sorted(
                    BRANCHING_ORDERS, key=lambda name: (self._nodes(name) + SLICE) / BRANCHING_ORDERS[name]
                )[: limits.workers]
                for name in names:
                    if name not in self.searches:
                        self.searches[name] = BranchAndBound(self.buffers, self.graph, name, self.capacity)
                batch = [self.searches[name] for name in names]
                ends = list(pool.map(lambda search: search.advance(SLICE), batch))
                for search, end in zip(batch, ends, strict=True):
                    if end is SliceOutcome.SOLVED:
                        return Status.FEASIBLE, search.offsets
                if SliceOutcome.EXHAUSTED in ends:
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


class BranchAndBound:
    """One branching order's search, to be continued slice by slice."""

    def __init__(self, buffers: Sequence[Buffer], graph: Conflicts, name: str, capacity: int) -> None:
        self.order = branching(buffers, graph, name)
        self._instance = make_instance(buffers, graph, self.order, capacity, name.startswith(ANEW))
        self._progress = make_progress(self._instance, graph, self.order)

    def advance(self, nodes: int) -> SliceOutcome:
        """Search on for `nodes` nodes: solved, exhausted or paused."""
        from memplan_solvers.offsets.exact_kernel import search

        stop = self.nodes + nodes
        while (end := search(self._instance, self._progress, stop - self.nodes)) == SliceOutcome.FULL:
            trail = self._progress.trail
            self._progress = self._progress._replace(trail=np.concatenate([trail, trail]))
        return SliceOutcome(end)

    @property
    def nodes(self) -> int:
        """Decisions taken so far."""
        return int(self._progress.counts["nodes"][0])

    @property
    def offsets(self) -> list[int]:
        """Offsets by buffer, once solved."""
        found = np.empty(len(self.order), np.int64)
        found[self.order] = self._progress.place["offset"]
        return [int(o) for o in found]
