"""Where the states of the layers behind came from, and the way from the start to a goal."""

from __future__ import annotations

from typing import NamedTuple

from memplan_solvers.common.arrays import Ints, ShortInts
from memplan_solvers.peak.descent_state import Descent, DescentOutcome
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.layer import Layer, state_count
from memplan_solvers.search.least_peak import keeps_within
from memplan_solvers.search.remaining_cost import Terms
from memplan_solvers.search.subproblem import Subproblem


class Origins(NamedTuple):
    """What is remembered of the states of one layer."""

    parent: ShortInts  # [state] the state before it, -1 for the first one
    move: ShortInts  # [state] the op that led to it, -1 for the first one
    inside: Ints  # [state, storage_word] present storages


class Goal(NamedTuple):
    """A state from which nothing more is paid, and where it came from."""

    layer: int  # ops executed
    parent: int
    move: int
    row: Ints  # [word]


def origins_of(layer: Layer, terms: Terms) -> Origins:
    """What is to be remembered of a layer."""
    count, W = state_count(layer), terms.op_words
    inside = layer.row[:count, W : W + terms.storage_words]
    return Origins(layer.parent[:count].copy(), layer.move[:count].copy(), inside.copy())


def find_way(
    subproblem: Subproblem, live: Descent, terms: Terms, history: list[Origins], goal: Goal
) -> tuple[tuple[int, ...] | None, list[tuple[int, int]]]:
    """The ops from the start to the goal and on to the end, and what leaves on the way: (step, storage).

    None where the search `live` finds no order from the goal on in time.
    """
    W = terms.op_words
    moves: list[int] = [goal.move] if goal.layer else []
    masks = [goal.row[W : W + terms.storage_words]]
    k = goal.parent
    for depth in range(goal.layer - 1, -1, -1):
        masks.append(history[depth].inside[k])
        if depth:
            moves.append(int(history[depth].move[k]))
        k = int(history[depth].parent[k])
    moves.reverse()
    masks.reverse()
    evictions = _evictions(subproblem, moves, masks)
    if len(moves) < subproblem.n:
        settle(live.model, live.executed, goal.row[:W])
        root = len(moves)
        rules = live.rules._replace(known=False)  # its order is wanted
        outcome, _ = keeps_within(live._replace(rules=rules), terms.capacity, 100_000_000)
        if outcome != DescentOutcome.FOUND:
            return None, []
        moves += [int(i) for i in live.executed.trail[root : subproblem.n]]
    return tuple(moves), evictions


def _evictions(subproblem: Subproblem, moves: list[int], masks: list[Ints]) -> list[tuple[int, int]]:
    """What leaves at each step without being touched; masks[t] are the storages present before step t."""
    evictions = []
    for t, i in enumerate(moves):
        for s in range(len(subproblem.size)):
            there, stays = (bool(int(x[s >> 6]) >> (s & 63) & 1) for x in (masks[t], masks[t + 1]))
            if there and not stays and s not in subproblem.touched[i]:
                evictions.append((t, s))
    return evictions
