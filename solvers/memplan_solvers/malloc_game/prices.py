"""A plan of prices, made once per game, by which a local decision knows of the competition over the whole
graph. Compiled.

Every stay of a storage between two touches asks for bytes over steps and offers seconds; stays are granted greedily by
seconds per byte and step, addresses ignored. What was turned down at a step sets its price.
"""

from __future__ import annotations

import math

import numpy as np

from memplan_solvers.common.arrays import Flags, Floats, Records
from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.malloc_game.board import Board

PRICE = np.dtype(
    [  # of the stay that ends at a move
        ("granted", np.float32),  # 1 where it was
        ("density", np.float32),  # log of seconds per byte and step against the game's median, within ±MOST
        ("ratio", np.float32),  # log of that over the highest price on its steps, within ±MOST
        ("saved", np.float32),  # seconds it saves, in mean op times, at most MOST
    ]
)

MOST = 4.0
"""What a number of a price is at most."""


@kernel
def prices(board: Board) -> Records:
    """PRICE[moves]. O(stays x their lengths)."""
    board = borrow(board)
    k, n = len(board.moves), len(board.compute)
    table = np.zeros(k, PRICE)
    if k == 0:
        return table
    density, saved = np.zeros(k), np.zeros(k)
    _offer(board, density, saved)
    granted, price = np.zeros(k, np.bool_), np.zeros(n)
    _grant(board, density, granted, price)
    unit, middle = max(board.all_host / n, 1e-30), max(np.median(density), 1e-300)
    for i in range(k):
        highest = 0.0
        for u in range(_start(board, i), board.moves[i].step + 1):
            highest = max(highest, price[u])
        row, offered = table[i], max(density[i], 1e-300)
        row.granted = 1.0 if granted[i] else 0.0
        row.density = min(MOST, max(-MOST, math.log(offered / middle)))
        row.ratio = MOST if highest <= 0.0 else min(MOST, max(-MOST, math.log(offered / highest)))
        row.saved = min(MOST, saved[i] / unit)
    return table


@inner
def _start(board: Board, i: int) -> int:
    """The first step of the stay that ends at move i: that of the storage's move before, or its own."""
    before = board.moves[i].before
    return int(before if before >= 0 else board.moves[i].step)


@inner
def _offer(board: Board, density: Floats, saved: Floats) -> None:
    """Fill, by move, seconds per byte and step of its stay, and seconds that it saves with all else in host."""
    slow = np.zeros(len(board.compute))
    for i in range(len(board.moves)):
        slow[board.moves[i].step] += board.storages[board.moves[i].storage].copy
    for i in range(len(board.moves)):
        storage, t, before = (
            board.storages[board.moves[i].storage],
            board.moves[i].step,
            board.moves[i].before,
        )
        gain, compute = storage.copy - storage.pad, board.compute[t]
        saved[i] = max(compute, slow[t]) - max(compute, slow[t] - gain)
        start = before if before >= 0 else max(t - 1, 0)  # a first load takes a step at least
        density[i] = (saved[i] + 0.01 * gain) / (max(storage.size, 1) * (t - start + 1))


@inner
def _grant(board: Board, density: Floats, granted: Flags, price: Floats) -> None:
    """Fill which stays are granted, by move, and by step the highest density turned down."""
    used = np.zeros(len(price), np.int64)
    for i in np.argsort(-density, kind="mergesort"):
        size, most = board.storages[board.moves[i].storage].size, 0
        steps = range(_start(board, i), board.moves[i].step + 1)
        for u in steps:
            most = max(most, used[u])
        if most + size <= board.capacity:
            granted[i] = True
            for u in steps:
                used[u] += size
        else:
            for u in steps:
                price[u] = max(price[u], density[i])
