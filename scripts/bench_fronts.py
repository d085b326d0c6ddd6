"""What convolutional nets come down to in tiles, by what may be computed: points of their fronts, each a checked plan."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from marked import put_measured

import memplan

NETS = ("mcunet_320kb_int8", "mobilenet_v1_025_int8", "resnet8_int8", "resnet50_int8")
FACTORS = (1.0, 1.1)
HEAD = (
    "| model | "
    + " | ".join(["whole", *(f"{factor:g} ×" for factor in FACTORS)])
    + " |\n| ---"
    + " | ---:" * (1 + len(FACTORS))
    + " |\n"
)


def row(name: str, limit: float) -> str:
    """A net's row: the peak of each point, and the live bytes with inputs and outputs."""
    model = memplan.load(name)
    way = {"io": "external", "inplace": True}
    whole = memplan.plan(model, scratchpad="max", objective="peak", order="program", **way)
    found = [memplan.tile_front(model, macs=factor, time_limit_s=limit, **way).within() for factor in FACTORS]
    points = [min(found[: k + 1], key=lambda point: point.peak) for k in range(len(found))]
    cells = [name, f"{whole.value:,.0f}", *(f"{p.peak:,} ({p.live_resident:,})" for p in points)]
    return f"| {' | '.join(cells)} |\n"


def main() -> None:
    """Print the table, or write it into its page."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("models", nargs="*", default=list(NETS), metavar="MODEL")
    p.add_argument("--limit", type=float, default=20.0, help="seconds a front")
    p.add_argument("-o", "--output", type=Path, help="the page whose table is replaced")
    args = p.parse_args()
    text = HEAD
    for name in args.models:
        line = row(name, args.limit)
        print(line, end="", file=sys.stderr, flush=True)
        text += line
    if args.output is None:
        print(text, end="")
        return
    put_measured(args.output, "bench_fronts", text)


if __name__ == "__main__":
    main()
