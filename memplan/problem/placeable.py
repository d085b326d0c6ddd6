"""A storage with the memories in which it may lie over its whole life, and what each costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Reach = tuple[str, ...]
"""The memories in which an op may read or write a storage, fastest first."""


class Place(NamedTuple):
    """A memory in which a storage may lie from its first touch to its last.

    Args:
        memory: its name.
        cost: byte costs of all that reads and writes the storage, each op executed once, and of its moves.
        size: the bytes it takes there, 0 in a memory without addresses.
        alignment: its offset is a multiple of so many bytes.
        offset: the byte where it is pinned, None where it may lie anywhere.
        moved: whether a move brings it there from its home, or takes it home once it is written.
    """

    memory: str
    cost: float
    size: int = 0
    alignment: int = 1
    offset: int | None = None
    moved: bool = False


class Parts(NamedTuple):
    """The parts that ops lay side by side in a storage, in which ops are joined.

    Args:
        ops: numbers of those that write or read parts, ascending: until the last of them is done, and the storage's
            writer, which copies nothing, it stays where it is.
        memories: those in which all of them may, fastest first; its parts keep to the alignment there.
        accessed: bytes of parts that these ops write and read.
    """

    ops: tuple[int, ...]
    memories: Reach
    accessed: int


@dataclass(frozen=True, slots=True)
class Placeable:
    """A storage of which a plan says where it lies.

    Args:
        name: that of its root tensor.
        nbytes: its bytes.
        home: the memory where it lies before the first step, or must lie at the end.
        writer: number of the op that writes it, -1 for inputs and constants.
        readers: numbers of the ops that read it, ascending.
        is_output: whether it must be at home at the end.
        is_workspace: whether it is needed while its op runs alone.
        is_streamed: whether it is a constant that is loaded for each use and dropped, where it is loaded.
        at_home_cost: what no plan can do without: the byte cost of reading it from its home, or writing it there, once.
        access_cost: the byte costs of all that reads and writes it, each in the cheapest memory that serves it.
        places: where it may lie, in the order of the target's memories.
        parts: what is joined in it, None where nothing is.
    """

    name: str
    nbytes: int
    home: str
    writer: int
    readers: tuple[int, ...]
    is_output: bool
    is_workspace: bool
    is_streamed: bool
    at_home_cost: float
    access_cost: float
    places: tuple[Place, ...]
    parts: Parts | None = None

    @property
    def is_given(self) -> bool:
        """Whether it is there before the first step: an input or a constant."""
        return self.writer < 0

    @property
    def touches(self) -> tuple[int, ...]:
        """Numbers of the ops that write or read it, the writer first, and of those that its parts are for."""
        inside = self.parts.ops if self.parts else ()
        return self.readers if self.is_given else (self.writer, *inside, *self.readers)
