"""From a sequence of executions to the residencies and moves of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memplan.packing.buffers import Buffer
from memplan.problem.plan import Move, Residency
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.offsets.one_pass import pack_around, pack_greedy
from memplan_solvers.recompute.model import Life, RecomputeModel

NODES = 5_000_000
"""Nodes x buffers of a short exact search for places: most of those that are found at all are found in fewer."""


class Placed(NamedTuple):
    """A sequence of executions, what it keeps live, where that lies, and the end of the highest place.

    The offsets are None where fixed ones overlap.
    """

    sequence: tuple[int, ...]
    lives: list[Life]
    offsets: Sequence[int] | None
    peak: int

    def within(self, capacity: int) -> bool:
        """Whether it has places that end within the capacity."""
        return self.offsets is not None and self.peak <= capacity


def place(problem: Problem, model: RecomputeModel, sequence: Sequence[int], limits: Limits) -> Placed:
    """Addresses by one-pass orders, or by a short exact search where those end above the capacity; within it or not."""
    lives = model.lives(sequence)
    starts, stops = [life.start for life in lives], [life.stop for life in lives]
    sizes = [model.sizes[life.storage] for life in lives]
    fixed = [problem.storages[life.storage].offset for life in lives]
    alignment, capacity = problem.target.scratchpad.alignment, problem.byte_limit
    offsets: Sequence[int] | None
    if all(offset is None for offset in fixed):
        offsets, peak = pack_greedy(starts, stops, sizes, alignment, capacity, stop=limits.spent)
    else:
        offsets, peak = pack_around(starts, stops, sizes, fixed, alignment, capacity, stop=limits.spent)
    return place_harder(
        problem, Placed(tuple(sequence), lives, offsets, peak), limits, NODES // max(1, len(lives))
    )


def place_harder(problem: Problem, placed: Placed, limits: Limits, nodes: int | None = None) -> Placed:
    """Addresses within the capacity if the packer finds some, by so many nodes of its exact search, or in all the time
    there is; else those it had."""
    if placed.within(problem.byte_limit) or placed.offsets is None:
        return placed
    from memplan_solvers.offsets.packer import fit  # numpy is not needed where one pass does

    storages, alignment = problem.storages, problem.target.scratchpad.alignment
    buffers = [
        Buffer(str(k), start, stop, storages[s].size, alignment, storages[s].offset)
        for k, (s, start, stop) in enumerate(placed.lives)
    ]
    found = fit(buffers, problem.byte_limit, limits, nodes)
    if not found.offsets:
        return placed
    peak = max(offset + b.size for offset, b in zip(found.offsets, buffers, strict=True))
    return placed._replace(offsets=found.offsets, peak=peak)


def materialise(problem: Problem, placed: Placed) -> tuple[list[Residency], list[Move]]:
    """Residencies and moves: what is given is loaded as it begins to live, outputs are stored as they first cease to."""
    assert placed.offsets is not None
    residencies, moves = [], list[Move]()
    stored = set[int]()
    for (s, start, stop), offset in sorted(zip(placed.lives, placed.offsets, strict=True)):
        storage = problem.storages[s]
        residencies.append(problem.residency(s, start, stop, int(offset)))
        if storage.resident:
            continue
        if storage.in_host:
            moves.append(problem.load(s, start, start))
        elif storage.is_output and s not in stored:
            stored.add(s)
            moves.append(problem.store(s, stop, stop))
    moves.sort(key=lambda m: (*problem.turn(m), m.tensor))
    return residencies, moves
