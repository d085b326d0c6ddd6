"""Tilings by what they cost: the front of bytes against what is computed, each of its points a checked plan."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

from memplan.base.errors import OptionError
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.target import Target
from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.blocks import live_bytes
from memplan.solving.front import TilingFront, TilingPoint
from memplan.solving.limits import Limits, limits_for
from memplan.solving.planning import PlanOptions, graph_of, make_problem, plan, tiled
from memplan.solving.tiler import ROUNDING, Pose, tilers
from memplan.tiling.derive import derive
from memplan.tiling.measures import mac_factor
from memplan.tiling.record import Region, Tiling

T = TypeVar("T")

MOST_DERIVED = 24
"""So many tilings of a search are derived at most, spread over all it proposes."""

MOST_PLANNED = 16
"""So many tilings are planned at most, those of the fewest live bytes."""

SECONDS_A_PLAN = 1.0
"""What one of them gets at least, where its graph is small."""

SECONDS_AN_OP = 1e-3
"""What one of them gets for each op at least: addresses of thousands of chunks take seconds to become good."""

SEARCHING = 0.5
"""The share of the time in which tilings are found and derived; the rest is for planning them."""


class FrontOptions(TypedDict, total=False):
    """The options of `tile_front` beside its factor, for functions that hand them on."""

    alignment: int | None
    runtime: str | None
    weights: str | None
    io: str | None
    inplace: bool | None
    time_limit_s: float
    workers: int | None
    seed: int
    cancel: Callable[[], bool] | None
    compiles: bool


def tile_front(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    macs: float = inf,
    alignment: int | None = None,
    runtime: str | None = None,
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
    time_limit_s: float = 20.0,
    workers: int | None = None,
    seed: int = 0,
    cancel: Callable[[], bool] | None = None,
    compiles: bool = True,
) -> TilingFront:
    """Ways to execute regions of the model tile by tile, from the fewest operations to the fewest bytes.

    All searches that are installed propose tilings. These are derived; those of the fewest live bytes are planned in the
    program's order.

    Args:
        model: what is to be planned.
        macs: tilings that compute more than so many times what the model does are left out.
        target, alignment, runtime, weights, io, inplace: as of `plan`: what takes how many bytes.
        time_limit_s: seconds for all of it, compilation not counted.
        workers, seed, cancel, compiles: as of `plan`.

    Returns:
        The front; in it the untiled model, or a point that beats it.

    Raises:
        OptionError: an option is unknown or does not fit the model; a dimension has a range of sizes.
        TargetError: the target is unknown or cannot be read.

    >>> import memplan
    >>> front = memplan.tile_front(memplan.load("resnet8_int8"), macs=1, io="external")
    >>> front.within().peak < 147_456  # which its largest op touches
    True
    """
    begin = time.monotonic()
    if not macs >= 1:
        raise OptionError(f"a factor of {macs:g} on what is computed", "give a factor from 1, such as 1.1")
    limits = limits_for(time_limit_s, workers, seed, None, cancel, compiles)
    treated: dict[str, Any] = {
        "alignment": alignment,
        "runtime": runtime,
        "objective": "peak",
        "weights": weights,
        "io": io,
        "inplace": inplace,
        "order": "program",
    }
    graph = graph_of(tiled(model, ()))

    def pose(derived: Graph) -> Problem:
        return make_problem(derived, target, **treated)

    def planned(tiling: Tiling, seconds: float) -> int | None:
        found = plan(
            model,
            target,
            scratchpad="max",
            tiling=tiling,
            time_limit_s=seconds,
            workers=workers,
            seed=seed,
            cancel=cancel,
            compiles=compiles,
            **treated,
        )
        return None if found.value is None else int(found.value)

    points = _points(pose, _candidates(graph, pose, macs, limits.share(SEARCHING)), planned, limits)
    return TilingFront(graph, tuple(points), time.monotonic() - begin)


def tile(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    macs: float = 1.0,
    peak: int | None = None,
    **options: Unpack[FrontOptions],
) -> tuple[Region, ...]:
    """Regions of the model that are executed tile by tile, so that it needs fewer bytes: what `plan` takes as `tiling`.

    Args:
        model: what is to be planned.
        macs: how much may be computed, as a multiple of what the model computes; with 1 nothing is computed twice.
        peak: where it is given, the regions are those that compute the least and need at most so many bytes.
        target, options: as of `tile_front`.

    Returns:
        The regions in the program's order; none where they would not help.

    Raises:
        OptionError: as of `tile_front`; no tiling was found for that peak.
        TargetError: the target is unknown or cannot be read.

    >>> import memplan
    >>> model = memplan.load("whisper_tiny_encoder")  # one of its ops alone touches 54 MB
    >>> tiling = memplan.tile(model)
    >>> memplan.plan(model, scratchpad="max", objective="peak", tiling=tiling, time_limit_s=1).value < 12e6
    True
    """
    return tile_front(model, target, macs=macs, **options).within(macs, peak).tiling


def not_worse_than_untiled(model: Model | Graph, found: Plan, asked: PlanOptions) -> Plan:
    """The plan of a tiling, or one of the untiled model for the same machine where that is no worse.

    None is sought where none can be better: where nothing is moved, or the peak is below what one op needs untiled.

    Args:
        model: what was planned.
        found: the plan of the tiling.
        asked: the options that it was planned with, but for the tiling.
    """
    least = 1
    if found.options.objective == "peak":
        least = Problem(graph_of(model), found.target, found.options).min_capacity
    if found.value is not None and found.value < least:
        return found
    untiled = plan(model, found.target, **(asked | {"scratchpad": None}))
    if untiled.value is None or (found.value is not None and found.value < untiled.value):
        return found
    return untiled


@dataclass(frozen=True)
class _Candidate:
    """A tiling, its derived graph, its least live bytes in the program's order, and the factor on what is computed."""

    tiling: Tiling
    graph: Graph
    live: int
    macs: float


