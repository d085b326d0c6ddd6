"""Where a game stands: records over one block of words, with a log of old words, so that any move can be undone.

The parts of `State` are views of `words`; what a move changes is written by `undo_log.py`, which logs the old word. The
beginning of a game is its words, and a copy of a game is a copy of its arrays.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import accumulate
from typing import Annotated, NamedTuple

import numpy as np

from memplan_solvers.common.arrays import Floats, Ints, Records
from memplan_solvers.latency.arrays import RESIDENCY
from memplan_solvers.latency.copy_queue import COPY, CopyQueue

FREE, HOST = -1, -2
"""A group's place: not yet decided; host. Otherwise its offset in bytes."""

COUNTS = np.dtype(
    [
        ("move", np.int64),  # the next one
        ("log", np.int64),  # lines of the log
        ("open_stores", np.int64),  # stores without a due step
        ("residencies", np.int64),
        ("backups", np.int64),
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
        ("answer", np.int64),  # an `Answer`
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


class Bases(NamedTuple):
    """The first word of each part of `State.words`, in order."""

    counts: int
    standings: int
    residencies: int
    places: int
    copies: int
    queued: int
    slow: int
    fast: int
    reach: int
    latency: int
    end: int  # the word after the last


class Backups(NamedTuple):
    """What each Drop-backup replaced."""

    move: Annotated[Ints, "groups + 1"]  # the move that made it necessary
    answers: Annotated[Ints, "groups + 1, moves"]
    forced: Annotated[Ints, "groups + 1, groups"]  # `State.forced`


class State(NamedTuple):
    """Where a game stands. All up to `latency` are views of `words`."""

    counts: Annotated[Records, COUNTS, "1"]
    standings: Annotated[Records, STANDING, "storages"]
    residencies: Annotated[Records, RESIDENCY, "residencies"]  # the first counts[0].residencies of them
    places: Annotated[Ints, "groups"]  # bytes, FREE or HOST
    queue: CopyQueue
    slow: Annotated[Floats, "steps + 1"]  # s, host time of each op
    fast: Annotated[Floats, "steps + 1"]  # s, its scratchpad time
    reach: Annotated[Floats, "steps + 1"]  # s, copy capacity before it, known up to the current step
    latency: Annotated[Floats, "1"]  # s, with every undecided touch served from host
    words: Annotated[Ints, "words"]
    reals: Annotated[Floats, "words"]  # the same block
    base: Bases
    log: Annotated[Records, LINE, "lines"]
    # What no log undoes:
    history: Annotated[Records, ANSWERED, "moves + 1"]  # the answered moves
    forced: Annotated[Ints, "groups"]  # 1 where a backup forces the group into host
    backups: Backups
    near: Annotated[Records, NEIGHBOUR, "residencies"]  # scratch: what is in a newcomer's way


def make_state(sizes: Sizes) -> State:
    """A state of zeros."""
    lines = 24 * (sizes.storages + sizes.steps + sizes.moves) + 256
    groups = sizes.groups
    base = _bases(sizes)
    return _with_words(
        base,
        np.zeros(base.end, np.int64),
        log=np.zeros(lines, LINE),
        history=np.zeros(sizes.moves + 1, ANSWERED),
        forced=np.zeros(groups, np.int64),
        backups=Backups(
            move=np.zeros(groups + 1, np.int64),
            answers=np.zeros((groups + 1, sizes.moves), np.int64),
            forced=np.zeros((groups + 1, groups), np.int64),
        ),
        near=np.zeros(sizes.residencies, NEIGHBOUR),
    )


def copy_state(state: State) -> State:
    """A copy that shares nothing with the original."""
    return _with_words(
        state.base,
        state.words.copy(),
        log=state.log.copy(),
        history=state.history.copy(),
        forced=state.forced.copy(),
        backups=Backups(*(part.copy() for part in state.backups)),
        near=state.near.copy(),
    )


def words_of(record: np.dtype[np.void]) -> int:
    """How many words a record has."""
    return record.itemsize // 8


def _bases(sizes: Sizes) -> Bases:
    """Where the parts of `words` begin."""
    steps = sizes.steps + 1
    counts, standings = words_of(COUNTS), words_of(STANDING) * sizes.storages
    residencies, copies = words_of(RESIDENCY) * sizes.residencies, words_of(COPY) * sizes.residencies
    return Bases(
        *accumulate((0, counts, standings, residencies, sizes.groups, copies, 1, steps, steps, steps, 1))
    )


def _with_words(
    base: Bases, words: Ints, *, log: Records, history: Records, forced: Ints, backups: Backups, near: Records
) -> State:
    """The state whose words these are."""
    reals = words.view(np.float64)
    return State(
        counts=words[base.counts : base.standings].view(COUNTS),
        standings=words[base.standings : base.residencies].view(STANDING),
        residencies=words[base.residencies : base.places].view(RESIDENCY),
        places=words[base.places : base.copies],
        queue=CopyQueue(words[base.copies : base.queued].view(COPY), words[base.queued : base.slow]),
        slow=reals[base.slow : base.fast],
        fast=reals[base.fast : base.reach],
        reach=reals[base.reach : base.latency],
        latency=reals[base.latency : base.end],
        words=words,
        reals=reals,
        base=base,
        log=log,
        history=history,
        forced=forced,
        backups=backups,
        near=near,
    )
