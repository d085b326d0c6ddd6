"""One storage as solvers see it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Storage:
    """A placed storage: bytes that one tensor and its views lie in.

    Args:
        name: that of its root tensor.
        nbytes: its bytes.
        size: the same, rounded up to the alignment: what it takes of the scratchpad.
        producer: number of the op that writes it, -1 for inputs and constants.
        uses: numbers of the ops that read it, ascending.
        is_input: whether it is the caller's.
        is_constant: whether it is a weight.
        is_output: whether it must be in host at the end (io host) or resident (io resident), an input too.
        resident: whether it is the caller's buffer in the arena (io resident), never moved.
        keep: pinned, a workspace or joined: one residency covers every touch.
        held_by: of what is kept for no other reason, number of the op that joins it: from then on it might leave.
        offset: the byte where it is pinned to lie, None where it may lie anywhere.
    """

    name: str
    nbytes: int
    size: int
    producer: int
    uses: tuple[int, ...]
    is_input: bool
    is_constant: bool
    is_output: bool
    resident: bool = False
    keep: bool = False
    held_by: int = -1
    offset: int | None = None

    @property
    def pinned(self) -> bool:
        """Whether it may not leave between its first touch and its last."""
        return self.resident or self.keep

    @property
    def end(self) -> int:
        """A lower bound on the end of its place in the scratchpad."""
        return (self.offset or 0) + self.size

    @property
    def in_host(self) -> bool:
        """Whether host memory holds it before the first step."""
        return self.is_input or self.is_constant

    @property
    def touches(self) -> tuple[int, ...]:
        """Ops that write or read it, producer first."""
        return self.uses if self.producer < 0 else (self.producer, *self.uses)
