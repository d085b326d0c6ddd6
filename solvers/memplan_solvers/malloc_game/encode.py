"""What the policy network sees of a move: the observation, pooled, and how the move stands in the plan of
prices. Compiled.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from memplan_solvers.common.arrays import Floats32, Records
from memplan_solvers.jit import borrow, kernel
from memplan_solvers.malloc_game.board import Board
from memplan_solvers.malloc_game.features import (
    AHEAD,
    BINS,
    FEATURES,
    STEPS,
    SUMMARY,
    Observation,
    observe,
)
from memplan_solvers.malloc_game.prices import PRICE
from memplan_solvers.malloc_game.state import GameState

POOLED_STEPS, POOLED_BINS = 4, 8
PRICES = len(PRICE.names or ())
"""Numbers of a price."""

INPUTS = (
    (AHEAD + 1) * FEATURES
    + POOLED_STEPS * POOLED_BINS
    + STEPS // 2
    + len(SUMMARY.names or ())
    + 2 * PRICES  # of this move, and the storage's next
)
"""Numbers that `encode` gives."""


@kernel
def encode(
    board: Board,
    state: GameState,
    table: Annotated[Records, PRICE, "moves"],
    seen: Observation,
    out: Annotated[Floats32, "inputs"],
) -> None:
    """Fill `out` for the next move; `seen` is scratch."""
    board, state, table, seen, out = borrow(board), borrow(state), borrow(table), borrow(seen), borrow(out)
    observe(board, state, seen)
    at = 0
    for number in seen.moves.view(np.float32):
        out[at] = number
        at += 1
    height, width = STEPS // POOLED_STEPS, BINS // POOLED_BINS
    for u in range(POOLED_STEPS):
        for x in range(POOLED_BINS):
            total = 0.0
            for v in range(height):
                for y in range(width):
                    total += seen.occupancy[u * height + v, x * width + y]
            out[at] = total / (height * width)
            at += 1
    for u in range(STEPS // 2):
        out[at] = math.log1p(seen.bandwidth[2 * u])
        at += 1
    for number in seen.summary.view(np.float32):
        out[at] = min(number, 8.0)
        at += 1
    i, numbers = state.totals[0].move, table.view(np.float32)
    after = board.moves[i].after if i < len(board.moves) else -1
    for c in range(PRICES):
        out[at] = numbers[PRICES * i + c] if i < len(board.moves) else 0.0
        out[at + 1] = numbers[PRICES * after + c] if after >= 0 else 0.0
        at += 2