def _candidates(graph: Graph, pose: Pose, macs: float, limits: Limits) -> list[_Candidate]:
    """Tilings that no other one beats in live bytes and in what is computed, the fewest bytes first; the untiled one is
    always among them."""
    found = [_Candidate((), graph, max(live_bytes(pose(graph)), default=0), 1.0)]
    for tiler in tilers():
        for number, tiling in enumerate(_spread(tiler.tilings(graph, pose, macs, limits), MOST_DERIVED)):
            if number and limits.spent():
                break
            try:
                derived = derive(graph, tiling)
            except OptionError:
                continue  # the search counts what a tile cannot do in a few cases, such as tiles of padding alone
            factor = mac_factor(graph, derived)
            if factor <= macs + ROUNDING:
                found.append(_Candidate(tiling, derived, max(live_bytes(pose(derived)), default=0), factor))
    found.sort(key=lambda c: (c.live, c.macs, len(c.graph.ops)))
    kept: list[_Candidate] = []
    for candidate in found:
        if not candidate.tiling or all(candidate.macs < other.macs - ROUNDING for other in kept):
            kept.append(candidate)
    return kept


def _spread(found: Sequence[T], most: int) -> list[T]:
    """At most so many of a sequence, evenly spread, both ends among them; each half of them spread as evenly, so that
    whoever runs out of time has seen all of it."""
    count = min(len(found), most)
    even = [found[k * (len(found) - 1) // max(count - 1, 1)] for k in range(count)]
    return even[::4] + even[2::4] + even[1::2]


def _points(
    pose: Pose,
    candidates: Iterable[_Candidate],
    planned: Callable[[Tiling, float], int | None],
    limits: Limits,
) -> list[TilingPoint]:
    """The front of what is planned of the candidates: those of the fewest live bytes as long as there is time, and the
    untiled one in any case."""
    points: list[TilingPoint] = []
    waiting = list(candidates)
    chosen = _spread([c for c in waiting if c.tiling][:MOST_PLANNED], MOST_PLANNED)
    for number, candidate in enumerate([*(c for c in waiting if not c.tiling), *chosen]):
        if number > 1 and limits.spent():  # one that is tiled is planned in any case
            break
        least = SECONDS_A_PLAN + SECONDS_AN_OP * len(candidate.graph.ops)
        seconds = max(limits.remaining_s / (len(chosen) + 1 - number), least)
        peak = planned(candidate.tiling, seconds)
        if peak is not None:
            posed = pose(candidate.graph)
            live = (_most_live(posed, io) for io in ("resident", "external"))
            points.append(
                TilingPoint(candidate.tiling, peak, candidate.macs, len(candidate.graph.ops), *live)
            )
    kept: list[TilingPoint] = []
    for point in sorted(points, key=lambda p: (round(p.macs / ROUNDING), p.peak, p.ops)):
        if not kept or point.peak < kept[-1].peak:
            kept.append(point)
    return kept


def _most_live(problem: Problem, io: str) -> int:
    """The most bytes that are live in the program's order, inputs and outputs treated like this."""
    return max(live_bytes(replace(problem, options=replace(problem.options, io=io))), default=0)
