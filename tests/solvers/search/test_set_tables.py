"""All sets of executed ops, and the least peak from each on, against plain enumeration."""

from __future__ import annotations

import numpy as np
from memplan_solvers.peak.executed import settle
from memplan_solvers.search.least_peak import least_peak
from memplan_solvers.search.set_tables import list_sets, tabulated

from memplan.solving.limits import Limits
from tests.solvers.peak.test_executed import models, peak, ready


def sets_of(model) -> list[set[int]]:
    """Per number of ops, the sets that may have been executed, as bits."""
    levels = [{0}]
    for _ in range(model.n):
        bits = levels[-1]
        done = {k: [i for i in range(model.n) if k >> i & 1] for k in bits}
        levels.append({k | 1 << i for k in bits for i in ready(model, done[k])})
    return levels


def test_every_set_is_listed_once_and_has_its_least_peak() -> None:
    compared = 0
    for model in models(40):
        if not 0 < model.n <= 7:
            continue
        search = least_peak(model)
        levels = list_sets(search, Limits(60.0))
        assert levels is not None
        listed = [[int(row[0]) for row in rows] for rows in levels]
        assert [sorted(level) for level in listed] == [sorted(level) for level in sets_of(model)]
        table = tabulated(search, levels, Limits(60.0))
        assert table is not None
        keys = table.met.keys
        known = {key: bounds.tolist() for key, bounds in zip(keys.tolist(), table.met.bounds, strict=True)}
        for k in (k for level in listed for k in level):
            settle(table.model, table.executed, np.array([k], np.int64))
            totals = table.executed.totals[0]
            least = peak(model, tuple(i for i in range(model.n) if k >> i & 1))
            if k:  # the key of no op at all is that of a free row
                assert known[int(totals["key_a"]), int(totals["key_b"])] == (least, least)
            compared += 1
    assert compared > 200


def test_no_more_sets_are_listed_than_asked_for_and_none_when_the_time_is_up() -> None:
    model = next(model for model in models(40) if sum(map(len, sets_of(model))) > 12)
    count = sum(map(len, sets_of(model)))
    assert list_sets(least_peak(model), Limits(60.0), most=count) is not None
    assert list_sets(least_peak(model), Limits(60.0), most=count - 1) is None
    assert list_sets(least_peak(model), Limits(0.0)) is None
