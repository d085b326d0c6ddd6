"""The plan of prices against the same plan in plain Python."""

from __future__ import annotations

import random
from math import log
from statistics import median

import numpy as np
import pytest
from memplan_solvers.malloc_game.board import Board
from memplan_solvers.malloc_game.game import open_board
from memplan_solvers.malloc_game.prices import PRICE, prices

from memplan.solving.limits import Limits
from tests.solvers.malloc_game.games import random_problem


def plain_prices(board: Board) -> list[tuple[float, ...]]:
    """What each stay is granted, its density, its ratio and what it saves, by move."""
    moves = [(board.storages[m["storage"]], int(m["step"]), int(m["before"])) for m in board.moves]
    bus = [sum(s["copy"] for s, t, _ in moves if t == step) for step in range(len(board.compute))]
    offers = []
    for s, t, before in moves:
        start = before if before >= 0 else max(t - 1, 0)
        gain, compute = s["copy"] - s["pad"], board.compute[t]
        saved = max(compute, bus[t]) - max(compute, bus[t] - gain)
        offers.append((saved, (saved + 0.01 * gain) / (max(s["size"], 1) * (t - start + 1))))
    stays = [range(t if before < 0 else before, t + 1) for _, t, before in moves]
    used, price, granted = [0] * len(bus), [0.0] * len(bus), set()
    for i in sorted(range(len(moves)), key=lambda i: -offers[i][1]):
        size = moves[i][0]["size"]
        if max(used[u] for u in stays[i]) + size <= board.capacity:
            granted.add(i)
            for u in stays[i]:
                used[u] += size
        else:
            for u in stays[i]:
                price[u] = max(price[u], offers[i][1])
    unit, middle = board.all_host / len(bus), max(median(density for _, density in offers), 1e-300)
    rows = []
    for i, (saved, density) in enumerate(offers):
        highest, density = max(price[u] for u in stays[i]), max(density, 1e-300)
        ratio = log(density / highest) if highest > 0 else 4.0
        rows.append((i in granted, log(density / middle), ratio, saved / unit))
    return [tuple(float(np.clip(number, -4, 4)) for number in row) for row in rows]


def test_prices_are_those_of_plain_python() -> None:
    denied = compared = 0
    for seed in range(40):
        board = open_board(random_problem(random.Random(seed), 20), Limits(10.0))
        if board is None or not len(board.moves):
            continue
        table = prices(board)
        found = table.view(np.float32).reshape(-1, len(PRICE.names or ()))
        assert found == pytest.approx(np.array(plain_prices(board)), rel=1e-5, abs=1e-5), seed
        denied, compared = denied + int((table["granted"] == 0).sum()), compared + len(table)
    assert 0 < denied < compared
