"""What is said where a rule is broken."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """One broken rule, and where.

    Args:
        rule: its word; docs/rules.md has a section for each.
        message: what is wrong, for people.
        step: of the schedule, None where it is about no single one; of a move, the boundary of its issue.
        tensors: names of those concerned.
        addresses: bytes concerned, of the memory that the message names.
    """

    rule: str
    message: str
    step: int | None = None
    tensors: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = "" if self.step is None else f" (step {self.step})"
        return f"{self.rule}: {self.message}{where}"
