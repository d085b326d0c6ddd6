"""The least peak of live bytes over all orders and all choices of what is joined, by branch and bound.

Where it is not decided whether an op is joined it needs no room beside its parts, which lie anywhere: that is less than
either choice takes, and still a live model, so that the search for one order bounds all of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.joins import conflicts, joining, most, relaxed, undecided
from memplan_solvers.peak.live import live_model, live_profile
from memplan_solvers.peak.search import PeakResult, minimum_peak_order

APART, ROOT, CHILD = 0.5, 0.4, 0.3
"""Shares of the remaining time for the order where nothing is joined, where nothing is decided, and of each choice."""

LOOKED_AT = 16
"""The largest steps of a profile by which choices for one order are compared."""


@dataclass(order=True)
class _Node:
    """Choices in which these ops are joined and those are not, and what all of them need."""

    bound: float
    joined: frozenset[str] = field(compare=False, default=frozenset())
    apart: frozenset[str] = field(compare=False, default=frozenset())


class Choice(NamedTuple):
    """What is joined, and an order for it with its peak of live bytes."""

    problem: Problem
    order: tuple[int, ...]
    peak: int


def _live(choice: Choice) -> int:
    return choice.peak


class JoinedPeak(NamedTuple):
    """Choices, the best first, and a lower bound on the live peak of every order and every choice."""

    choices: list[Choice]
    bound: int


def least_joined_peak(problem: Problem, limits: Limits, evaluations: float = float("inf")) -> JoinedPeak:
    """The choice and the order of least live peak, or the best found by the time `limits` is spent."""
    return _Search(problem, limits, evaluations).run()


class _Search:
    """One search: the open nodes, and the choices found."""

    def __init__(self, problem: Problem, limits: Limits, evaluations: float) -> None:
        self.problem, self.limits, self.evaluations = problem, limits, evaluations
        self.conflicts = conflicts(problem)
        graph = problem.graph
        self.size = {op.name: graph.tensor[op.results[0]].nbytes for op in graph.ops if op.joins}
        made = {op.results[0]: op.name for op in graph.ops if op.name in self.conflicts}
        self.inner = {
            op.name: [made[x] for x, _ in op.joins if x in made]
            for op in graph.ops
            if op.name in self.conflicts
        }
        self.choices: list[Choice] = []
        self.seen: set[frozenset[str]] = set()
        self.peak = self.closed = float(
            "inf"
        )  # the least found, and the least bound of nodes with nothing left to decide
        self.bound: float = problem.free_bound

    def run(self) -> JoinedPeak:
        self.look_at(frozenset(), APART)
        root = self.least(relaxed(self.problem), ROOT)
        nodes = [_Node(max(self.bound, root.bound))]
        self.bound = nodes[0].bound
        for chosen in (self.fitted(root.order, nodes[0]), frozenset(most(self.problem))):
            if self.peak > self.bound:
                self.look_at(chosen)
        while nodes and nodes[0].bound < self.peak and not self.limits.spent():
            self.branch(heapq.heappop(nodes), nodes)
            self.bound = min(self.peak, self.closed, nodes[0].bound if nodes else self.peak)
            self.limits.report("joins", self.peak, self.bound)
        if self.bound < self.peak and self.evaluations == float(
            "inf"
        ):  # the time that is left goes to the best choice
            self.seen.clear()
            self.look_at(frozenset(min(self.choices, key=_live).problem.joined), 1.0)
        return JoinedPeak(sorted(self.choices, key=_live), int(self.bound))

    def branch(self, node: _Node, nodes: list[_Node]) -> None:
        """Replace a node by the two in which one more op is decided, the largest of those whose parts are."""
        ready = [
            x
            for x in undecided(self.problem, node.joined, node.apart)
            if all(y in node.joined | node.apart or self.conflicts[y] & node.joined for y in self.inner[x])
        ]
        name = {max(ready, key=lambda x: (self.size[x], x))}
        for joined, apart in ((node.joined | name, node.apart), (node.joined, node.apart | name)):
            least = self.least(relaxed(self.problem, joined, apart), CHILD)
            child = _Node(max(node.bound, least.bound), joined, apart)
            if child.bound < self.peak:
                self.look_at(self.fitted(least.order, child))
            if undecided(self.problem, joined, apart):
                heapq.heappush(nodes, child)
            else:
                self.closed = min(self.closed, child.bound)

    def least(self, problem: Problem, share: float) -> PeakResult:
        """The order of least live peak of one node."""
        return minimum_peak_order(problem, self.limits.share(share).quiet(), evaluations=self.evaluations)

    def look_at(self, chosen: frozenset[str], share: float = CHILD) -> None:
        """Find an order for a choice, unless there is one."""
        if chosen not in self.seen:
            self.seen.add(chosen)
            less = joining(self.problem, chosen)
            least = self.least(less, share)
            self.choices.append(Choice(less, least.order, least.peak))
            self.peak = min(self.peak, least.peak)

    def fitted(self, order: Sequence[int], node: _Node) -> frozenset[str]:
        """A choice below a node that suits an order: as much as fits, and one op more or less as long as that pays."""
        open_ = sorted(undecided(self.problem, node.joined, node.apart), key=lambda x: (-self.size[x], x))
        chosen = {*node.joined}
        for name in open_:
            if not self.conflicts[name] & chosen:
                chosen.add(name)
        largest, before = self.largest(chosen, order), None
        while largest != before:
            before = largest
            for name in open_:
                if self.limits.spent() or largest[0] <= node.bound:
                    return frozenset(chosen)
                other = chosen - {name} if name in chosen else chosen - self.conflicts[name] | {name}
                if (profile := self.largest(other, order)) < largest:
                    chosen, largest = other, profile
        return frozenset(chosen)

    def largest(self, chosen: set[str], order: Sequence[int]) -> list[int]:
        """The most live bytes at steps of an order, descending: what two choices are told apart by."""
        profile = live_profile(live_model(joining(self.problem, chosen)), order)
        return heapq.nlargest(LOOKED_AT, profile)
