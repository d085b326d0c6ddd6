"""The guide of the agent's annealing: what it knows, learns, and does."""

from __future__ import annotations

import numpy as np
import pytest
from memplan_solvers.common.arrays import Floats32
from memplan_solvers.latency.anneal import Anneal
from memplan_solvers.latency.anneal_kernel import KINDS, STATES
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.layout import make_layout
from memplan_solvers.latency.msa import tuned
from memplan_solvers.malloc_game.actors import TrainingCase
from memplan_solvers.malloc_game.guide import (
    INPUTS,
    LEAST,
    MOST,
    STATIC,
    Guide,
    focus_of,
    guide_of,
    load_guide,
    log_gain,
    save_guide,
    with_state,
)
from memplan_solvers.malloc_game.guide_learner import Experience, experience, teach
from memplan_solvers.malloc_game.guided import QUEUED

from memplan.solving.limits import Limits

UNSEEN = TrainingCase("mobilenet_v3_large", "ethos-u65", 0.1)


def all_log_gains(guide: Guide, x: Floats32) -> Floats32:
    """By the formula, float32[rows, KINDS]."""
    return np.clip(np.maximum(x @ guide.g0 + guide.c0, 0) @ guide.g1 + guide.c1, LEAST, MOST)


@pytest.mark.slow(reason="plays many games")
def test_the_shipped_guide_knows_what_rounds_gain_on_a_net_it_has_not_seen() -> None:
    lived = experience(UNSEEN, 5)
    work, gain = lived.work.ravel(), lived.gain.ravel()
    best = np.argsort(-all_log_gains(load_guide(), lived.x).ravel())
    first = np.cumsum(work[best]) < 0.25 * work.sum()
    assert gain[best][first].sum() > 0.5 * gain.sum()


def test_the_compiled_guide_is_the_formula() -> None:
    guide, rng = load_guide(), np.random.default_rng(1)
    static = rng.standard_normal((50, STATIC)).astype(np.float32)
    state = rng.integers(0, STATES, 50)
    found = log_gain(guide, static @ guide.g0[:STATIC] + guide.c0, state, 0.3)
    assert np.allclose(found, all_log_gains(guide, with_state(static, state, 0.3)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow(reason="plays many games")
def test_teaching_finds_what_gains() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, INPUTS)).astype(np.float32)
    gains = np.full((400, KINDS), 0.2, np.float32)
    gains[x[:, 2] > 0, 4] = 0.2 + 0.8 * 2 * KINDS
    lived = Experience(x, np.full((400, KINDS), 1 / 400 / KINDS, np.float32), gains / 400 / KINDS)
    curve: list[dict[str, float]] = []
    guide = teach([lived], [lived], 100, 1, curve.append)
    found = all_log_gains(guide, x)
    assert curve[-1]["held out"] < curve[0]["held out"] < 1.1
    assert found[x[:, 2] > 0.5, 4].min() > found[:, :4].max()
    assert found[x[:, 2] > 0.5, 4].min() > found[x[:, 2] < -0.5, 4].mean()
    again = teach([lived], [lived], 100, 1, curve.append)
    assert all(np.array_equal(a, b) for a, b in zip(guide, again, strict=True))
    from safetensors.numpy import load

    assert all(np.array_equal(a, b) for a, b in zip(guide, guide_of(load(save_guide(guide))), strict=True))


def test_guided_annealing_repeats_itself_and_is_what_the_evaluator_says() -> None:
    timed = make_arrays(UNSEEN.problem(), Limits(60.0))
    assert timed is not None
    start = tuned(timed, Limits(60.0), 0.0)
    runs = [
        Anneal(effort=15).improve(
            timed, start, Limits(600.0, seed=2), 0.0, QUEUED, focus_of(timed, load_guide())
        )
        for _ in range(2)
    ]
    assert runs[0].seconds == runs[1].seconds < start.seconds
    assert runs[0].seconds == make_layout(timed, runs[0].residencies, runs[0].stores).seconds
