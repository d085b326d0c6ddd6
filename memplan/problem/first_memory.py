"""What the first memory alone serves, and so holds under every plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from memplan.machine.target import Target
from memplan.problem.pins import Pin
from memplan.problem.storage import Storage


@dataclass(frozen=True)
class FirstMemory:
    """The first memory of a target, beside the others that it may have.

    Args:
        target: the machine.
        pins: by storage.
        roles: what each storage is to the ops that touch it, as targets call it.
    """

    target: Target
    pins: Mapping[str, Pin]
    roles: Mapping[str, str]

    @property
    def serves_all(self) -> bool:
        """Whether all ops find all that they touch in it alone, wherever that is pinned."""
        named = any(pin.memory is not None for pin in self.pins.values())
        return not self.target.operands and len(self.target.addressed) == 1 and not named

    def serves(self, kind: str, storage: Storage, writing: bool) -> bool:
        """Whether an op of a kind finds the storage, or writes it, in the first memory alone."""
        if storage.pinned:
            return self.keeps(storage)
        if not self.target.operands:
            return True
        key = writing, kind, self.roles[storage.name]
        if key not in self._reached:
            self._reached[key] = (self.target.writable if writing else self.target.readable)(*key[1:])
        return self._reached[key] == (self.target.scratchpad.name,)

    def keeps(self, storage: Storage) -> bool:
        """Whether a storage that may not leave can have its residency in the first memory alone."""
        pin = self.pins.get(storage.name)
        named = pin is not None and pin.memory is not None
        return storage.resident or (
            not named and (storage.offset is not None or len(self.target.addressed) == 1)
        )

    @cached_property
    def _reached(self) -> dict[tuple[bool, str, str], tuple[str, ...]]:
        """The memories that ops of a kind reach, filled as they are asked for."""
        return {}
