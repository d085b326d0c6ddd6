"""The problem reduced to what executing ops again depends on, and the bytes that a sequence of executions keeps live."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm
from typing import NamedTuple

from memplan.problem.op_times import compute_rate
from memplan.problem.problem import Problem

MOST_COST = 1 << 62
"""Costs are whole numbers as long as all of them together stay below this; larger ones are rounded down."""


class Life(NamedTuple):
    """A storage lies in the scratchpad in steps `[start, stop)`."""

    storage: int
    start: int
    stop: int


@dataclass(frozen=True)
class RecomputeModel:
    """Ops with costs, storages with bytes; ops and storages are numbered as in the problem.

    Args:
        capacity: bytes that live storages may take at any step.
        sizes: bytes per storage, a multiple of the alignment.
        producer: per storage, the op that writes it, -1 where it is given.
        opening: per storage, whether it is live from the first step on.
        closing: per storage, whether it is live at the end.
        streamed: per storage, whether it is loaded for each use alone.
        reads: per op, the storages that it reads.
        writes: per op, the storages that it writes.
        preds: per op, the ops of which one execution precedes each of its own.
        repeats: per op, whether it may be executed again.
        most: how often an op may be executed, None without a limit.
        costs: per op, the cost of an execution in `unit`, rounded down where it has to be.
        unit: what one of `costs` is in the unit of the objective.
        program_order: whether first executions keep the order of the ops.
    """

    capacity: int
    sizes: tuple[int, ...]
    producer: tuple[int, ...]
    opening: tuple[bool, ...]
    closing: tuple[bool, ...]
    streamed: tuple[bool, ...]
    reads: tuple[tuple[int, ...], ...]
    writes: tuple[tuple[int, ...], ...]
    preds: tuple[tuple[int, ...], ...]
    repeats: tuple[bool, ...]
    most: int | None
    costs: tuple[int, ...]
    unit: Fraction
    program_order: bool

    @property
    def n(self) -> int:
        """Number of ops."""
        return len(self.reads)

    def extra_cost(self, sequence: Sequence[int]) -> int:
        """What the executions cost beyond executing each op once, in `unit`."""
        return sum(self.costs[i] for i in sequence) - sum(self.costs)

    def lives(self, sequence: Sequence[int]) -> list[Life]:
        """When storages are live, each use served by the latest execution before it, in no particular order."""
        start = [0 if opening else -1 for opening in self.opening]
        last = list(start)
        found = []
        for t, i in enumerate(sequence):
            for s in self.reads[i]:
                if self.streamed[s]:
                    found.append(Life(s, t, t + 1))
                    continue
                start[s] = t if start[s] < 0 else start[s]
                last[s] = t
            for s in self.writes[i]:
                if start[s] >= 0:
                    found.append(Life(s, start[s], last[s] + 1))
                start[s] = last[s] = t
        for s, begin in enumerate(start):
            if begin >= 0:
                found.append(Life(s, begin, len(sequence) if self.closing[s] else last[s] + 1))
        return found

    def live_bytes(self, sequence: Sequence[int]) -> list[int]:
        """The live bytes of each step."""
        change = [0] * (len(sequence) + 1)
        for s, start, stop in self.lives(sequence):
            change[start] += self.sizes[s]
            change[stop] -= self.sizes[s]
        live, total = [], 0
        for by in change[:-1]:
            total += by
            live.append(total)
        return live

    def fits(self, sequence: Sequence[int]) -> bool:
        """Whether live bytes stay within the capacity."""
        return max(self.live_bytes(sequence), default=0) <= self.capacity


def make_model(problem: Problem) -> RecomputeModel:
    """The model of a problem without in-place and joins; what is pinned to stay is written once."""
    ops, storages, options = problem.graph.ops, problem.storages, problem.options
    kept = {s.producer for s in storages if s.keep and problem.graph.tensor[s.name].kind != "workspace"}
    costs, unit = _whole_costs(problem)
    return RecomputeModel(
        capacity=problem.byte_limit,
        sizes=tuple(s.size for s in storages),
        producer=tuple(s.producer for s in storages),
        opening=tuple(s.resident and s.is_input for s in storages),
        closing=tuple(s.resident and s.is_output for s in storages),
        streamed=tuple(s.is_constant and options.weights == "stream" for s in storages),
        reads=problem.reads,
        writes=problem.writes,
        preds=problem.preds,
        repeats=tuple(
            options.recompute != 1 and not (op.once or op.view or i in kept) for i, op in enumerate(ops)
        ),
        most=options.recompute,
        costs=costs,
        unit=unit,
        program_order=options.order == "program",
    )


def _whole_costs(problem: Problem) -> tuple[tuple[int, ...], Fraction]:
    """The cost of each op as a multiple of a unit: exact unless the numbers grow too large, else rounded down."""
    graph, target = problem.graph, problem.target
    exact = [
        Fraction(op.flops or 0) / (Fraction(compute_rate(graph, target, op)) if target.timed else 1)
        for op in graph.ops
    ]
    whole = lcm(*(cost.denominator for cost in exact)) if exact else 1
    unit = Fraction(gcd(*(int(cost * whole) for cost in exact)) or 1, whole)
    unit = max(unit, sum(exact, Fraction(0)) / MOST_COST)
    return tuple(int(cost / unit) for cost in exact), unit
