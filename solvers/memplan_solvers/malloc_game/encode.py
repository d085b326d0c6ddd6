"""What the policy network sees of a move: the observation, pooled, and how the move stands in a plan of prices.

The plan of prices is made once per game: every stay of a storage between two touches asks for bytes over steps and
offers seconds; stays are granted greedily by seconds per byte and step, addresses ignored. What was turned down at a
step sets its price. So a local decision knows of the competition over the whole graph. Compiled.
"""

from __future__ import annotations

import math

import numpy as np

from memplan_solvers.jit import borrow, kernel
from memplan_solvers.malloc_game.features import AHEAD, BINS, FEATURES, STEPS, Observation, observe
from memplan_solvers.malloc_game.queue import Array
from memplan_solvers.malloc_game.state import (
    AFTER,
    BEFORE,
    COPY_S,
    MOVE,
    PAD_S,
    SIZE,
    STEP,
    STORAGE,
    Board,
    State,
)  # fmt: skip

GRANTED, DENSITY, RATIO, SAVED = range(4)
"""Columns of a price row, for the stay that ends at a move: whether it was granted; log of seconds per byte and step
against the game's median; log of that over the highest price on its steps; seconds it saves, in mean op times."""

POOLED_STEPS, POOLED_BINS = 4, 8
INPUTS = (AHEAD + 1) * FEATURES + POOLED_STEPS * POOLED_BINS + STEPS // 2 + 4 + 4 * 2
"""Numbers that `encode` gives."""


@kernel
def prices(board: Board) -> Array:
    """float32[k, 4], a price row per move. O(stays x their lengths)."""
    k, n = len(board.move), len(board.compute)
    table = np.zeros((k, 4), np.float32)
    if k == 0:
        return table
    slow = np.zeros(n)
    for i in range(k):
        slow[board.move[i, STEP]] += board.cost[board.move[i, STORAGE], COPY_S]
    unit = max(board.all_host / n, 1e-30)
    density, saved = np.zeros(k), np.zeros(k)
    for i in range(k):
        s, t = board.move[i, STORAGE], board.move[i, STEP]
        gain = board.cost[s, COPY_S] - board.cost[s, PAD_S]
        saved[i] = max(board.compute[t], slow[t]) - max(board.compute[t], slow[t] - gain)
        start = max(board.move[i, BEFORE], 0) if board.move[i, BEFORE] >= 0 else max(t - 1, 0)
        density[i] = (saved[i] + 0.01 * gain) / (max(board.fact[s, SIZE], 1) * (t - start + 1))
    used, price = np.zeros(n, np.int64), np.zeros(n)
    granted = np.zeros(k, np.bool_)
    for i in np.argsort(-density, kind="mergesort"):
        s, t = board.move[i, STORAGE], board.move[i, STEP]
        start = board.move[i, BEFORE] if board.move[i, BEFORE] >= 0 else t
        size, most = board.fact[s, SIZE], 0
        for u in range(start, t + 1):
            most = max(most, used[u])
        if most + size <= board.capacity:
            granted[i] = True
            for u in range(start, t + 1):
                used[u] += size
        else:
            for u in range(start, t + 1):
                price[u] = max(price[u], density[i])
    middle = max(np.median(density), 1e-300)
    for i in range(k):
        t = board.move[i, STEP]
        start = board.move[i, BEFORE] if board.move[i, BEFORE] >= 0 else t
        highest = 0.0
        for u in range(start, t + 1):
            highest = max(highest, price[u])
        table[i, GRANTED] = 1.0 if granted[i] else 0.0
        table[i, DENSITY] = min(4.0, max(-4.0, math.log(max(density[i], 1e-300) / middle)))
        table[i, RATIO] = (
            4.0 if highest <= 0.0 else min(4.0, max(-4.0, math.log(max(density[i], 1e-300) / highest)))
        )
        table[i, SAVED] = min(4.0, saved[i] / unit)
    return table


@kernel
def encode(board: Board, state: State, table: Array, seen: Observation, out: Array) -> None:
    """Fill `out`, float32[INPUTS], for the next move; `seen` is scratch."""
    board, state, table, seen, out = borrow(board), borrow(state), borrow(table), borrow(seen), borrow(out)
    observe(board, state, seen)
    at = 0
    for j in range(AHEAD + 1):
        for c in range(FEATURES):
            out[at] = seen.moves[j, c]
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
    for c in range(4):
        out[at] = min(seen.summary[c], 8.0)
        at += 1
    i = state.counts[MOVE]
    after = board.move[i, AFTER] if i < len(board.move) else -1
    for c in range(4):
        out[at] = table[i, c] if i < len(board.move) else 0.0
        out[at + 1] = table[after, c] if after >= 0 else 0.0
        at += 2
