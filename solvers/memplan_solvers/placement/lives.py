"""An order of the ops seen from the storages: when each must be there, whichever memory it lies in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from memplan.problem.placeable import Place, Placeable
from memplan.problem.problem import Problem

Span = tuple[int, int]
"""Steps `[start, stop)`."""


class Pair(NamedTuple):
    """At `step` the storage `output` may be written over `operand`, which nothing reads later; both by number."""

    step: int
    output: int
    operand: int


class Lives:
    """When the placeable storages of a problem are needed under an order that executes each op once.

    Args:
        problem: whose `placeables` are numbered here.
        order: op numbers by step.
    """

    def __init__(self, problem: Problem, order: Sequence[int]) -> None:
        self.problem, self.order, self.n = problem, tuple(order), problem.n
        self.items = problem.placeables
        self.step = [0] * self.n
        for t, i in enumerate(order):
            self.step[i] = t
        self.addressed = {m.name: m for m in problem.target.addressed}
        touched = [[self.step[i] for i in item.touches] for item in self.items]
        self.first = [min(steps, default=0) for steps in touched]
        self.last = [max(steps, default=0) for steps in touched]
        self.complete = [self._complete(k) for k in range(len(self.items))]

    def _complete(self, k: int) -> int:
        """The step until which the storage stays where it was written: later than that only where it is joined."""
        item = self.items[k]
        ops = () if item.is_given else (item.writer, *(item.parts.ops if item.parts else ()))
        return max((self.step[i] for i in ops), default=-1)

    def spans(self, k: int, place: Place) -> list[Span]:
        """The steps in which storage `k` takes bytes of that place: none in a memory without addresses."""
        item = self.items[k]
        if place.memory not in self.addressed:
            return []
        if place.moved and item.is_streamed:
            return [(self.step[i], self.step[i] + 1) for i in item.readers]
        begin = 0 if item.is_given and not place.moved else self.first[k]
        to_end = item.is_output and not place.moved
        return [(begin, self.n if to_end else self.last[k] + 1)]

    @cached_property
    def pairs(self) -> tuple[Pair, ...]:
        """The in-place pairs that the options and this order allow, wherever both lie, by step."""
        found = [
            Pair(self.step[i], output, operand)
            for i, output, operand in pairs(self.problem)
            if self.last[operand] == self.step[i]
        ]
        return tuple(sorted(found))

    def may_share(self, output: int, operand: int, memory: str) -> Place | None:
        """The one place of a pair whose members both lie in this memory; None where they cannot share it."""
        over, under = place_in(self.items[output], memory), place_in(self.items[operand], memory)
        if over is None or under is None or memory not in self.addressed:
            return None
        item = self.items[operand]
        if item.is_given and not under.moved and item.name not in self.problem.options.donate:
            return None
        if None not in (over.offset, under.offset) and over.offset != under.offset:
            return None
        return over


def place_in(item: Placeable, memory: str) -> Place | None:
    """The storage's place in this memory, None where it has none."""
    return next((p for p in item.places if p.memory == memory), None)


def pairs(problem: Problem) -> list[tuple[int, int, int]]:
    """Ops with the storages that they may write over what they read, as the options allow: op, output and operand.

    Not among them: outputs of the graph, whose copy must last, constants that are read at home, and an input that is
    donated to another output than this one.
    """
    graph, options = problem.graph, problem.options
    if not (options.inplace or options.donate):
        return []
    number = {item.name: k for k, item in enumerate(problem.placeables)}
    heirs = {given: graph.storage_of[output] for output, given in graph.updates}
    found = []
    for i, op in enumerate(graph.ops):
        for output, x in dict.fromkeys((out, graph.storage_of[x]) for out, x in op.overwrites):
            over, under = number.get(output), number.get(x)
            if over is None or under is None or x in graph.output_storages:
                continue
            if problem.placeables[under].is_streamed or not (options.inplace or x in options.donate):
                continue
            if x in options.donate and heirs.get(x, output) != output:
                continue
            found.append((i, over, under))
    return found
