"""`memplan run`: execute a plan in a real arena and compare."""

from __future__ import annotations

import argparse
import json
from typing import Any

from memplan.cli.common import (
    add_chosen_sizes,
    add_reading,
    load_with_plan,
    parse_int,
    parse_sizes,
    print_stderr,
)


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("run", help="execute a plan in a real arena and compare the outputs")
    p.add_argument(
        "model",
        metavar="MODEL",
        help="the .onnx or .pt2 that was planned, a zoo model's name, or an annotated .onnx",
    )
    p.add_argument("plan", metavar="PLAN", nargs="?", help="plan JSON (default: the plan MODEL carries)")
    add_chosen_sizes(p)
    p.add_argument("--inputs", metavar="F.npz", help="inputs by name (default: seeded ones in range)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of made-up inputs and weights")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 if the plan is valid and every output is bit-identical, else 5."""
    from memplan.judge.check.check import check
    from memplan.judge.evaluate import refuse
    from memplan.onnx.inputs import load_inputs
    from memplan.runtimes.execute import run as execute

    model, plan = load_with_plan(args.model, args.plan, args.trust, parse_sizes(args.dim))
    refuse(check(model.graph, plan))
    inputs = load_inputs(args.inputs) if args.inputs else None
    report = execute(model, plan, inputs, parse_int("--seed", args.seed, 0))
    print(json.dumps(report.to_dict()) if args.json else report)
    if report.identical:
        return 0
    hint = "check the plan with `memplan check`"
    if report.exact is not None and report.exact.startswith("no"):
        hint = f"its tiles are not exact ({report.exact}): where every bit counts, plan with --tile exact"
    print_stderr(f"error: the plan's outputs differ from the reference\nhint: {hint}")
    return 5
