"""The ops that take a step of their own: views contracted away, windows, twins."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from memplan.problem.problem import Problem


@dataclass(frozen=True)
class Steps:
    """The problem's non-view ops, renumbered in program order.

    A view moves no byte, so it can run right after its last predecessor: what is resident then was
    resident before.
    """

    problem: Problem

    @cached_property
    def ops(self) -> tuple[int, ...]:
        """Op numbers of the problem."""
        return tuple(i for i, op in enumerate(self.problem.graph.ops) if not op.view)

    @cached_property
    def number(self) -> dict[int, int]:
        """Position in `ops` by op number."""
        return {i: k for k, i in enumerate(self.ops)}

    @cached_property
    def preds(self) -> tuple[tuple[int, ...], ...]:
        """Direct predecessors, through views."""
        behind: list[dict[int, None]] = []
        for i, op in enumerate(self.problem.graph.ops):
            found: dict[int, None] = {}
            for p in self.problem.preds[i]:
                found.update(behind[p] if self.problem.graph.ops[p].view else {self.number[p]: None})
            behind.append(found)
            del op
        return tuple(tuple(behind[i]) for i in self.ops)

    @cached_property
    def uses(self) -> tuple[tuple[int, ...], ...]:
        """Per storage, its readers."""
        return tuple(tuple(self.number[u] for u in s.uses) for s in self.problem.storages)

    @cached_property
    def producer(self) -> tuple[int, ...]:
        """Per storage, its producer, -1 for inputs and constants."""
        return tuple(-1 if s.producer < 0 else self.number[s.producer] for s in self.problem.storages)

    @cached_property
    def windows(self) -> list[tuple[int, int]]:
        """ASAP and ALAP steps: as many ops before and after as there are ancestors and descendants."""
        above = [0] * len(self.ops)
        below = [0] * len(self.ops)
        for k, preds in enumerate(self.preds):
            for p in preds:
                above[k] |= above[p] | 1 << p
        for k in reversed(range(len(self.ops))):
            for p in self.preds[k]:
                below[p] |= below[k] | 1 << k
        last = len(self.ops) - 1
        return [(a.bit_count(), last - b.bit_count()) for a, b in zip(above, below, strict=True)]

    @cached_property
    def twins(self) -> list[tuple[int, int]]:
        """Pairs of ops that may be run in program order without loss: swapping them changes nothing.

        None in place, where shapes and kinds matter too.
        """
        problem = self.problem
        if problem.inplace_pairs:
            return []
        succs: list[list[int]] = [[] for _ in self.ops]
        for k, preds in enumerate(self.preds):
            for p in preds:
                succs[p].append(k)
        last: dict[object, int] = {}
        pairs = []
        for k, i in enumerate(self.ops):
            written = [problem.storages[s] for s in problem.writes[i]]
            outputs = tuple((s.nbytes, s.uses, s.is_output, s.keep, s.offset) for s in written)
            key = frozenset(problem.reads[i]), frozenset(self.preds[k]), tuple(succs[k]), outputs
            if key in last:
                pairs.append((last[key], k))
            last[key] = k
        return pairs

    def with_views(self, order: list[int]) -> tuple[int, ...]:
        """Op numbers of the problem for an order of positions, each view as early as it may run.

        The program's own order where the options ask for that.
        """
        problem = self.problem
        if problem.options.order == "program":
            return tuple(range(problem.n))
        waits = [len(p) for p in problem.preds]
        found: list[int] = []

        def run(i: int) -> None:
            stack = [i]
            while stack:
                j = stack.pop()
                found.append(j)
                for u in problem.succs[j]:
                    waits[u] -= 1
                    if waits[u] == 0 and problem.graph.ops[u].view:
                        stack.append(u)

        for i in [i for i in range(problem.n) if not problem.preds[i] and problem.graph.ops[i].view]:
            run(i)
        for k in order:
            run(self.ops[k])
        return tuple(found)
