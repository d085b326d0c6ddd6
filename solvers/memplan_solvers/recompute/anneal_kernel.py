"""The annealing's rounds: a change is proposed, judged, and kept by its cost and by the price of the bytes beyond the room."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from memplan_solvers.common.arrays import Ints
from memplan_solvers.common.random_numbers import rand
from memplan_solvers.jit import inlined, kernel
from memplan_solvers.recompute.executions import Executions, Facts, copy, judge
from memplan_solvers.recompute.moves import delete, insert, shift, shift_first


@kernel(allocates=False)
def begin_with(facts: Facts, state: Executions, sequence: Annotated[Ints, "given"]) -> bool:
    """Make the sequence the current one, and the best one if it is; False if it makes no sense."""
    side = state.status[0].side
    copy(sequence, 0, len(sequence), state.sequence[side], 0)
    state.sides[side].length = len(sequence)
    if not judge(facts, state, side, np.inf):
        return False
    _note_best(state)
    return True


@kernel(allocates=False)
def run_rounds(
    facts: Facts, state: Executions, rounds: int, hot: float, cold: float, cheap: float, dear: float
) -> None:
    """Do so many rounds, the temperature falling geometrically from `hot` to `cold` mean costs of an op.

    The price of an excess by the whole capacity at one step rises likewise from `cheap` to `dear`, so that sequences
    which do not fit are passed through at first and not at last.
    """
    status = state.status[0]
    for k in range(rounds):
        side = status.side
        now, proposed = state.sides[side], state.sides[1 - side]
        status.price = cheap * (dear / cheap) ** (k / rounds)
        heat = hot * (cold / hot) ** (k / rounds)
        most = now.cost + status.price * now.excess - heat * np.log(1.0 - rand(state.random))
        if not _propose(facts, state) or not judge(facts, state, 1 - side, most):
            continue
        if proposed.cost + status.price * proposed.excess <= most:
            status.side = 1 - side
            _note_best(state)


@inlined(allocates=False)
def _propose(facts: Facts, state: Executions) -> bool:
    """Write a neighbour of the current sequence to the other side; False where none is found."""
    drawn = rand(state.random)
    over = state.sides[state.status[0].side].excess > 0.0
    inserting = 0.6 if over else 0.25
    if drawn < inserting:
        return bool(insert(facts, state))
    if drawn < inserting + 0.2:
        return bool(shift(facts, state))
    i = int(rand(state.random) * len(facts.fixed))
    if not facts.fixed[i] and rand(state.random) < 0.5:
        return bool(shift_first(facts, state))
    return bool(delete(facts, state))


@inlined(allocates=False)
def _note_best(state: Executions) -> None:
    """Keep the current sequence if it fits and costs less than the best."""
    status = state.status[0]
    about = state.sides[status.side]
    if about.excess <= 0.0 and about.cost < status.best_cost - 1e-12:
        status.best_cost = about.cost
        status.best_length = about.length
        copy(state.sequence[status.side], 0, about.length, state.best, 0)
