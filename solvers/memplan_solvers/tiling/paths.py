"""Paths through an op order, each step one untiled op or a region: the fewest flops within a number of bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memplan.tiling.record import Region, Tiling
from memplan_solvers.tiling.regions import Accounts, Bytes, Costs, Regions

THRESHOLDS = 320
"""Numbers of bytes that are looked at, from the untiled ones downwards, each a little smaller."""

SMALLEST = 1 / 128
"""The smallest of them, as a share of the untiled bytes."""

PER_OP = 2e-7
"""What a tile op counts besides its flops, as a share of all flops: of tilings as good the one with fewer tiles is taken."""


class Way(NamedTuple):
    """A path: the bytes that it takes at most, its flops, and its regions."""

    nbytes: float
    flops: float
    tiling: Tiling


@dataclass(frozen=True)
class Step:
    """A region from `first` on that enters and leaves with pieces or not: by threshold the cost, and the candidate."""

    first: int
    enters: int
    cost: Bytes
    pick: NDArray[np.int64]


def ways(accounts: Accounts, cancelled: Callable[[], bool]) -> list[Way]:
    """The paths that no other one beats in bytes and flops, the most bytes first; the untiled one among them.

    A node is a place between two ops, and whether what crosses it there is in pieces.
    """
    n, total = len(accounts.untiled), max(float(accounts.flops.sum()), 1.0)
    most = float(accounts.untiled.max(initial=1))
    limits = np.geomspace(most, most * SMALLEST, THRESHOLDS)[::-1]
    best = np.full((n + 1, 2, len(limits)), np.inf)
    best[0, 0] = 0
    via: dict[tuple[int, int], list[Step]] = {}
    made: dict[int, dict[int, Costs]] = {}
    regions = [Regions(accounts, last) for last in range(n)]
    for last in range(n):
        if cancelled():
            return []
        untiled = np.where(accounts.untiled[last] <= limits, accounts.flops[last], np.inf)
        steps = {0: [Step(last, 0, untiled, np.full(len(limits), -1))], 1: list[Step]()}
        for first, costs in regions[last].costs():
            made.setdefault(last, {})[first] = costs
            weight = costs.flops + costs.ops * PER_OP * total
            for leaves, nbytes in ((0, costs.whole), (1, costs.pieces)):
                for enters in (0, 1):
                    taken = costs.passed if enters and leaves else nbytes
                    steps[leaves].append(_step(first, enters, taken, weight, limits))
        for leaves, these in steps.items():
            if these:
                sums = np.stack([best[step.first, step.enters] + step.cost for step in these])
                best[last + 1, leaves] = sums.min(axis=0)
                via[last + 1, leaves] = these
    return _unbeaten([_traced(accounts, regions, made, best, via, k, limits) for k in _corners(best[n, 0])])


def _step(first: int, enters: int, nbytes: Bytes, weight: Bytes, limits: Bytes) -> Step:
    """The cheapest candidate by threshold."""
    order = np.lexsort((weight, nbytes))
    least = np.minimum.accumulate(weight[order])
    better = np.append(True, least[1:] < least[:-1])
    who = order[np.maximum.accumulate(np.where(better, np.arange(len(order)), 0))]
    at = np.searchsorted(nbytes[order], limits, side="right") - 1
    fits = at >= 0
    return Step(first, enters, np.where(fits, least[at], np.inf), np.where(fits, who[at], -1))


def _corners(costs: Bytes) -> list[int]:
    """The thresholds at which more bytes begin to cost less."""
    return [
        k for k in range(len(costs)) if np.isfinite(costs[k]) and (k == 0 or costs[k] < costs[k - 1])
    ]


def _traced(
    accounts: Accounts,
    regions: list[Regions],
    made: dict[int, dict[int, Costs]],
    best: Bytes,
    via: dict[tuple[int, int], list[Step]],
    threshold: int,
    limits: Bytes,
) -> Way:
    """The path of the fewest flops within a threshold."""
    at, leaves, nbytes, flops = len(accounts.untiled), 0, 0.0, 0.0
    found: list[Region] = []
    while at:
        steps = via[at, leaves]
        sums = [best[step.first, step.enters][threshold] + step.cost[threshold] for step in steps]
        step = steps[int(np.argmin(sums))]
        candidate = int(step.pick[threshold])
        if candidate < 0:
            nbytes, flops = max(nbytes, accounts.untiled[at - 1]), flops + accounts.flops[at - 1]
        else:
            costs = made[at - 1][step.first]
            taken = costs.passed if step.enters and leaves else costs.pieces if leaves else costs.whole
            nbytes, flops = max(nbytes, taken[candidate]), flops + costs.flops[candidate]
            found.append(regions[at - 1].region(step.first, candidate))
        at, leaves = step.first, step.enters
    return Way(float(nbytes), float(flops), tuple(found[::-1]))


def _unbeaten(found: list[Way]) -> list[Way]:
    """The ways that no other one beats, the most bytes first."""
    kept: list[Way] = []
    for way in sorted(found, key=lambda w: (w.flops, w.nbytes, len(w.tiling))):
        if not kept or way.nbytes < kept[-1].nbytes:
            kept.append(way)
    return kept
