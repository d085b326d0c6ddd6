"""A placement: for one order the place of each storage, its offset there, and what is written over what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import NamedTuple

from memplan.packing.buffers import Buffer
from memplan.problem.placeable import Place
from memplan.problem.places import compulsory
from memplan.problem.plan import InPlace, Move, Residency, Status
from memplan.solving.limits import Limits
from memplan_solvers.placement.lives import Lives, Pair


@dataclass
class PlacedBlock:
    """What lies at one offset of one memory: one span of a storage, or a chain of in-place pairs.

    `members` are storages with the steps [start, stop) of each, in order of start.
    """

    start: int
    stop: int
    size: int
    alignment: int
    offset: int | None
    members: list[tuple[int, int, int]] = field(default_factory=list)


class PlacementLayout(NamedTuple):
    """A valid placement for an order: `places` by storage, and the blocks of each memory with their offsets."""

    lives: Lives
    places: tuple[Place, ...]
    pairs: tuple[Pair, ...]
    blocks: dict[str, list[PlacedBlock]]
    offsets: dict[str, list[int]]

    @property
    def cost(self) -> float:
        """Byte costs of all accesses and moves, the compulsory ones included."""
        return sum(p.cost for p in self.places)

    @property
    def traffic(self) -> float:
        """The value of its plan."""
        return self.cost - compulsory(self.lives.items)

    def parts(self) -> tuple[list[Residency], list[Move], list[InPlace]]:
        """The residencies, moves and in-place pairs of the plan."""
        lives, target = self.lives, self.lives.problem.target
        residencies, moves = [], []
        for memory, blocks in self.blocks.items():
            for block, offset in zip(blocks, self.offsets[memory], strict=True):
                for k, start, stop in block.members:
                    item, place = lives.items[k], self.places[k]
                    residencies.append(Residency(item.name, memory, start, stop, offset, place.size))
                    if place.moved:
                        ends = (item.home, memory) if item.is_given else (memory, item.home)
                        at = start if item.is_given else lives.complete[k] + 1
                        queue = target.copying_queues(*ends)[0]
                        moves.append(Move(item.name, *ends, at, at, queue))
        names = [item.name for item in lives.items]
        inplace = [InPlace(p.step, names[p.output], names[p.operand]) for p in self.pairs]
        return residencies, sorted(moves, key=lambda m: (*lives.problem.turn(m), m.tensor)), inplace


def blocks_of(
    lives: Lives, places: Sequence[Place], pairs: Sequence[Pair], memory: str
) -> tuple[list[PlacedBlock], list[int]]:
    """The blocks of one memory, and of each storage that lies there with a single span the number of its block.

    Every pair's members lie in the same memory; a storage is in at most one pair on either side.
    """
    over = {p.output: p.operand for p in pairs}
    holder = [-1] * len(places)
    blocks: list[PlacedBlock] = []
    there = [k for k, place in enumerate(places) if place.memory == memory and memory in lives.addressed]
    for k in sorted(there, key=lambda k: (lives.first[k], k in over, k)):
        place = places[k]
        for start, stop in lives.spans(k, place):
            if k in over:  # the operand was touched before, so its block is there
                block = blocks[holder[over[k]]]
                block.stop, block.alignment = stop, lcm(block.alignment, place.alignment)
                block.offset = place.offset if block.offset is None else block.offset
            else:
                blocks.append(block := PlacedBlock(start, stop, place.size, place.alignment, place.offset))
            holder[k] = holder[over[k]] if k in over else len(blocks) - 1
            block.members.append((k, start, stop))
    return blocks, holder


def pack(
    lives: Lives, memory: str, blocks: Sequence[PlacedBlock], limits: Limits, node_limit: int | None = None
) -> tuple[Status, list[int]]:
    """Offsets of the blocks within the memory's capacity: feasible with them, infeasible (proved), or unknown."""
    from memplan_solvers.offsets.packer import fit  # numpy is not needed where nothing has an address

    buffers = [Buffer(str(k), b.start, b.stop, b.size, b.alignment, b.offset) for k, b in enumerate(blocks)]
    found = fit(buffers, capacity_of(lives, memory, blocks), limits.quiet(), node_limit)
    return found.status, list(found.offsets)


def capacity_of(lives: Lives, memory: str, blocks: Sequence[PlacedBlock]) -> int:
    """The memory's capacity in bytes; without a limit, bytes in which all blocks have their places side by side."""
    capacity = lives.addressed[memory].capacity
    if capacity is not None:
        return capacity
    return max((b.offset + b.size for b in blocks if b.offset is not None), default=0) + sum(
        b.size + b.alignment for b in blocks
    )
