"""`memplan tile`: how few bytes a model needs if regions of it are executed tile by tile, and what that computes again."""

from __future__ import annotations

import argparse
from math import inf
from pathlib import Path
from typing import Any

from memplan.cli.common import (
    add_reading,
    add_sizes,
    load_talking,
    parse_factor,
    parse_int,
    parse_seconds,
)
from memplan.cli.live import interruptible
from memplan.cli.tiling import say_whole
from memplan.machine.profile import profile_names
from memplan.problem.options import CHOICES
from memplan_start import INTERRUPTED


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("tile", help="tile a model's ops: bytes against what is computed again")
    p.add_argument("model", metavar="MODEL", help=".onnx, .pt2, .tflite, graph .json or a zoo model's name")
    p.add_argument(
        "--target",
        default="scratchpad",
        help="preset, .toml file or vela.ini:SYSTEM:MODE (default: scratchpad)",
    )
    p.add_argument(
        "--runtime", metavar="NAME", help=f"whose ways the plans keep to: {', '.join(profile_names())}"
    )
    p.add_argument("--alignment", metavar="N", help="alignment of offsets in bytes")
    add_sizes(p)
    for option in ("weights", "io"):
        p.add_argument(
            f"--{option}",
            choices=CHOICES[option],
            metavar="|".join(CHOICES[option]),
            help="as of `memplan plan`",
        )
    p.add_argument("--inplace", choices=("on", "off"), metavar="on|off", help="as of `memplan plan`")
    p.add_argument(
        "--mac-factor",
        metavar="F",
        help="leave out what computes more than F times what the model does (default: no limit)",
    )
    p.add_argument("--time-limit", metavar="S", default="20", help="seconds for all of it (default: 20)")
    p.add_argument("--workers", metavar="N", help="processor cores to use (default: all)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of all random choices (default: 0)")
    p.add_argument("-o", "--output", metavar="DIR", default=".", help="folder to write to (default: .)")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout, regions included")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the front and write STEM.tiles.svg and .html."""
    from memplan.base.files import check_folder, write_atomic
    from memplan.solving.tiling import tile_front
    from memplan.studies.front_page import front_files, front_json, front_text

    alignment = None if args.alignment is None else parse_int("--alignment", args.alignment, 1)
    workers = None if args.workers is None else parse_int("--workers", args.workers, 1)
    seed, time_limit_s = parse_int("--seed", args.seed, 0), parse_seconds("--time-limit", args.time_limit)
    factor = inf if args.mac_factor is None else parse_factor("--mac-factor", args.mac_factor)
    check_folder(Path(args.output))
    model = load_talking(args, args.runtime)
    check_folder(Path(args.output), f"{model.stem}.tiles.html")
    say_whole(model.graph)
    with interruptible() as cancel:
        front = tile_front(
            model,
            args.target,
            macs=factor,
            alignment=alignment,
            runtime=args.runtime,
            weights=args.weights,
            io=args.io,
            inplace=None if args.inplace is None else args.inplace == "on",
            time_limit_s=time_limit_s,
            workers=workers,
            seed=seed,
            cancel=cancel,
        )
        written = [
            write_atomic(Path(args.output) / f"{model.stem}.tiles{ending}", text)
            for ending, text in front_files(front)
        ]
        if args.json:
            print(front_json(front))
        else:
            print(front_text(front))
            print("wrote " + ", ".join(map(str, written)))
    return INTERRUPTED if cancel() else 0
