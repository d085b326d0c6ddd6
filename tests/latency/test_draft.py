"""The draft that annealing changes: after any changes its latency is the evaluator's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.anneal import make_search
from memplan_solvers.latency.draft import DUE, ISSUE, OFFSET, START, rows_of
from memplan_solvers.latency.layout import value
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.timed import flatten

from memplan.solver import Budget
from tests.malloc_game.games import random_problem


@pytest.mark.parametrize("queues", [1, 2])
def test_the_latency_follows_every_change(queues: int) -> None:
    changed = 0
    for seed in range(40):
        timed = flatten(random_problem(random.Random(seed), 40), Budget(10.0))
        if timed is None or not timed.movable.any():
            continue
        timed = timed._replace(queues=queues)
        start = tuned(timed, Budget(0.05), 0.0)
        search = make_search(timed, start, seed)
        for heat in (1e-1, 1e-2, 1e-3):  # hot: worse layouts are kept too
            for _ in range(8):
                kernel.run(timed, search, 7, heat * start.seconds, heat * start.seconds)
                rows = rows_of(search.draft.slot[:, START : OFFSET + 1], search.draft)
                stores = np.ascontiguousarray(search.draft.storage[:, ISSUE : DUE + 1])
                seconds = value(timed, rows, len(rows), stores)
                assert seconds == pytest.approx(search.seconds[0], rel=1e-9)
                changed += abs(seconds / start.seconds - 1) > 1e-6
    assert changed > 200
