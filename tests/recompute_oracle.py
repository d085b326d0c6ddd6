"""The least cost of executing ops again on tiny problems, by brute force from the model's definitions.

Written apart from the solver: it reads graph, target and options only, and goes through what can be executed next, with
what lies in memory as the state. Whatever still has room is kept, since it never harms; of what must go any choice is tried.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import combinations, count

from memplan.base.units import align_up
from memplan.problem.problem import Problem

State = tuple[tuple[int, ...], frozenset[str], frozenset[str]]
"""How often each op was executed, what lies in memory, and which inputs and constants have been loaded."""


class RecomputeOracle:
    """One problem, live bytes alone."""

    def __init__(self, problem: Problem) -> None:
        graph, options = problem.graph, problem.options
        self.ops, self.most, self.program = graph.ops, options.recompute, options.order == "program"
        self.capacity = problem.capacity
        root, outputs = graph.storage_of, graph.output_storages
        align = problem.target.scratchpad.alignment
        self.size = {t.name: align_up(t.nbytes, align) for t in graph.tensors}
        kind = {t.name: t.kind for t in graph.tensors}

        def placed(name: str) -> bool:
            io = kind[name] == "input" or (kind[name] == "activation" and name in outputs)
            return not (kind[name] == "constant" and options.weights == "ignore") and not (
                io and options.io == "external"
            )

        self.reads = [
            [] if op.view else sorted({s for x in op.inputs if placed(s := root[x])}) for op in self.ops
        ]
        self.writes = [[] if op.view else [x for x in op.outputs if placed(x)] for op in self.ops]
        self.given = {x for x, k in kind.items() if k in ("input", "constant")}
        self.streamed = {x for x, k in kind.items() if k == "constant" and options.weights == "stream"}
        self.workspaces = {x for x, k in kind.items() if k == "workspace"}
        self.kept = {x for x, pin in problem.pins.items() if pin.keep}
        self.before = graph.preds
        resident = options.io == "resident"
        used = {s for reads in self.reads for s in reads}
        self.opening = {
            x for x, k in kind.items() if resident and k == "input" and (x in used or x in outputs)
        }
        self.closing = {x for x in outputs if resident and kind[x] != "constant"}

    def optimum(self) -> int | None:
        """Flops of all executions beyond the first ones, None where nothing fits."""
        start: State = ((0,) * len(self.ops), frozenset(self.opening), frozenset(self.opening))
        if self._bytes(self.opening) > self._limit:
            return None
        tie = count()
        queue = [(0, next(tie), start)]
        seen = {start: 0}
        while queue:
            cost, _, state = heapq.heappop(queue)
            if cost > seen[state]:
                continue
            if all(state[0]) and state[1] >= self.closing:
                return cost
            for i in range(len(self.ops)):
                for after in self._executed(state, i):
                    paid = cost + (self.ops[i].flops or 0 if state[0][i] else 0)
                    if paid < seen.get(after, 1 << 60):
                        seen[after] = paid
                        heapq.heappush(queue, (paid, next(tie), after))
        return None

    @property
    def _limit(self) -> int:
        return 1 << 60 if self.capacity is None else self.capacity

    def _bytes(self, storages: set[str] | frozenset[str]) -> int:
        return sum(self.size[s] for s in storages)

    def _executed(self, state: State, i: int) -> Iterator[State]:
        times, memory, loaded = state
        op = self.ops[i]
        if times[i] and (op.once or op.view or (self.most is not None and times[i] >= self.most)):
            return
        if times[i] and self.kept & {*op.outputs}:
            return
        if not all(times[p] for p in self.before[i]):
            return
        if self.program and not times[i] and not all(times[:i]):
            return
        fetched = {s for s in self.reads[i] if s in self.given and s not in self.streamed and s not in loaded}
        wanted = {s for s in self.reads[i] if s not in self.streamed}
        if not wanted - fetched <= memory:
            return
        touched = {*self.reads[i], *self.writes[i]}
        others = sorted(memory - touched)
        free = self._limit - self._bytes(touched)
        counts = tuple(c + (k == i) for k, c in enumerate(times))
        tried: list[set[str]] = []
        for kept in (set(c) for k in range(len(others), -1, -1) for c in combinations(others, k)):
            if self._bytes(kept) <= free and not any(kept <= more for more in tried):
                tried.append(kept)
                stays = kept | wanted | set(self.writes[i])
                yield (
                    counts if self.most else _once(counts),
                    frozenset(stays - self.workspaces),
                    loaded | fetched,
                )


def _once(times: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(min(1, c) for c in times)
