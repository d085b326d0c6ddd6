"""From a sequence of executions to the residencies and moves of a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from memplan.packing.buffers import Buffer
from memplan.problem.plan import Move, Residency, Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.offsets.one_pass import pack_greedy
from memplan_solvers.recompute.model import Life, RecomputeModel


class Placed(NamedTuple):
    """A sequence of executions, what it keeps live, and where that lies; without offsets no packing within the capacity was found.

    `peak` is the lowest that one pass found.
    """

    sequence: tuple[int, ...]
    lives: list[Life]
    offsets: list[int] | None
    peak: int


def place(problem: Problem, model: RecomputeModel, sequence: Sequence[int], limits: Limits) -> Placed:
    """Addresses by one-pass orders."""
    lives = model.lives(sequence)
    starts, stops = [life.start for life in lives], [life.stop for life in lives]
    sizes = [model.sizes[life.storage] for life in lives]
    alignment, capacity = problem.target.scratchpad.alignment, problem.byte_limit
    offsets, peak = pack_greedy(starts, stops, sizes, alignment, capacity, stop=limits.spent)
    return Placed(tuple(sequence), lives, offsets if peak <= capacity else None, peak)


def place_harder(problem: Problem, placed: Placed, limits: Limits) -> Placed:
    """Addresses by the exact packer, where one pass found none."""
    from memplan_solvers.offsets.packer import fit  # numpy is not needed where one pass does

    alignment = problem.target.scratchpad.alignment
    buffers = [
        Buffer(str(k), life.start, life.stop, problem.storages[life.storage].size, alignment)
        for k, life in enumerate(placed.lives)
    ]
    found = fit(buffers, problem.byte_limit, limits)
    return placed._replace(offsets=list(found.offsets) if found.status is Status.FEASIBLE else None)


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
