"""`memplan pack`: offset assignment alone, from and to CSV."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from memplan.cli.common import parse_int, parse_seconds, print_stderr
from memplan.cli.live import LiveLine, interruptible
from memplan.cli.status import EXIT_STATUS
from memplan.packing.buffers import Buffer, Packing
from memplan.problem.plan import Status
from memplan_start import INTERRUPTED


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("pack", help="assign offsets to buffers with fixed lifetimes")
    p.add_argument("csv", metavar="CSV", help="id,lower,upper,size[,alignment][,offset][,gaps]")
    goal = p.add_mutually_exclusive_group(required=True)
    goal.add_argument("--capacity", metavar="SIZE", help="fit into this many bytes")
    goal.add_argument("--minimize", action="store_true", help="find the least peak")
    p.add_argument("--workers", metavar="N", help="processor cores to use (default: all)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of all random choices (default: 0)")
    p.add_argument("--time-limit", metavar="S", default="10", help="seconds (default: 10)")
    p.add_argument("-o", "--output", metavar="FILE", help="CSV to write (default: stdout)")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Pack and write; the exit status says what was found."""
    from memplan.base.files import check_folder
    from memplan.base.units import parse_size
    from memplan.io.read_csv import read_buffers
    from memplan.packing.packer import clash, pack_buffers

    capacity = None if args.minimize else parse_size(args.capacity)
    workers = None if args.workers is None else parse_int("--workers", args.workers, 1)
    seed, time_limit_s = parse_int("--seed", args.seed, 0), parse_seconds("--time-limit", args.time_limit)
    if args.output:
        check_folder(Path(args.output).parent, Path(args.output).name)
    buffers = read_buffers(Path(args.csv))
    live = LiveLine()
    with interruptible() as cancel:
        found = pack_buffers(
            buffers,
            capacity,
            time_limit_s=time_limit_s,
            workers=workers,
            seed=seed,
            progress=live,
            cancel=cancel,
        )
        live.clear()
        if args.json:
            keys = ("status", "peak", "bound", "seconds", "nodes")
            print(json.dumps({key: getattr(found, key) for key in keys}))
        if found.status in EXIT_STATUS:
            _print_none(found, capacity, clash(buffers))
        else:
            _print(args, buffers, found)
    return INTERRUPTED if cancel() else EXIT_STATUS.get(found.status, 0)


def _print(args: argparse.Namespace, buffers: Sequence[Buffer], found: Packing) -> None:
    """Write the packing to where it is asked for, and say how good it is."""
    from memplan.base.files import write_atomic
    from memplan.io.write_csv import packing_text

    text = packing_text(buffers, found.offsets)
    if args.output:
        write_atomic(Path(args.output), text)
    elif not args.json:
        sys.stdout.write(text)
    print_stderr(
        f"{found.status}: peak {found.peak:,}, bound {found.bound:,}, {len(buffers)} buffers, "
        f"{found.seconds:.3f} s, {found.nodes:,} nodes ({found.method})"
    )


def _print_none(found: Packing, capacity: int | None, clashing: str) -> None:
    """Say why there is no packing."""
    impossible = found.status is Status.INFEASIBLE
    what = "no packing exists" if impossible else "no packing was found in time"
    limit = "" if capacity is None else f" under {capacity:,} bytes"
    if clashing:
        hint = f"move what is fixed: {clashing}"
    elif impossible:
        hint = f"give {found.bound} bytes or more; --minimize finds the least that suffices"
    else:
        hint = "give more time (--time-limit)" + ("" if capacity is None else " or more memory")
    print_stderr(f"error: {what}{limit}; every packing needs at least {found.bound:,} bytes\nhint: {hint}")
