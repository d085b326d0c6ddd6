"""The kernels over sets of executed ops against twins in plain Python that know nothing but the definition of live bytes."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
from memplan_solvers.peak.descent_state import DescentOutcome
from memplan_solvers.peak.executed import live_arrays, none_executed, settle
from memplan_solvers.peak.live import LiveModel, live_model
from memplan_solvers.peak.met import enlarged, none_met
from memplan_solvers.search.least_peak import keeps_within, least_peak

from tests.agree import random_problem

SEEDS = 150
"""Random models of up to 9 ops."""


def models(count: int = SEEDS) -> list[LiveModel]:
    return [live_model(random_problem(seed, "peak", ops=9, pins=False)) for seed in range(count)]


def some_set(model: LiveModel, rng: random.Random) -> list[int]:
    """Ops that may have run first, in a valid order."""
    done: list[int] = []
    for _ in range(rng.randint(0, model.n)):
        done.append(rng.choice(ready(model, done)))
    return done


def ready(model: LiveModel, done: Sequence[int]) -> list[int]:
    return [i for i in range(model.n) if i not in done and set(model.preds[i]) <= set(done)]


def live(model: LiveModel, done: Sequence[int]) -> int:
    """Bytes live after these ops."""
    total = 0
    for s, ops in enumerate(model.touches):
        begun = model.opening[s] or any(i in done for i in ops)
        needed = model.closing[s] or any(i not in done for i in ops)
        total += model.size[s] if begun and needed else 0
    return total


def during(model: LiveModel, done: Sequence[int], i: int) -> int:
    """Bytes live while op i runs next."""
    total = model.extra[i]
    for s, ops in enumerate(model.touches):
        begun = model.opening[s] or any(x in done or x == i for x in ops)
        needed = model.closing[s] or any(x not in done for x in ops)
        total += model.size[s] if begun and needed else 0
    saved, sources = model.over.get(i, (0, ()))
    dies = [all(x in done for x in model.touches[s] if x != i) for s in sources]
    return total - (saved if any(dies) else 0)


def peak(model: LiveModel, done: tuple[int, ...]) -> int:
    """The least peak from these ops on."""
    return min(
        (max(during(model, done, i), peak(model, (*done, i))) for i in ready(model, done)),
        default=0,
    )


def bits(done: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    return np.array([sum(1 << i for i in done)], np.int64)


def test_a_set_has_the_live_bytes_and_ready_ops_that_its_definition_says() -> None:
    rng = random.Random(0)
    for model in models():
        arrays = live_arrays(model)
        executed, done = none_executed(arrays), some_set(model, rng)
        assert executed.totals["live"][0] == live(model, [])
        settle(arrays, executed, bits(done))
        assert executed.totals["live"][0] == live(model, done)
        assert sorted(executed.ready[: executed.totals["ready"][0]]) == ready(model, done)


def test_a_search_from_any_set_knows_whether_an_order_keeps_within_a_limit() -> None:
    rng, seen = random.Random(1), set()
    for model in models():
        search, done = least_peak(model, 16), some_set(model, rng)
        settle(search.model, search.executed, bits(done))
        least = peak(model, tuple(done)) if len(done) > 2 else 0
        for limit in (least - 1, least, least + 1) if least else ():
            search = search._replace(met=enlarged(search.met)) if rng.random() < 0.3 else search
            outcome, needed = keeps_within(search, limit, 10**6)
            assert outcome is (DescentOutcome.FOUND if limit >= least else DescentOutcome.FAILED)
            assert outcome is DescentOutcome.FOUND or limit < needed <= least
            assert search.executed.totals["live"][0] == live(model, done)
            seen.add(outcome)
    assert seen == {DescentOutcome.FOUND, DescentOutcome.FAILED}


def test_a_set_that_is_to_be_found_again_leaves_its_order_in_the_trail() -> None:
    for model in models(30):
        search = least_peak(model)
        search = search._replace(rules=search.rules._replace(known=False))
        outcome, _ = keeps_within(search, sum(model.size) + sum(model.extra), 10**6)
        order = [int(i) for i in search.executed.trail]
        assert outcome is DescentOutcome.FOUND and sorted(order) == list(range(model.n))
        assert all(i in ready(model, order[:t]) for t, i in enumerate(order))


def test_a_larger_table_has_the_same_sets() -> None:
    met = none_met(8, bounded=True)
    met.keys[3], met.bounds[3] = (3, 5), (7, 9)
    met.sets["count"] = 1
    larger = enlarged(met)
    (row,) = np.flatnonzero(larger.keys["b"])
    assert len(larger.keys) == 32 and larger.sets["count"][0] == 1
    assert larger.keys[row].item() == (3, 5) and larger.bounds[row].item() == (7, 9)
