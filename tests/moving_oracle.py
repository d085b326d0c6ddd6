"""The least traffic, or peak, of tiny problems on targets of any memories where copies may be moved, by brute force.

Straight from the rules, apart from every solver: a search by cost over all orders, places, moves, in-place pairs and
choices of what is joined. For at most 5 ops, a few bytes and memories of a few bytes.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import replace
from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import InPlace, Move, Plan, Residency
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec
from tests.moving_rules import Copy, MovingRules
from tests.moving_steps import GOAL, Event, MovingSteps, Node


class TooMany(Exception):
    """There are more nodes than the search may look at."""


class Found(NamedTuple):
    """The way to a node in which all is done: what each node on it came from, and by what."""

    joined: tuple[int, ...]
    steps: MovingSteps
    node: Node
    way: dict[Node, tuple[Node, Event]]


class MovingOracle:
    """One problem without recomputation, pins and donation, solved by brute force.

    Args:
        problem: the problem; with joins there is no in-place.
        most: how many nodes are looked at, for each choice of what is joined, before `TooMany` is raised.
    """

    def __init__(self, problem: Problem, most: int = 30_000) -> None:
        self.problem, self.most, self.rules = problem, most, MovingRules(problem)
        self.found: Found | None = None

    def least(self) -> float | None:
        """The least traffic beyond the compulsory, or under objective peak the least peak; None where there is no plan."""
        if self.problem.options.objective == "peak":
            return self._least_peak()
        best = None
        for joined in self._joins():
            cost = self._search(joined, best)
            best = cost if cost is not None else best
        return None if best is None else best - self.rules.compulsory

    def _least_peak(self) -> float | None:
        target, tensors = self.problem.target, self.problem.graph.tensors
        first = target.scratchpad
        most = sum(align_up(t.nbytes, first.alignment) + (t.alignment or 1) for t in tensors)
        most = most if first.capacity is None else min(first.capacity, most)
        for capacity in range(0, most + 1, first.alignment):
            tight = target.with_scratchpad(capacity or 1)  # in one byte nothing has room
            inner = MovingOracle(replace(self.problem, target=tight), self.most)
            if any(inner._search(joined, None) is not None for joined in inner._joins()):
                self.found = inner.found
                return capacity
        return None

    def _joins(self) -> list[tuple[int, ...]]:
        """Every choice of ops that may be joined together, the fewest first."""
        rules, ops = self.rules, self.problem.graph.ops
        able = []
        for i, op in enumerate(ops if self.problem.options.join else ()):
            parts = all(rules.kind(x) == "activation" and x not in rules.outs for x, _ in op.joins)
            if op.joins and parts and rules.ours(op.results[0]):
                able.append(i)
        ways = [w for n in range(len(able) + 1) for w in itertools.combinations(able, n)]
        return [
            w
            for w in ways
            if len({x for i in w for x, _ in ops[i].joins}) == sum(len(ops[i].joins) for i in w)
        ]

    def _search(self, joined: tuple[int, ...], below: float | None) -> float | None:
        """The least cost, the compulsory included, if it is below the one that is known; None else."""
        steps = MovingSteps(self.problem, joined)
        ahead = {i: steps.rest_of(i) for i in range(self.problem.n)}
        way: dict[Node, tuple[Node, Event]] = {}
        known: dict[Node, float] = {}
        heap: list[tuple[float, int, int, float, Node]] = []
        count = itertools.count()

        def push(cost: float, node: Node) -> bool:
            if cost >= known.get(node, float("inf")):
                return False
            known[node] = cost
            left = sum(c for i, c in ahead.items() if i not in node.done)
            if below is None or cost + left < below:
                heapq.heappush(heap, (cost + left, -len(node.done), next(count), cost, node))
            return True

        for node in steps.starts():
            push(0.0, node)
        seen = 0
        while heap:
            _, _, _, cost, node = heapq.heappop(heap)
            if cost > known[node]:
                continue
            seen += 1
            if seen > self.most:
                raise TooMany
            if node.op == GOAL:
                self.found = Found(joined, steps, node, way)
                return cost
            for paid, after, event in steps.following(node):
                if push(cost + paid, after):
                    way[after] = node, event
        return None

    def plan(self) -> Plan:
        """The plan of the least cost, checked and simulated; one must have been found."""
        assert self.found is not None
        joined, rules, node, way = self.found
        path: list[tuple[Node, Event]] = []
        while node in way:
            before, event = way[node]
            path.append((node, event))
            node = before
        began = {c: 0 for c in node.copies if c[1] in rules.addressed}
        order, rows, moves, inplace = list[int](), list[Residency](), list[Move](), list[InPlace]()

        def end(gone: frozenset[Copy], t: int) -> None:
            for s, m, at in sorted(gone & began.keys()):
                offset = _apart(rules, s) if at < 0 else at
                rows.append(Residency(s, m, began.pop((s, m, at)), t, offset, rules.size(s, m)))

        for node, event in reversed(path):
            t = len(order)
            end(event.ended, t)
            began |= {c: t for c in event.made if c[1] in rules.addressed}
            if event.move:
                s, a, b = event.move
                moves.append(Move(s, a, b, t, t, rules.target.copying_queues(a, b)[0]))
            elif event.execution >= 0:
                order.append(event.execution)
                inplace += [InPlace(t, out, over) for out, over, _ in event.pairs]
                end(frozenset(began) - node.copies, t + 1)
        end(frozenset(began), len(order))
        found = parse_spec("placement").answer(
            self.problem, Limits(60), order=order, residencies=rows, moves=moves, inplace=inplace
        )
        return evaluate(rules.g, replace(found, joined=tuple(rules.g.ops[i].name for i in joined)))


def _apart(rules: MovingRules, s: str) -> int:
    """An offset of its own for each storage, in memories without a limit."""
    step = lcm(*(m.alignment for m in rules.addressed.values()), *(t.alignment or 1 for t in rules.g.tensors))
    widest = align_up(max(t.nbytes for t in rules.g.tensors), step)
    return widest * sorted(set(rules.root.values())).index(s)
