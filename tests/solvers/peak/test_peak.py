"""`peak`: proved least live bytes on nets of every kind within a second, and addresses that say what they are."""

from __future__ import annotations

from pathlib import Path

import pytest
from memplan_solvers.compiled import load
from memplan_solvers.peak.live import certain_bound, live_model, live_peak
from memplan_solvers.peak.rules import RULES
from memplan_solvers.peak.search import minimum_peak_order

import memplan
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from tests.randwire import randwire

DATA = Path(__file__).parents[2] / "data"
KNOWN = {"nasnet_a_cifar_6_32_raw": 507_904, "darts_imagenet_4_12_fused": 777_728}
"""Least live peaks, inputs live from the start and outputs to the end, proved by another program."""

ZOO = ("densenet121", "inception_v3", "nasnet_a_mobile", "resnext50_32x4d", "mobilenet_v3_small", "unet")


def problem_of(graph: memplan.Graph, **options: object) -> Problem:
    problem = make_problem(graph, objective="peak", **options)  # type: ignore[arg-type]
    return problem


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    load("peak", Limits())


@pytest.mark.parametrize("name", KNOWN)
def test_known_peaks_are_proved(name: str) -> None:
    graph = memplan.load(DATA / f"{name}.json").graph
    found = minimum_peak_order(problem_of(graph, io="resident"), Limits(1.0))
    assert (found.peak, found.bound) == (KNOWN[name], KNOWN[name])


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_random_wirings_are_proved(seed: int, inplace: bool) -> None:
    for raw in (False, True):
        problem = problem_of(randwire(seed, raw=raw), io="resident", inplace=inplace)
        assert minimum_peak_order(problem, Limits(1.0)).proved


@pytest.mark.parametrize("name", ZOO)
def test_nets_of_the_zoo_are_proved(name: str) -> None:
    for weights in ("ignore", "tensor"):
        problem = problem_of(memplan.load(name).graph, weights=weights)
        found = minimum_peak_order(problem, Limits(10.0))
        assert found.proved and live_peak(live_model(problem), found.order) == found.peak


def test_less_in_place_than_without() -> None:
    graph = randwire(1, stages=1, raw=True)
    plain, over = (minimum_peak_order(problem_of(graph, inplace=on), Limits(10.0)) for on in (False, True))
    assert plain.proved and over.proved and over.peak <= plain.peak


def test_a_search_cut_short_keeps_its_bound_true() -> None:
    """Whatever the number of looks at the clock that are granted, bound <= optimum <= peak."""
    problem = problem_of(randwire(6, raw=True), io="resident")
    least = minimum_peak_order(problem, Limits(10.0)).peak
    cut_short = 0
    for looks in (0, 1, 2, 4, 8, 16):
        left = iter([False] * looks)
        found = minimum_peak_order(problem, Limits(60.0, cancel=lambda left=left: next(left, True)))  # type: ignore[misc]
        assert found.bound <= least <= found.peak == live_peak(live_model(problem), found.order)
        cut_short += not found.proved
    assert cut_short


def test_without_the_second_safe_move_the_search_needs_far_more_sets() -> None:
    problem = problem_of(memplan.load(DATA / "nasnet_a_cifar_6_32_raw.json").graph, io="resident")
    nodes = {
        rule: minimum_peak_order(problem, Limits(20.0), rules=RULES - {rule}).nodes for rule in (None, "path")
    }
    assert nodes["path"] > 3 * nodes[None], nodes


def test_what_is_live_under_every_order_bounds_every_order() -> None:
    for seed in range(3):
        model = live_model(problem_of(randwire(seed, stages=2)))
        assert 0 < certain_bound(model) <= live_peak(model, range(model.n))


@pytest.mark.slow(reason="plans many graphs")
def test_the_packed_peak_is_told_from_the_live_one() -> None:
    graph = memplan.load(DATA / "nasnet_a_cifar_6_32_raw.json").graph
    plan = memplan.plan(graph, objective="peak", io="resident", solver="peak{packing=none}", workers=1)
    assert (
        plan.metrics.live_peak == plan.bound == KNOWN["nasnet_a_cifar_6_32_raw"]
        and plan.metrics.peak == plan.value
    )
    assert "live bytes" in plan.reason
    exact = memplan.plan(graph, objective="peak", io="resident", solver="peak", workers=1, time_limit_s=30.0)
    assert exact.status is Status.OPTIMAL and exact.value == exact.bound


def test_capacity_below_the_least_peak_is_proved_too_small() -> None:
    graph = randwire(6)
    least = minimum_peak_order(problem_of(graph), Limits(10.0)).peak
    plan = memplan.plan(graph, objective="peak", scratchpad=least - 1, solver="peak", workers=1)
    assert plan.status is Status.INFEASIBLE and "proved" in plan.reason
    spilled = memplan.plan(graph, scratchpad=least - 1, solver="peak", workers=1)
    assert spilled.bound > 0 and spilled.value is not None and spilled.value >= spilled.bound
    fits = memplan.plan(graph, scratchpad=least, solver="peak", workers=1)
    assert (fits.status, fits.value) == (Status.OPTIMAL, 0)
