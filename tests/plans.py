"""Rows of plans in few words: a residency in the scratchpad, copies from and to host memory, in-place pairs."""

from __future__ import annotations

from collections.abc import Mapping

from memplan.problem.plan import InPlace, Move, Residency

SCRATCHPAD, HOST = "scratchpad", "host"


def row(tensor: str, start: int, stop: int, offset: int, size: int) -> Residency:
    """A residency in the scratchpad."""
    return Residency(tensor, SCRATCHPAD, start, stop, offset, size)


def load(tensor: str, issue: int, due: int | None = None) -> Move:
    """A copy to the scratchpad, between boundaries; one that takes no time where `due` is left out."""
    return Move(tensor, HOST, SCRATCHPAD, issue, issue if due is None else due)


def store(tensor: str, issue: int, due: int | None = None, queue: int = 0) -> Move:
    """A copy to host memory, between boundaries; one that takes no time where `due` is left out."""
    return Move(tensor, SCRATCHPAD, HOST, issue, issue if due is None else due, queue)


def over(pairs: Mapping[str, tuple[int, str]]) -> tuple[InPlace, ...]:
    """In-place pairs: by output, the step that writes it and the operand that it is written over."""
    return tuple(InPlace(step, output, operand) for output, (step, operand) in pairs.items())
