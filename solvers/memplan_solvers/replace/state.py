"""Who lies where while an order is walked, in all memories of a target, and what was decided on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from memplan.problem.plan import InPlace, Move, Residency
from memplan_solvers.common.holes import Extent


class OpenResidency(NamedTuple):
    """A storage in a memory with addresses, since boundary `start`; `bound` if it may not leave before its last touch."""

    start: int
    offset: int
    size: int
    bound: bool


@dataclass
class State:
    """What lies where at a boundary, and what was decided so far.

    Args:
        open: by memory with addresses, who lies there, by number of the storage.
        loose: the memories without addresses.
        held: storages, by number, with memories without addresses that hold a copy, in the order in which
            that came about.
    """

    open: dict[str, dict[int, OpenResidency]]
    loose: tuple[str, ...]
    held: dict[tuple[int, str], None]
    residencies: list[Residency] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    inplace: list[InPlace] = field(default_factory=list)

    def has(self, k: int, memory: str) -> bool:
        """Whether a copy of the storage is there."""
        return k in self.open.get(memory, ()) or (k, memory) in self.held

    def is_elsewhere(self, k: int, memory: str) -> bool:
        """Whether there is a copy besides the one in this memory."""
        others = (m for m in self.open if m != memory)
        return any(k in self.open[m] for m in others) or any(
            (k, m) in self.held for m in self.loose if m != memory
        )

    def taken(self, memory: str) -> list[Extent]:
        """The bytes in use there, ascending, and who uses them."""
        there = self.open[memory].items()
        return sorted((x.offset, x.offset + x.size, k) for k, x in there if x.size)

    def mark(self) -> Checkpoint:
        """What `rewind` needs to come back to here."""
        open = {memory: dict(there) for memory, there in self.open.items()}
        return Checkpoint(open, len(self.held), len(self.residencies), len(self.moves), len(self.inplace))

    def rewind(self, mark: Checkpoint) -> None:
        """Undo whatever was decided since."""
        self.open = {memory: dict(there) for memory, there in mark.open.items()}
        while len(self.held) > mark.held:
            self.held.popitem()
        del self.residencies[mark.residencies :], self.moves[mark.moves :], self.inplace[mark.inplace :]


class Checkpoint(NamedTuple):
    """A state at some boundary: who lay where, and how much was decided by then."""

    open: dict[str, dict[int, OpenResidency]]
    held: int
    residencies: int
    moves: int
    inplace: int
