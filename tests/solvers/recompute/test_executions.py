"""The compiled annealing against the plain model: lives, live bytes and costs of every sequence that it goes through."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from memplan_solvers.recompute.anneal import Annealing
from memplan_solvers.recompute.anneal_kernel import begin_with, run_rounds
from memplan_solvers.recompute.executions import Executions, make_executions, make_facts
from memplan_solvers.recompute.model import RecomputeModel, make_model

from memplan.solving.limits import Limits
from tests.recompute_oracle import RecomputeOracle
from tests.solvers.recompute.test_recompute import random_problem


def test_the_best_sequence_is_the_least_of_those_that_fit() -> None:
    """The same seed gives the same; what is kept fits and costs no more than the best that brute force knows."""
    found = 0
    for seed in range(120):
        problem = random_problem(seed)
        if problem is None or (best := RecomputeOracle(problem).optimum()) is None:
            continue
        model = make_model(problem)
        once, twice = Annealing(model, 3), Annealing(model, 3)
        for annealing in (once, twice):
            annealing.begin(range(model.n))
            annealing.cool(3000, Limits(60.0))
        assert once.best == twice.best
        if once.best is not None:
            assert model.fits(once.best) and once.best_cost * model.unit >= best
            found += once.best_cost * model.unit == best
    assert found > 15


def models(count: int) -> list[RecomputeModel]:
    """Models of random problems."""
    problems = [p for seed in range(4 * count) if (p := random_problem(seed)) is not None]
    return [make_model(p) for p in problems[:count]]


def current(state: Executions) -> tuple[list[int], list[int], float]:
    """The current sequence, its live bytes and its cost."""
    side = state.status[0]["side"]
    length = state.sides[side]["length"]
    sequence, live = state.sequence[side, :length], state.live[side, :length]
    return sequence.tolist(), live.tolist(), float(state.sides[side]["cost"])


def test_every_sequence_is_judged_as_the_model_does() -> None:
    again = 0
    for seed, model in enumerate(models(60)):
        facts = make_facts(model)
        state = make_executions(facts, 4 * model.n + 8, seed)
        assert begin_with(facts, state, np.arange(model.n))
        mean = sum(model.costs) / model.n or 1.0
        for _ in range(40):
            sequence, live, cost = current(state)
            assert live == model.live_bytes(sequence)
            assert cost * mean == pytest.approx(sum(model.costs[i] for i in sequence))
            check_order(model, sequence)
            again += len(sequence) - model.n
            run_rounds(facts, state, 5, 3.0, 1.0, 30.0, 100.0)
    assert again > 200


def check_order(model: RecomputeModel, sequence: list[int]) -> None:
    """Each op is executed once at least and not too often, after what it depends on, first executions as they are asked for."""
    first = list(dict.fromkeys(sequence))
    assert sorted(first) == list(range(model.n))
    assert not model.program_order or first == list(range(model.n))
    for i in first:
        assert all(first.index(p) < first.index(i) for p in model.preds[i])
        times = sequence.count(i)
        assert times == 1 or (model.repeats[i] and (model.most is None or times <= model.most))


def test_what_nobody_reads_is_left_out() -> None:
    model = next(m for m in models(60) if m.program_order and any(m.repeats))
    free = replace(model, repeats=(True,) * model.n, most=None, closing=(False,) * len(model.sizes))
    facts = make_facts(free)
    state = make_executions(facts, 4 * model.n + 8, 0)
    assert begin_with(facts, state, np.array([*range(model.n), model.n - 1, 0]))
    assert current(state)[0] == list(range(model.n))


def test_a_sequence_that_reads_what_is_not_written_makes_no_sense() -> None:
    rng = random.Random(1)
    refused = 0
    for model in models(30):
        sequence = list(range(model.n))
        rng.shuffle(sequence)
        position = {i: t for t, i in enumerate(sequence)}
        fair = all(
            model.producer[s] < 0 or position[model.producer[s]] < position[i]
            for i, reads in enumerate(model.reads)
            for s in reads
        )
        facts = make_facts(model)
        assert begin_with(facts, make_executions(facts, 2 * model.n, 0), np.array(sequence)) == fair
        refused += not fair
    assert refused > 5
