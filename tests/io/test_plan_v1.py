"""Plans of edition 1, read: they check, and cost what they did."""

from __future__ import annotations

import random

import pytest

import memplan
from memplan.io.plan_json import plan_dict, plan_from_dict
from tests.edition1 import plan_1, races
from tests.generate import random_graph, random_plan


@pytest.mark.slow
def test_random_plans_of_edition_1_check_with_their_values() -> None:
    moved = timed = 0
    for seed in range(800):
        rng = random.Random(seed)
        graph = random_graph(rng, rng.randint(1, 9))
        plan = random_plan(rng, graph)
        data = plan_1(graph, plan, rng)
        if plan.target.queues == 2 and races(graph, plan):
            continue  # two queues raced for one place then
        again = plan_from_dict(data, "old")
        assert memplan.check(graph, again) == [], seed
        written = plan_dict(again)
        assert again.value == data["value"] and plan_dict(plan_from_dict(written, "new")) == written
        moved += bool(again.moves)
        timed += again.options.objective == "latency"
    assert moved > 500 and timed > 200
