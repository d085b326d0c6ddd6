"""A model searched from both ends, against every order there is."""

from __future__ import annotations

import pytest
from memplan_solvers.peak.directions import Directions, articulation_sizes, topological
from memplan_solvers.peak.live import live_peak
from memplan_solvers.peak.rules import RULES

from memplan.solving.limits import Limits
from tests.solvers.peak.test_executed import peak
from tests.solvers.peak.test_live import orders, small

PATIENCE = 10**7


@pytest.mark.parametrize("rules", [RULES, RULES - {"backward", "contracted"}, frozenset()])
def test_an_order_within_the_limit_or_the_bytes_that_every_order_needs(rules: frozenset[str]) -> None:
    for model in small(60):
        least = peak(model, ())
        for limit in (least - 1, least):
            found = Directions(model, rules).within(limit, Limits(60.0), PATIENCE)
            if limit < least:
                assert isinstance(found, int) and limit < found <= least
            else:
                assert found in orders(model) and live_peak(model, found) <= least


def test_a_spent_budget_finds_nothing_and_proves_nothing() -> None:
    model = max(small(60), key=lambda model: model.n)
    assert Directions(model).within(peak(model, ()), Limits(0.0), PATIENCE) == ()
    assert Directions(model).within(peak(model, ()) - 1, Limits(0.0), PATIENCE) == ()


def test_articulations_are_where_every_order_has_executed_the_same_ops() -> None:
    found = 0
    for model in small():
        assert topological(model) in [list(order) for order in orders(model)]
        sizes = articulation_sizes(model)
        prefixes = [{frozenset(order[:k]) for order in orders(model)} for k in range(model.n + 1)]
        for size in sizes:
            assert len(prefixes[size]) == 1
        # Up to an op that all others come before or after.
        expected = [
            k for k in range(1, model.n)
            if len(prefixes[k]) == 1 and len({order[k - 1] for order in orders(model)}) == 1
        ]  # fmt: skip
        assert sizes == expected
        found += bool(sizes)
    assert found > 20
