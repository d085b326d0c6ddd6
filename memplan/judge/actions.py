"""What a machine does that obeys a plan: `memplan.judge.walk` finds it, executors carry it out, emitted
modules contain it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from memplan.ir.parts import Op
from memplan.problem.plan import Move


class Location(NamedTuple):
    """Where a storage lies, or a part of a joined one.

    Args:
        storage: what lies there.
        memory: the name of a memory; None where the plan does not say: buffers of the caller's (io external), and
            constants that the options ignore.
        offset: its first byte there; None where there are no addresses, and each storage has a buffer of its own.
    """

    storage: str
    memory: str | None
    offset: int | None


class Given(NamedTuple):
    """Before step 0: an input or a constant lies at home."""

    location: Location


class Copied(NamedTuple):
    """A move that is due: all of its storage is copied."""

    move: Move
    source: Location
    destination: Location


class Voided(NamedTuple):
    """At boundary `boundary` the `size` bytes of a residency hold nothing that may be read: it has ended, the move that
    fills it is under way, or it is the workspace of the op that ran."""

    boundary: int
    location: Location
    size: int


class Executed(NamedTuple):
    """An execution: each storage that the op reads and each output that it writes, by name, with its place.

    A view has neither. A joined op copies nothing: it has its output alone, which lies there already.
    """

    step: int
    op: Op
    reads: Mapping[str, Location]
    writes: Mapping[str, Location]


class Finished(NamedTuple):
    """The end: where the storage of each graph output lies, by the storage's name."""

    outputs: Mapping[str, Location]


Action = Given | Copied | Voided | Executed | Finished
