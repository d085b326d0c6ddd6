"""`memplan sweep`: how the cost falls as the scratchpad grows, and what no plan can beat."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from memplan.cli.common import (
    add_policies,
    add_reading,
    add_sizes,
    load_talking,
    parse_int,
    parse_seconds,
    policies,
)
from memplan.cli.live import LiveLine, interruptible
from memplan.cli.tiling import FINDING, add_tiling, chosen_tiling
from memplan_start import INTERRUPTED


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("sweep", help="plan a model at many capacities: capacity against cost")
    p.add_argument("model", metavar="MODEL", help=".onnx, .pt2, .tflite, graph .json or a zoo model's name")
    p.add_argument("--points", metavar="N", default="20", help="capacities, evenly spaced (default: 20)")
    p.add_argument(
        "--from", dest="least", metavar="SIZE", help="smallest capacity (default: MR, and never below it)"
    )
    p.add_argument("--to", dest="most", metavar="SIZE", help="largest capacity (default: MP)")
    p.add_argument(
        "--target",
        default="scratchpad",
        help="preset, .toml file or vela.ini:SYSTEM:MODE (default: scratchpad)",
    )
    p.add_argument("--alignment", metavar="N", help="alignment of offsets in bytes")
    add_sizes(p)
    p.add_argument(
        "--objective",
        choices=("traffic", "latency", "compute"),
        metavar="traffic|latency|compute",
        default="traffic",
        help="what is least: spilled bytes, seconds, or the cost of executing ops again (default: traffic)",
    )
    add_policies(p)
    add_tiling(p)
    p.add_argument(
        "--solver", metavar="SPEC", help="name or name{field=value,…}, see `memplan solvers --json`"
    )
    p.add_argument(
        "--time-limit",
        metavar="S",
        default="10",
        help="seconds of a single plan; the sweep takes at most four times that (default: 10)",
    )
    p.add_argument("--workers", metavar="N", help="processor cores to use (default: all)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of all random choices (default: 0)")
    p.add_argument("-o", "--output", metavar="DIR", default=".", help="folder to write to (default: .)")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Sweep and write STEM.sweep.csv, .svg and .html; 4 where no capacity has a plan."""
    from memplan.base.files import check_folder, write_atomic
    from memplan.solving.planning import DEFAULT_SOLVER, make_problem, tiled
    from memplan.studies.sweep import sweep
    from memplan.studies.sweep_page import sweep_files, sweep_json, sweep_text

    alignment = None if args.alignment is None else parse_int("--alignment", args.alignment, 1)
    workers = (os.cpu_count() or 1) if args.workers is None else parse_int("--workers", args.workers, 1)
    points, seed = parse_int("--points", args.points, 2), parse_int("--seed", args.seed, 0)
    time_limit_s = parse_seconds("--time-limit", args.time_limit)
    check_folder(Path(args.output))
    model = load_talking(args)
    check_folder(Path(args.output), f"{model.stem}.sweep.html")
    live = LiveLine()
    with interruptible() as cancel:
        regions = chosen_tiling(
            args,
            model,
            alignment=alignment,
            time_limit_s=FINDING * time_limit_s,
            workers=workers,
            seed=seed,
            cancel=cancel,
        )
        problem = make_problem(
            tiled(model, regions) if regions else model,
            args.target,
            alignment=alignment,
            objective=args.objective,
            **policies(args),
        )
        found = sweep(
            problem,
            points=points,
            least=args.least,
            most=args.most,
            solver=DEFAULT_SOLVER if args.solver is None else args.solver,
            time_limit_s=time_limit_s * (1 - FINDING if args.tile else 1),
            workers=workers,
            seed=seed,
            progress=live,
            cancel=cancel,
        )
        live.clear()
        files = sweep_files(found)
        written = [
            write_atomic(Path(args.output) / f"{model.stem}.sweep{ending}", text) for ending, text in files
        ]
        if args.json:
            print(sweep_json(found))
        else:
            print(sweep_text(found))
            print("wrote " + ", ".join(map(str, written)))
    if cancel():
        return INTERRUPTED
    return 0 if any(point.value is not None for point in found.points) else 4
