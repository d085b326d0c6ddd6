"""Live bytes as a model: what is certain, what may be contracted, and time turned round."""

from __future__ import annotations

import random
from collections.abc import Iterator

from memplan_solvers.peak.live import LiveModel, certain_bound, contracted, live_peak

from tests.solvers.peak.test_executed import during, live, models, peak, ready


def orders(model: LiveModel, done: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    if len(done) == model.n:
        yield done
    for i in ready(model, done):
        yield from orders(model, (*done, i))


def small(count: int = 120) -> list[LiveModel]:
    """Those of so many models that have up to six ops."""
    return [model for model in models(count) if 0 < model.n <= 6]


def some_order(model: LiveModel, dice: random.Random) -> tuple[int, ...]:
    done: tuple[int, ...] = ()
    while len(done) < model.n:
        done = (*done, dice.choice(ready(model, done)))
    return done


def test_the_peak_of_an_order_is_the_largest_sum_at_one_of_its_steps() -> None:
    dice = random.Random(0)
    for model in models(120):
        order = some_order(model, dice)
        assert live_peak(model, order) == max(
            (during(model, order[:t], i) for t, i in enumerate(order)), default=0
        )


def test_what_is_certain_at_an_op_is_there_under_every_order() -> None:
    more = 0
    for model in small():
        every, most = list(orders(model)), 0
        for i in range(model.n):
            before = [set(order[: order.index(i)]) for order in every]
            total = model.extra[i] - model.over.get(i, (0, ()))[0]
            for s, ops in enumerate(model.touches):
                begun = all(model.opening[s] or {*ops} & {*done, i} for done in before)
                needed = all(model.closing[s] or {*ops} - done for done in before)
                total += model.size[s] if begun and needed else 0
            most = max(most, total)
        ends = live(model, ()), live(model, range(model.n))
        assert certain_bound(model) == max(most, *ends)
        assert certain_bound(model) <= max(peak(model, ()), *ends)
        more += certain_bound(model) > max(sum(model.size[s] for s in touched) for touched in model.touched)
    assert more > 5


def test_contracting_keeps_the_least_peak_and_the_orders_it_stands_for() -> None:
    joined = 0
    for model in small(150):
        inner, groups = contracted(model)
        assert sorted(i for group in groups for i in group) == list(range(model.n))
        assert peak(inner, ()) == peak(model, ())
        for order in orders(inner):
            unfolded = tuple(i for k in order for i in groups[k])
            assert live_peak(model, unfolded) == live_peak(inner, order)
            break
        joined += inner.n < model.n
    assert joined > 1


def test_time_turned_round_has_the_same_live_bytes() -> None:
    dice = random.Random(1)
    for model in models(60):
        order, back = some_order(model, dice), model.reversed
        for t in range(model.n + 1):
            assert live(model, order[:t]) == live(back, order[t:])
        assert back.reversed == model
