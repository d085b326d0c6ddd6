"""The draft that annealing changes: after any changes its latency is the evaluator's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from memplan_solvers.latency import anneal_kernel as kernel
from memplan_solvers.latency.anneal import make_search, spread
from memplan_solvers.latency.decide import issue_step
from memplan_solvers.latency.draft import AT, DONE, DUE, ISSUE, LOADED, OFFSET, OWNER, REACH, START, rows_of
from memplan_solvers.latency.layout import value
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.timed import flatten

from memplan.solver import Budget
from tests.malloc_game.games import random_problem


@pytest.mark.parametrize(("queues", "queued"), [(1, 0.0), (1, 0.9), (2, 0.0)])
def test_the_latency_follows_every_change(queues: int, queued: float) -> None:
    changed = 0
    for seed in range(40):
        timed = flatten(random_problem(random.Random(seed), 40), Budget(10.0))
        if timed is None or not timed.movable.any():
            continue
        timed = timed._replace(queues=queues)
        start = tuned(timed, Budget(0.05), 0.0)
        search = make_search(timed, start, seed, queued)
        for heat in (1e-1, 1e-2, 1e-3):  # hot: worse layouts are kept too
            for _ in range(8):
                kernel.run(timed, search, 7, heat * start.seconds, heat * start.seconds)
                rows = rows_of(search.draft.slot[:, START : OFFSET + 1], search.draft)
                stores = np.ascontiguousarray(search.draft.storage[:, ISSUE : DUE + 1])
                seconds = value(timed, rows, len(rows), stores)
                assert seconds == pytest.approx(search.seconds[0], rel=1e-9)
                changed += abs(seconds / start.seconds - 1) > 1e-6
    assert changed > 200


def test_a_load_that_asks_for_idle_capacity_gets_it() -> None:
    asked = 0
    for seed in range(20):
        timed = flatten(random_problem(random.Random(seed), 40), Budget(10.0))
        if timed is None or not timed.movable.any():
            continue
        search = make_search(timed, tuned(timed, Budget(0.05), 0.0), seed)
        kept, track = np.zeros((1, 4), np.int64), search.draft.track[0]
        idle = np.maximum(0, track[AT, 1:] - np.maximum(track[REACH, :-1], track[DONE, 1:]))
        for k in np.flatnonzero(timed.touch > 0):
            step = int(timed.touch[k])
            for wanted in (0.1 * idle.sum(), 2 * idle.sum() + 1):
                start = issue_step(search.draft, kept, 0, int(k), -wanted, 0)
                assert start == 0 or idle[start:step].sum() >= wanted * (1 - 1e-9)
                assert start == step or idle[start + 1 : step].sum() < wanted
                asked += 0 < start < step
            if search.draft.slot[k, LOADED] and search.draft.slot[k, START] >= 0:
                kept[0, 0] = k  # what the queue did for this load is idle once it is taken out
                copy = timed.copy[search.draft.slot[k, OWNER]]
                again = issue_step(search.draft, kept, 1, int(k), -copy - 0.1 * idle.sum(), 0)
                assert again == issue_step(search.draft, kept, 0, int(k), -0.1 * idle.sum(), 0)
    assert asked > 50


def test_rounds_begin_as_often_as_weights_say() -> None:
    timed = flatten(random_problem(random.Random(3), 40), Budget(10.0))
    assert timed is not None and timed.movable.any()
    touches = np.flatnonzero(np.repeat(timed.movable, np.diff(timed.touch_row)))
    weight = np.ones(len(timed.touch))
    weight[touches[0]] = len(touches)
    count = np.bincount(spread(timed, weight), minlength=len(timed.touch))
    assert (np.flatnonzero(count) == touches).all()  # each at least once, none that may not be placed
    assert count[touches[0]] / count.sum() == pytest.approx(0.5, abs=0.05)
