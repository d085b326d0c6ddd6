"""Paths through an op order, each step one untiled op or a region: the fewest flops within a number of bytes.

A node is a place between two ops, and how it is crossed. All numbers of bytes are looked at together: they are the
elements of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from memplan.tiling.record import Region, Tiling
from memplan_solvers.tiling.accounts import Accounts, Bytes
from memplan_solvers.tiling.candidates import Candidates
from memplan_solvers.tiling.regions import Costs, costs

THRESHOLDS = 320
"""Numbers of bytes that are looked at, from the untiled ones downwards, each a little smaller."""

SMALLEST = 1 / 128
"""The smallest of them, as a share of the untiled bytes."""

PER_OP = 2e-7
"""What a tile op counts besides its flops, as a share of all flops: of tilings as good that with fewer tiles is taken."""

Crossing = int | None
"""How a place between two ops is crossed: what is read behind it is whole (None), or in pieces short along an axis."""


class TiledPath(NamedTuple):
    """A path: the bytes that it takes at most, its flops, and its regions."""

    nbytes: float
    flops: float
    tiling: Tiling


@dataclass(frozen=True)
class Step:
    """A step of paths, from a place between two ops to another one.

    Args:
        first: the op behind the place where it begins.
        enters: how that place may be crossed.
        cuts: the ways to cut the region, None of an untiled op.
        nbytes, flops: by candidate.
        cost: by threshold what the cheapest candidate costs.
        pick: by threshold which one that is.
    """

    first: int
    enters: Sequence[Crossing]
    cuts: Candidates | None
    nbytes: Bytes
    flops: Bytes
    cost: Bytes
    pick: NDArray[np.int64]


def ways(accounts: Accounts, cancelled: Callable[[], bool]) -> list[TiledPath]:
    """The paths that no other one beats in bytes and flops, the fewest flops first; ops that were not looked at before it was
    cancelled are in no region."""
    n, most = len(accounts.untiled), float(accounts.untiled.max(initial=1))
    limits = np.geomspace(most * SMALLEST, most, THRESHOLDS)
    crossings: list[Crossing] = [None, *sorted(accounts.slid)]
    best = {(0, c): np.full(THRESHOLDS, np.inf if c is not None else 0.0) for c in crossings}
    via: dict[tuple[int, Crossing], list[Step]] = {}
    late = False
    for last in range(n):
        late = late or cancelled()
        alone, own = accounts.untiled[last : last + 1], accounts.flops[last : last + 1]
        steps = {c: list[Step]() for c in crossings}
        steps[None].append(_step(last, (None,), None, alone, own, own, limits))
        for cuts in (Candidates(accounts, last, axes) for axes in accounts.axes(last) if not late):
            for first, cost in costs(accounts, cuts):
                weight = cost.flops + cost.ops * PER_OP * accounts.flops.sum()
                for leaves, enters, nbytes in _kinds(cost, crossings):
                    steps[leaves].append(_step(first, enters, cuts, nbytes, cost.flops, weight, limits))
        for c in crossings:
            via[last + 1, c] = steps[c]
            sums = [_before(best, step) + step.cost for step in steps[c]]
            best[last + 1, c] = np.minimum.reduce(sums or [np.full(THRESHOLDS, np.inf)])
    costs_of = best[n, None]
    corners = [k for k, cost in enumerate(costs_of) if cost < (costs_of[k - 1] if k else np.inf)]
    return unbeaten([_traced(best, via, n, k) for k in corners])


def unbeaten(found: Sequence[TiledPath]) -> list[TiledPath]:
    """The ways that no other one beats, the fewest flops first."""
    kept: list[TiledPath] = []
    for way in sorted(found, key=lambda w: (w.flops, w.nbytes, len(w.tiling))):
        if not kept or way.nbytes < kept[-1].nbytes:
            kept.append(way)
    return kept


def _kinds(costs: Costs, crossings: Sequence[Crossing]) -> list[tuple[Crossing, Sequence[Crossing], Bytes]]:
    """How a region may leave the place behind it and find the one before it, and the bytes that it takes then."""
    pieces = [c for c in crossings if c is not None] if costs.divided else []
    left = {None: costs.whole} | {axis: np.where(s, costs.pieces, np.inf) for axis, s in costs.short.items()}
    kinds: list[tuple[Crossing, Sequence[Crossing], Bytes]] = []
    for leaves, nbytes in left.items():
        kinds.append((leaves, (None,), nbytes))
        if pieces:
            kinds.append((leaves, pieces, nbytes + costs.gathered))
    for leaves, short in costs.short.items():
        for axis in (axis for axis in costs.passed if axis in pieces):
            passed = costs.passed[axis] + costs.gathered
            kinds.append((leaves, (axis,), np.where(short, passed, np.inf)))
    return kinds


def _step(
    first: int,
    enters: Sequence[Crossing],
    cuts: Candidates | None,
    nbytes: Bytes,
    flops: Bytes,
    weight: Bytes,
    limits: Bytes,
) -> Step:
    """The step with its cheapest candidates, which are of least weight."""
    order = np.lexsort((weight, nbytes))
    least = np.minimum.accumulate(weight[order])
    better = np.append(True, least[1:] < least[:-1])
    cheapest = order[np.maximum.accumulate(np.where(better, np.arange(len(order)), 0))]
    at = np.searchsorted(nbytes[order], limits, side="right") - 1
    cost = np.where(at >= 0, least[at], np.inf)
    return Step(first, enters, cuts, nbytes, flops, cost, cheapest[at])


def _before(best: dict[tuple[int, Crossing], Bytes], step: Step) -> Bytes:
    """By threshold what the best path costs to where the step begins."""
    found: Bytes = np.minimum.reduce([best[step.first, c] for c in step.enters])
    return found


def _traced(
    best: dict[tuple[int, Crossing], Bytes], via: dict[tuple[int, Crossing], list[Step]], end: int, k: int
) -> TiledPath:
    """The best path within the threshold of number `k`."""
    leaves: Crossing = None
    at, nbytes, flops, found = end, 0.0, 0.0, list[Region]()
    while at:
        step = min(via[at, leaves], key=lambda step: _before(best, step)[k] + step.cost[k])
        candidate = int(step.pick[k])
        nbytes, flops = max(nbytes, float(step.nbytes[candidate])), flops + float(step.flops[candidate])
        if step.cuts is not None:
            found.append(step.cuts.region(step.first, candidate))
        at, leaves = step.first, min(step.enters, key=lambda c: best[step.first, c][k])
    return TiledPath(nbytes, flops, tuple(found[::-1]))
