"""The layout that annealing changes: after any changes its latency is the evaluator's."""

from __future__ import annotations

import random

import numpy as np
import pytest
from memplan_solvers.jit import kernel
from memplan_solvers.latency.anneal import make_annealing, spread_starts
from memplan_solvers.latency.anneal_kernel import keep_best, run_rounds
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.layout import make_layout
from memplan_solvers.latency.msa import tuned
from memplan_solvers.latency.mutable_layout import MutableLayout, residencies_of
from memplan_solvers.latency.place_value import REMOVED, Removed, issue_step

from memplan.solving.limits import Limits
from tests.solvers.malloc_game.games import random_problem


@kernel
def step_of_issue(layout: MutableLayout, removed: Removed, k: int, wanted: float) -> int:
    return issue_step(layout, removed, k, wanted, 0)


@pytest.mark.slow(reason="anneals several programs")
@pytest.mark.parametrize(("queues", "queued"), [(1, 0.0), (1, 0.9), (2, 0.0)])
def test_the_latency_follows_every_change(queues: int, queued: float) -> None:
    changed = 0
    for seed in range(40):
        timed = make_arrays(random_problem(random.Random(seed), 40), Limits(10.0))
        if timed is None or not timed.movable.any():
            continue
        timed = timed._replace(queues=queues)
        start = tuned(timed, Limits(0.05), 0.0)
        search = make_annealing(timed, start, seed, queued)
        for heat in (1e-1, 1e-2, 1e-3):  # hot: worse layouts are kept too
            for _ in range(8):
                run_rounds(timed, search, 7, heat * start.seconds, heat * start.seconds)
                keep_best(search)
                residencies, dues = residencies_of(search.best, search.layout)
                found = make_layout(timed, residencies, search.best_stores, dues)
                seconds = found.seconds
                assert seconds == pytest.approx(search.seconds["now"][0], rel=1e-9)
                changed += abs(seconds / start.seconds - 1) > 1e-6
    assert changed > 200


def test_a_load_that_asks_for_idle_capacity_gets_it() -> None:
    asked = 0
    for seed in range(10):
        timed = make_arrays(random_problem(random.Random(seed), 40), Limits(10.0))
        if timed is None or not timed.movable.any():
            continue
        search = make_annealing(timed, tuned(timed, Limits(0.05), 0.0), seed)
        layout, removed = search.layout, Removed(np.zeros(1, REMOVED), np.zeros(1, np.int64))
        played, slots = layout.accepted, layout.slots
        idle = np.maximum(0, played.capacity[1:] - np.maximum(played.reach[:-1], played.queue_done[1:]))
        for k in np.flatnonzero(timed.touch > 0):
            step = int(timed.touch[k])
            for wanted in (0.1 * idle.sum(), 2 * idle.sum() + 1):
                start = step_of_issue(layout, removed, int(k), -wanted)
                assert start == 0 or idle[start:step].sum() >= wanted * (1 - 1e-9)
                assert start == step or idle[start + 1 : step].sum() < wanted
                asked += 0 < start < step
            if slots["loaded"][k] and slots["start"][k] >= 0:
                # What the queue did for this load is idle once it is taken out.
                copy, gone = (
                    timed.copy[slots["storage"][k]],
                    Removed(removed.rows.copy(), np.ones(1, np.int64)),
                )
                gone.rows["slot"] = k
                again = step_of_issue(layout, gone, int(k), -copy - 0.1 * idle.sum())
                assert again == step_of_issue(layout, removed, int(k), -0.1 * idle.sum())
    assert asked > 25


def test_rounds_begin_as_often_as_weights_say() -> None:
    timed = make_arrays(random_problem(random.Random(3), 40), Limits(10.0))
    assert timed is not None and timed.movable.any()
    touches = np.flatnonzero(np.repeat(timed.movable, np.diff(timed.touch_row)))
    weight = np.ones(len(timed.touch))
    weight[touches[0]] = len(touches)
    count = np.bincount(spread_starts(timed, weight), minlength=len(timed.touch))
    assert (np.flatnonzero(count) == touches).all()  # each at least once, none that may not be placed
    assert count[touches[0]] / count.sum() == pytest.approx(0.5, abs=0.05)
