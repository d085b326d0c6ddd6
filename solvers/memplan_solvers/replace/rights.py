"""In which memories a storage may lie at all, as the target, the options and its pin say."""

from __future__ import annotations

from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.problem.pins import Pin
from memplan_solvers.placement.lives import Lives

UNLIMITED = 2**62
"""The end of a memory without a capacity."""


class Footprint(NamedTuple):
    """What a storage takes of a memory: `size` bytes from a multiple of `alignment` on, below `end`, at
    `pinned` if that is an offset.
    """

    size: int
    alignment: int
    end: int
    pinned: int | None


class Rights:
    """What each placeable storage, by its number, may do under an order."""

    def __init__(self, lives: Lives) -> None:
        self.lives, self.problem, self.items = lives, lives.problem, lives.items
        self.target = lives.problem.target
        self.order = [m.name for m in self.target.memories]
        self.role = [self.problem.roles[item.name] for item in self.items]
        self.pin = [self.problem.pins.get(item.name, Pin()) for item in self.items]

    def reach(self, k: int, t: int, writing: bool) -> tuple[str, ...]:
        """The memories in which the op of step `t` may read or write the storage, fastest first."""
        kind, parts = self.problem.graph.ops[self.lives.order[t]].kind, self.items[k].parts
        reach = (self.target.writable if writing else self.target.readable)(kind, self.role[k])
        if writing and parts:
            reach = parts.memories
        return tuple(m for m in reach if self.may_lie(k, m) and (not self.pin[k].keep or self._keeps(k, m)))

    def _keeps(self, k: int, memory: str) -> bool:
        """Whether what may not leave can have its residency there."""
        return memory in self.lives.addressed and self.pin[k].place(self.order[0]) in (None, memory)

    def may_lie(self, k: int, memory: str) -> bool:
        """Whether a copy may be in this memory: a pin to another leaves the storage its home, and the backing memory."""
        pin, item, backing = self.pin[k], self.items[k], self.target.backing
        if item.is_given and memory == item.home:
            return True
        if memory not in self.lives.addressed or (backing is not None and memory == backing.name):
            return memory == self.order[-1] and not self.is_resident(k)
        if self.is_resident(k):
            return memory == self.order[0]
        at_home = item.is_output and memory == item.home
        return at_home or (not pin.host and pin.place(self.order[0]) in (None, memory))

    def is_resident(self, k: int) -> bool:
        """Whether the option io has it in the first memory, where it is not moved."""
        return self.problem.options.io == "resident" and self.role[k] in ("inputs", "outputs")

    def is_bound(self, k: int, memory: str) -> bool:
        """Whether a residency there lasts to the last touch, or to the end."""
        item = self.items[k]
        return self.is_resident(k) or self.pin[k].keep or (item.is_output and memory == item.home)

    def footprint(self, k: int, memory: str) -> Footprint:
        """What it takes of a memory with addresses."""
        m, tensor, pin = (
            self.lives.addressed[memory],
            self.problem.graph.tensor[self.items[k].name],
            self.pin[k],
        )
        return Footprint(
            align_up(tensor.nbytes, m.alignment),
            lcm(m.alignment, tensor.alignment or 1),
            UNLIMITED if m.capacity is None else m.capacity,
            pin.offset if memory == pin.place(self.order[0]) else None,
        )

    def copies_from(self, k: int, memory: str) -> list[str]:
        """The memories from which a copy can be made there, the cheapest first."""
        able = [m for m in self.order if self.may_lie(k, m) and self.target.copying_queues(m, memory)]
        return sorted(able, key=self.target.byte_cost)
