"""Changes of the state that the log can undo. Compiled."""

from __future__ import annotations

import numpy as np

from memplan_solvers.jit import inlined, inner
from memplan_solvers.latency.arrays import RESIDENCY
from memplan_solvers.latency.copy_queue import COPY, dequeue
from memplan_solvers.malloc_game.state import OP, STANDING, TOTALS, GameState, Growth, words_of


def _word(record: np.dtype[np.void], field: str) -> int:
    """Which word of a record a field is."""
    return (record.names or ()).index(field)


STANDING_WORDS, RESIDENCY_WORDS = words_of(STANDING), words_of(RESIDENCY)
COPY_WORDS, OP_WORDS = words_of(COPY), words_of(OP)
STOP, DUE, SLOW, FAST = _word(RESIDENCY, "stop"), _word(COPY, "due"), _word(OP, "slow"), _word(OP, "fast")
OPEN_STORES, LATENCY = _word(TOTALS, "open_stores"), _word(TOTALS, "latency")
"""Words of records that moves change."""


@inlined
def note(state: GameState, place: int, old: int) -> None:
    """Add a line to the log."""
    count = state.totals[0]
    state.log[count.log].place, state.log[count.log].old = place, old
    count.log += 1


@inlined
def set_word(state: GameState, place: int, value: int) -> None:
    """Set an integer word."""
    note(state, place, state.words[place])
    state.words[place] = value


@inlined
def set_real(state: GameState, place: int, value: float) -> None:
    """Set a word that is a float."""
    note(state, place, state.words[place])
    state.reals[place] = value


@inlined
def set_standing(state: GameState, s: int, word: int, value: int) -> None:
    """Set a word of storage s's standing; word: a `Standing`."""
    set_word(state, state.base[0].standings + STANDING_WORDS * s + word, value)


@inlined
def set_stop(state: GameState, r: int, stop: int) -> None:
    """Set where residency r stops."""
    set_word(state, state.base[0].residencies + RESIDENCY_WORDS * r + STOP, stop)


@inlined
def set_due(state: GameState, j: int, due: int) -> None:
    """Set the due step of the queue's copy j."""
    set_word(state, state.base[0].copies + COPY_WORDS * j + DUE, due)


@inlined
def set_place(state: GameState, group: int, place: int) -> None:
    """Set a group's place."""
    set_word(state, state.base[0].places + group, place)


@inlined
def add_open_stores(state: GameState, more: int) -> None:
    """Count so many more stores without a due step."""
    set_word(state, state.base[0].totals + OPEN_STORES, state.totals[0].open_stores + more)


@inlined
def set_op(state: GameState, t: int, slow: float, fast: float) -> None:
    """Set the host time and the scratchpad time of the op of step t."""
    place = state.base[0].ops + OP_WORDS * t
    set_real(state, place + SLOW, slow)
    set_real(state, place + FAST, fast)


@inlined
def set_reach(state: GameState, t: int, seconds: float) -> None:
    """Set the copy capacity before step t."""
    set_real(state, state.base[0].reach + t, seconds)


@inlined
def set_latency(state: GameState, seconds: float) -> None:
    """Set the latency."""
    set_real(state, state.base[0].totals + LATENCY, seconds)


@inner
def rewind(state: GameState, length: int) -> None:
    """Undo the log down to `length` lines."""
    count = state.totals[0]
    for k in range(count.log - 1, length - 1, -1):
        line = state.log[k]
        if line.place >= 0:
            state.words[line.place] = line.old
        elif line.place == Growth.RESIDENCY:
            count.residencies -= 1
        else:
            dequeue(state.queue, state.reach, line.old)
    count.log = length
