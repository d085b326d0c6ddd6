"""The search against brute force over all intervals and tiles of tiny nets, and its accounting against derived graphs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from math import inf

import numpy as np
import pytest
from memplan_solvers.tiling.accounts import Accounts
from memplan_solvers.tiling.candidates import Candidates
from memplan_solvers.tiling.paths import TiledPath, unbeaten, ways
from memplan_solvers.tiling.regions import costs
from onnx import ModelProto

from memplan import Graph, OptionError, Problem
from memplan.judge.check.tiles import tiles
from memplan.solving.blocks import live_bytes
from memplan.solving.planning import make_problem
from memplan.tiling.derive import derive
from memplan.tiling.measures import mac_factor
from tests.tiling import models

MODELS = (models.wide_middle, models.hourglass, models.quantized)


def pose(graph: Graph) -> Problem:
    return make_problem(graph, objective="peak", io="resident", inplace=True)


def graph_of(make: Callable[[], ModelProto]) -> Graph:
    return models.loaded(make).graph


def brute_force(accounts: Accounts) -> list[TiledPath]:
    """Every path of untiled ops and tiled regions that leave whole tensors, one by one, of those that no other one beats."""
    found: list[list[TiledPath]] = [[TiledPath(0.0, 0.0, ())]]
    for last in range(len(accounts.untiled)):
        here = [
            TiledPath(max(way.nbytes, accounts.untiled[last]), way.flops + accounts.flops[last], way.tiling)
            for way in found[last]
        ]
        for cuts in (Candidates(accounts, last, axes) for axes in accounts.axes(last)):
            for first, cost in costs(accounts, cuts):
                for k, (nbytes, flops) in enumerate(zip(cost.whole, cost.flops, strict=True)):
                    region = cuts.region(first, k)
                    here += [
                        TiledPath(max(w.nbytes, nbytes), w.flops + flops, (*w.tiling, region))
                        for w in found[first]
                    ]
        found.append(unbeaten([way for way in here if way.nbytes < inf]))
    return found[-1]


@pytest.mark.parametrize("make", MODELS)
def test_paths_need_no_more_than_the_best_of_all_paths(make: Callable[[], ModelProto]) -> None:
    accounts = Accounts(pose(graph_of(make)))
    found, best = ways(accounts, lambda: False), brute_force(accounts)
    assert found[0].flops == best[0].flops
    for one in best:
        near = [w for w in found if w.flops <= one.flops * (1 + 1e-4)]
        assert min(w.nbytes for w in near) <= one.nbytes * 1.02  # thresholds lie 1.5 % apart


@pytest.mark.slow(reason="searches tiles")
@pytest.mark.parametrize("make", MODELS)
def test_what_paths_claim_is_a_front_and_is_computed(make: Callable[[], ModelProto]) -> None:
    graph = graph_of(make)
    accounts = Accounts(pose(graph))
    found = ways(accounts, lambda: False)
    assert make is not models.wide_middle or len(found) > 4
    assert all(a.flops < b.flops and a.nbytes > b.nbytes for a, b in zip(found, found[1:], strict=False))
    for way in found:
        derived = derive(graph, way.tiling)
        assert tiles(graph, derived) == []
        claimed = way.flops / accounts.flops.sum()
        assert mac_factor(graph, derived) == pytest.approx(claimed, rel=1e-9)


def test_what_was_found_when_the_time_is_up_is_given() -> None:
    """Four ops are looked at; what comes behind them is in no region."""
    accounts = Accounts(pose(graph_of(models.wide_middle)))
    left = iter([False] * 4)
    found = ways(accounts, lambda: next(left, True))
    number = {op.name: i for i, op in enumerate(accounts.graph.ops)}
    lasts = {number[region.ops[1]] for way in found for region in way.tiling}
    assert lasts and max(lasts) < 4


def claimed_and_live(graph: Graph, every: int) -> list[tuple[float, float]]:
    """Of every so many-th candidate of a region the bytes that the search claims, and those live in its derived graph."""
    accounts = Accounts(pose(graph))
    candidates = [
        (
            cuts.region(first, int(k)),
            max(cost.whole[k], *accounts.untiled[:first], *accounts.untiled[last + 1 :], 0),
        )
        for last in range(len(graph.ops))
        for cuts in (Candidates(accounts, last, axes) for axes in accounts.axes(last))
        for first, cost in costs(accounts, cuts)
        for k in np.flatnonzero(np.isfinite(cost.whole))
    ]
    found = []
    for region, claimed in candidates[::every]:
        with suppress(OptionError):  # tiles of nothing but padding are not known to the search
            found.append((claimed, float(max(live_bytes(pose(derive(graph, (region,))))))))
    return found


@pytest.mark.slow(reason="searches tiles")
@pytest.mark.parametrize("make", MODELS)
def test_bytes_are_near_those_of_derived_graphs(make: Callable[[], ModelProto]) -> None:
    ratios = np.array([live / claimed for claimed, live in claimed_and_live(graph_of(make), 29)])
    assert len(ratios) > 40
    assert np.median(ratios) == pytest.approx(1, abs=0.05)
    assert np.mean(ratios <= 1.1) > 0.7
