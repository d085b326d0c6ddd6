"""What a depth-first search over sets of executed ops works on and knows; see `descent.py`."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Ints, Records
from memplan_solvers.peak.executed import ExecutedSet, LiveArrays, none_executed
from memplan_solvers.peak.met import Met

FRAME = np.dtype(
    [
        ("count", np.int64),  # ops executed in the frame's set
        ("begin", np.int64),  # where its candidates begin
        ("cut", np.int64),  # the least bytes during an op that were above the limit, from this set on
        ("key_a", np.int64),  # the set's key
        ("key_b", np.int64),
    ]
)

CANDIDATE = np.dtype([("op", np.int64), ("change", np.int64)])
"""An op that may be executed next, and the bytes that it adds to the live ones."""

PROGRESS = np.dtype(
    [
        ("phase", np.int64),  # a Phase
        ("depth", np.int64),  # frames on the stack
        ("candidates", np.int64),  # candidates on the stack
        ("cut", np.int64),  # after FAILED: the bytes that every order from the root on needs
        ("expanded", np.int64),  # sets expanded so far
        ("passed", np.int64),  # articulation sets behind
    ]
)


class Phase(IntEnum):
    """What a search does next: expand the set where it stands, or take the next candidate."""

    EXPAND = 0
    TAKE = 1


class DescentOutcome(IntEnum):
    """How a search ended: an order was found, there is none, time is up, or an array has to be enlarged."""

    FOUND = 0
    FAILED = 1
    PAUSED = 2
    FULL = 3


class DescentRules(NamedTuple):
    """Which rules apply; see `directions.RULES`."""

    shrink: bool
    path: bool
    visited: bool
    known: bool  # whether a set that is known to succeed ends the search, its order unseen


class Stack(NamedTuple):
    """Where a search stands: a frame for each set on the way to the current one, with the candidates left to try."""

    progress: Annotated[Records, PROGRESS, "1"]
    frames: Annotated[Records, FRAME, "op + 2"]
    candidates: Annotated[
        Records, CANDIDATE, "candidate"
    ]  # a frame's in descending order: the last one is taken first
    rank: Annotated[Ints, "op"]  # of equal changes, the least rank is taken first


class Descent(NamedTuple):
    """A search: what it works on, and all that it knows."""

    model: LiveArrays
    executed: ExecutedSet
    stack: Stack
    met: Met
    rules: DescentRules


def new_descent(
    model: LiveArrays, met: Met, rules: DescentRules, candidates: int, rank: Ints | None = None
) -> Descent:
    """A search from the empty set on, with room for so many candidates on its stack."""
    n = len(model.extra)
    stack = Stack(
        progress=np.zeros(1, PROGRESS),
        frames=np.zeros(n + 2, FRAME),
        candidates=np.zeros(candidates, CANDIDATE),
        rank=np.arange(n) if rank is None else rank,
    )
    return Descent(model, none_executed(model), stack, met, rules)
