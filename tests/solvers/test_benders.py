"""`benders`: its bound against brute force, what it proves on nets with cells, and that cores are what they say."""

from __future__ import annotations

from pathlib import Path

import pytest
from memplan_solvers.benders import PATIENCE, _Run, relaxed
from memplan_solvers.improve import Answer
from memplan_solvers.peak.live import live_model, live_peak
from memplan_solvers.residency import traffic

import memplan
from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.registry import parse_spec
from tests import agree
from tests.randwire import randwire

NASNET = Path(__file__).parent.parent / "data" / "nasnet_a_cifar_6_32_raw.json"


@pytest.mark.slow(reason="solves a whole net to its proof")
def test_proves_a_net_of_cells_halfway_between_its_budgets() -> None:
    plan = memplan.plan(
        memplan.load(NASNET), scratchpad="MH", solver="benders", workers=1, time_limit_s=120.0
    )
    assert (plan.status, plan.value) == (Status.OPTIMAL, 720_896)


@pytest.mark.slow(reason="solves a whole net to its proof")
def test_cores_cannot_be_kept_and_none_of_their_parts_is_one() -> None:
    problem = make_problem(randwire(0), scratchpad="MH")
    run = _Run(problem, Limits(60.0), None)
    assert not run.solve() and run.cores and run.bound > 0
    for core in run.cores[:4]:
        assert run._order(run.cost.keys() - set(core), PATIENCE) is None
        for k in core:
            assert run._order(run.cost.keys() - (set(core) - {k}), PATIENCE) is not None


@pytest.mark.slow
def test_a_plan_is_an_order_of_what_it_relaxes_to() -> None:
    """Spill what a plan spills: the relaxed peak of its order fits the capacity, and its traffic is no less than counted."""
    checked = 0
    for seed in range(700_000, 700_600):
        problem = agree.random_problem(seed, "traffic")
        if problem.capacity is None or problem.target.direct:
            continue
        answer = Answer.of_plan(problem, parse_spec("greedy").solve(problem, Limits()))
        if answer is None:
            continue
        spilled = {s for s, parts in enumerate(answer.stretches) if len(parts) > 1}
        model = live_model(problem)
        numbers = frozenset(k for k, s in enumerate(model.storages) if s in spilled)
        assert live_peak(relaxed(model, numbers), answer.walk.order) <= problem.capacity, seed
        run = _Run(problem, Limits(), None)
        least = problem.free_bound + sum(run.cost[k] for k in numbers)
        assert least <= traffic(problem, answer.stretches), seed
        checked += bool(numbers)
    assert checked > 40


@pytest.mark.parametrize("inplace", [False, True])
def test_the_bound_is_below_every_value(inplace: bool) -> None:
    for seed in range(3):
        graph = randwire(seed, stages=1, nodes=12, raw=True)
        plans = [
            memplan.plan(graph, scratchpad="MR", inplace=inplace, solver=spec, workers=1, time_limit_s=10.0)
            for spec in ("benders", "search{beam=3000}", "greedy")
        ]
        assert plans[0].bound <= min(p.value for p in plans if p.value is not None)
