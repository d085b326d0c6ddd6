"""What commands say that cut a model into tiles before they plan it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Unpack

from memplan.base.errors import OptionError
from memplan.cli.common import parse_factor, policies, print_stderr
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.tiling.derive import derive
from memplan.tiling.record import Region, Tiling

if TYPE_CHECKING:
    from memplan.solving.tiling import FrontOptions

FINDING = 0.5
"""The share of a command's time in which regions are found; the rest is for planning them."""


def add_tiling(p: argparse.ArgumentParser) -> None:
    """Add the options that say what is tiled."""
    p.add_argument(
        "--tile",
        choices=("auto", "exact"),
        metavar="auto|exact",
        help="execute regions of ops tile by tile, where that takes fewer bytes; exact: those alone that give the "
        "same bits then",
    )
    p.add_argument(
        "--mac-factor",
        metavar="F",
        help="what tiles may compute, as a multiple of what the model computes (default: 1, nothing twice); "
        "`memplan tile` shows what factors give",
    )


def chosen_tiling(
    args: argparse.Namespace, model: Model, **options: Unpack[FrontOptions]
) -> tuple[Region, ...]:
    """The regions that are to be tiled, none where that is not asked for; what they are is said.

    They are sought with these options, and the policies that the arguments name.
    """
    if args.tile is None:
        if args.mac_factor is not None:
            raise OptionError(f"--mac-factor {args.mac_factor} where nothing is tiled", "add --tile auto")
        return ()
    from memplan.onnx.exactness import exact_regions
    from memplan.solving.tiling import tile_front

    chosen = policies(args)
    treated = {key: chosen[key] for key in ("weights", "io", "inplace")}
    factor = 1.0 if args.mac_factor is None else parse_factor("--mac-factor", args.mac_factor)
    say_whole(model.graph)
    front = tile_front(model, args.target, macs=factor, **options, **treated)
    regions = front.within(factor).tiling
    if args.tile == "exact":
        regions = exact_regions(model.graph, regions)
    none = f"note: no tiles were found that help{' and give the same bits' if args.tile == 'exact' else ''}"
    print_stderr(_tiles_note(model.graph, regions) if regions else none)
    return regions


def say_whole(graph: Graph) -> None:
    """Name the kinds of ops that cannot be cut."""
    if whole := sorted({op.kind for op in graph.ops if not op.needs}):
        print_stderr(
            f"note: of these it is not known what a part of them needs, so they are no tiles: {', '.join(whole)}"
        )


def _tiles_note(graph: Graph, regions: Tiling) -> str:
    """How many regions there are, what they cost, and whether their bits stay what they are."""
    from memplan.onnx.exactness import tiling_exactness
    from memplan.tiling.measures import mac_factor

    derived = derive(graph, regions)
    return (
        f"note: {len(regions)} regions are executed tile by tile: {len(derived.ops):,} ops compute "
        f"{mac_factor(graph, derived):.4g} times as much (exact: {tiling_exactness(graph, regions)})"
    )
