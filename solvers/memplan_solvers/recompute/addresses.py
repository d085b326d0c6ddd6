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


class Packed(NamedTuple):
    """Where each life lies, None where no packing within the capacity was found; `peak` is the lowest found by one pass."""

    lives: list[Life]
    offsets: list[int] | None
    peak: int


def pack(problem: Problem, model: RecomputeModel, sequence: Sequence[int], limits: Limits) -> Packed:
    """Addresses for what a sequence keeps live, by one-pass orders first."""
    lives = model.lives(sequence)
    starts, stops = [life.start for life in lives], [life.stop for life in lives]
    sizes = [model.sizes[life.storage] for life in lives]
    alignment, capacity = problem.target.scratchpad.alignment, problem.byte_limit
    offsets, peak = pack_greedy(starts, stops, sizes, alignment, capacity, stop=limits.spent)
    if peak <= capacity:
        return Packed(lives, offsets, peak)
    if limits.spent():
        return Packed(lives, None, peak)
    from memplan_solvers.offsets.packer import fit  # numpy is not needed where one pass does

    buffers = [
        Buffer(str(k), *life[1:], size, alignment) for k, (life, size) in enumerate(zip(lives, sizes, strict=True))
    ]  # fmt: skip
    found = fit(buffers, capacity, limits)
    return Packed(lives, list(found.offsets) if found.status is Status.FEASIBLE else None, peak)


def materialise(problem: Problem, packed: Packed) -> tuple[list[Residency], list[Move]]:
    """Residencies and moves: what is given is loaded as it begins to live, outputs are stored as they first cease to."""
    assert packed.offsets is not None
    residencies, moves = [], list[Move]()
    stored = set[int]()
    for (s, start, stop), offset in sorted(zip(packed.lives, packed.offsets, strict=True)):
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
