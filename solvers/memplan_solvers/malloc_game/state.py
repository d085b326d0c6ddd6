"""Where a game stands: records over one block of words, with a log of old words, so that any move can be undone.

Most parts of `GameState` are views of `words`; what a move changes is written by `undo_log.py`, which logs the
old word. The beginning of a game is its words, and a copy of a game is a copy of its arrays.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import accumulate, pairwise
from typing import Annotated, NamedTuple, TypedDict

import numpy as np

from memplan_solvers.common.arrays import Floats, Ints, Records
from memplan_solvers.latency.arrays import RESIDENCY
from memplan_solvers.latency.copy_queue import COPY, CopyQueue

FREE, HOST = -1, -2
"""A group's place: not yet decided; host. Otherwise its offset in bytes."""

TOTALS = np.dtype(
    [
        ("move", np.int64),  # the next one
        ("log", np.int64),  # lines of the log
        ("open_stores", np.int64),  # stores without a due step
        ("residencies", np.int64),
        ("backups", np.int64),
        ("latency", np.float64),  # s, with every undecided touch served from host
    ]
)

OP = np.dtype(
    [
        ("slow", np.float64),  # s, its host time as the game stands
        ("fast", np.float64),  # s, its scratchpad time
    ]
)


class Standing(IntEnum):
    """The words of a storage's standing: the fields of `STANDING`, by which the log names them."""

    ROW = 0  # its last residency, or -1
    HELD = 1  # 1 while its place is kept for a later use or an open store
    HOST_FROM = 2  # the step from which ops may read the host copy: -1 always, or NEVER
    OPENED = 3  # 1 while its store has no due step yet
    SEEN = 4  # its last answered move, or -1
    OVER = 5  # 1 where it was written in place


STANDING = np.dtype([(word.name.lower(), np.int64) for word in Standing])

NEIGHBOUR = np.dtype(
    [
        ("low", np.int64),  # bytes, where it begins
        ("high", np.int64),  # and ends
        ("holder", np.int64),  # the storage, if it only holds the place and may be asked to give way, or -1
        ("yields", np.int64),  # 1 once it gives way
    ]
)

ANSWERED = np.dtype(
    [
        ("answer", np.int64),  # a `MoveAnswer`
        ("mark", np.int64),  # lines of the log before it
    ]
)

LINE = np.dtype(
    [
        ("place", np.int64),  # of a word, or a `Growth`
        ("old", np.int64),  # the word before; where the queue has grown
    ]
)


class Growth(IntEnum):
    """What a line of the log is about that is about no word."""

    RESIDENCY = -1  # the last one was added
    QUEUE = -2  # a copy was entered at the place that `old` names


class Sizes(NamedTuple):
    """How many of each a game has."""

    storages: int
    steps: int
    moves: int
    groups: int

    @property
    def residencies(self) -> int:
        """At most, and copies."""
        return self.moves + self.storages + 1


BASES = np.dtype(
    [  # the first word of each part of `GameState.words`, in order
        ("totals", np.int64),
        ("standings", np.int64),
        ("residencies", np.int64),
        ("places", np.int64),
        ("copies", np.int64),
        ("queued", np.int64),
        ("ops", np.int64),
        ("reach", np.int64),
        ("end", np.int64),  # the word after the last
    ]
)


class GameState(NamedTuple):
    """Where a game stands. It nests little, since Python hands it over at every move, and a tuple takes
    longer than an array.
    """

    words: Annotated[Ints, "words"]
    reals: Annotated[Floats, "words"]  # the same block
    # Parts of it:
    totals: Annotated[Records, TOTALS, "1"]
    standings: Annotated[Records, STANDING, "storages"]
    residencies: Annotated[Records, RESIDENCY, "residencies"]  # the first totals[0].residencies of them
    places: Annotated[Ints, "groups"]  # bytes, FREE or HOST
    queue: CopyQueue
    ops: Annotated[Records, OP, "steps"]
    reach: Annotated[Floats, "steps + 1"]  # s, copy capacity before each, known up to the current one
    # Beside it:
    base: Annotated[Records, BASES, "1"]
    log: Annotated[Records, LINE, "lines"]
    history: Annotated[Records, ANSWERED, "moves + 1"]
    forced: Annotated[Ints, "groups"]  # 1 where a Drop-backup forces the group into host
    backup_move: Annotated[Ints, "groups + 1"]  # by backup, the move that made it necessary
    backup_answers: Annotated[Ints, "groups + 1, moves"]  # what was answered before
    backup_forced: Annotated[Ints, "groups + 1, groups"]  # `forced` before
    near: Annotated[Records, NEIGHBOUR, "residencies"]  # scratch: what is in a newcomer's way


def make_state(sizes: Sizes) -> GameState:
    """A state of zeros."""
    base, groups = _bases(sizes), sizes.groups
    words = np.zeros(base[0]["end"], np.int64)
    return GameState(
        **_parts(base, words),
        base=base,
        log=np.zeros(24 * (sizes.storages + sizes.steps + sizes.moves) + 256, LINE),
        history=np.zeros(sizes.moves + 1, ANSWERED),
        forced=np.zeros(groups, np.int64),
        backup_move=np.zeros(groups + 1, np.int64),
        backup_answers=np.zeros((groups + 1, sizes.moves), np.int64),
        backup_forced=np.zeros((groups + 1, groups), np.int64),
        near=np.zeros(sizes.residencies, NEIGHBOUR),
    )


def copy_state(state: GameState) -> GameState:
    """A copy that shares nothing with the original."""
    return GameState(
        **_parts(state.base, state.words.copy()),
        base=state.base.copy(),
        log=state.log.copy(),
        history=state.history.copy(),
        forced=state.forced.copy(),
        backup_move=state.backup_move.copy(),
        backup_answers=state.backup_answers.copy(),
        backup_forced=state.backup_forced.copy(),
        near=state.near.copy(),
    )


def words_of(record: np.dtype[np.void]) -> int:
    """How many words a record has."""
    return record.itemsize // 8


def _bases(sizes: Sizes) -> Records:
    """Where the parts of `words` begin, BASES[1]."""
    lengths = (
        words_of(TOTALS),
        words_of(STANDING) * sizes.storages,
        words_of(RESIDENCY) * sizes.residencies,
        sizes.groups,
        words_of(COPY) * sizes.residencies,
        1,
        words_of(OP) * sizes.steps,
        sizes.steps + 1,
    )
    return np.array([tuple(accumulate(lengths, initial=0))], BASES)


class _Parts(TypedDict):
    """The fields of `GameState` that are one block of memory."""

    words: Ints
    reals: Floats
    totals: Records
    standings: Records
    residencies: Records
    places: Ints
    queue: CopyQueue
    ops: Records
    reach: Floats


def _parts(base: Records, words: Ints) -> _Parts:
    """The words, and the views of them."""
    cut = [words[low:high] for low, high in pairwise(base[0].tolist())]
    totals, standings, residencies, places, copies, queued, ops, reach = cut
    return {
        "words": words,
        "reals": words.view(np.float64),
        "totals": totals.view(TOTALS),
        "standings": standings.view(STANDING),
        "residencies": residencies.view(RESIDENCY),
        "places": places,
        "queue": CopyQueue(copies.view(COPY), queued),
        "ops": ops.view(OP),
        "reach": reach.view(np.float64),
    }
