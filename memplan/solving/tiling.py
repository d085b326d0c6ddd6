"""Tilings by the name under which users ask for them."""

from __future__ import annotations

from pathlib import Path

from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.target import Target
from memplan.problem.problem import Problem
from memplan.solving.blocks import blocks
from memplan.solving.planning import graph_of, make_problem, tiled
from memplan.tiling.record import Region


def tile(
    model: Model | Graph,
    target: str | Path | Target = "scratchpad",
    *,
    alignment: int | None = None,
    runtime: str | None = None,
    weights: str | None = None,
    io: str | None = None,
    inplace: bool | None = None,
) -> tuple[Region, ...]:
    """Regions of the model that are executed some rows at a time, so that it needs fewer bytes: what `plan` takes as `tiling`.

    Ops that work row by row are tiled, attention before all: no op computes anything twice. How many rows at a time is
    decided by the live bytes of the program's order.

    Args:
        model: what is to be planned.
        target, alignment, runtime, weights, io, inplace: as of `plan`: what takes how many bytes.

    Returns:
        The regions in the program's order; none where they would not help.

    Raises:
        OptionError: an option is unknown or does not fit the model; a dimension has a range of sizes.
        TargetError: the target is unknown or cannot be read.

    >>> import memplan
    >>> model = memplan.load("whisper_tiny_encoder")  # one of its ops alone touches 54 MB
    >>> tiling = memplan.tile(model)
    >>> memplan.plan(model, scratchpad="max", objective="peak", tiling=tiling, time_limit_s=1).value < 12e6
    True
    """

    def pose(graph: Graph) -> Problem:
        return make_problem(
            graph,
            target,
            alignment=alignment,
            runtime=runtime,
            objective="peak",
            weights=weights,
            io=io,
            inplace=inplace,
        )

    return blocks(graph_of(tiled(model, ())), pose)
