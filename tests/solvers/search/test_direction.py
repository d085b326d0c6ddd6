"""Both directions through a subproblem have the same optimum; a plan keeps its price and its bytes when it is turned round."""

from __future__ import annotations

import pytest
from memplan_solvers.search.direction import Direction
from memplan_solvers.search.subproblem import PROHIBITIVE, subproblems, whole

from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem, plan
from tests.agree import bytes_needed, check_states_without, random_problem
from tests.stages import stage
from tests.transformers import encoder_decoder

SEEDS = 250


def test_both_directions_agree_with_brute_force() -> None:
    assert check_states_without(None, range(SEEDS)) > SEEDS / 20


def test_a_reversed_plan_costs_and_needs_the_same() -> None:
    spilled = 0
    for seed in range(SEEDS):
        subproblem = whole(random_problem(seed, "traffic", pins=False))
        if not subproblem.reversible:
            continue
        found, plan = Direction(subproblem).search(PROHIBITIVE, Limits(60))
        if plan is None:
            continue
        turned = plan.reversed
        assert (turned.value, bytes_needed(turned)) == (found.value, bytes_needed(plan)), f"seed {seed}"
        assert turned.reversed.order == plan.order and turned.reversed.value == plan.value
        spilled += bool(plan.value)
    assert spilled


def test_what_works_in_place_has_one_direction() -> None:
    problems = (random_problem(seed, "traffic", pins=False) for seed in range(SEEDS))
    forced = [p for p in map(whole, problems) if p.over]
    assert forced and not any(p.reversible for p in forced)


@pytest.mark.slow(reason="searches hard graphs")
def test_a_decoder_is_proved_from_its_end_on() -> None:
    graph = encoder_decoder(2, 5)
    made = plan(graph, scratchpad="MR", solver="search", time_limit_s=60)
    assert made.status is Status.OPTIMAL and made.value
    part = max(subproblems(make_problem(graph, scratchpad="MR")), key=lambda part: part.n)
    value = int(made.value)  # of all parts together, so none costs more
    ahead, back = (
        Direction(part, backwards).search(value, Limits(60), most=50_000) for backwards in (False, True)
    )
    assert back[0].complete and not ahead[0].complete


def test_both_directions_find_plans_of_a_randomly_wired_stage() -> None:
    part = whole(make_problem(stage(1), scratchpad="MR"))
    for backwards in (False, True):
        found, made = Direction(part, backwards).search(PROHIBITIVE, Limits(60), beam=30)
        assert made is not None and made.value == found.value and bytes_needed(made) <= part.capacity
