"""`memplan measure`: let a runtime carry out a plan, and compare by the runtime's own count."""

from __future__ import annotations

import argparse
import json
from typing import Any

from memplan.cli.common import add_reading, load_with_plan, parse_int, print_stderr
from memplan.runtimes.measure import MEASURED, measure


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("measure", help="let a runtime carry out a plan, and compare by its own count")
    p.add_argument("model", metavar="MODEL", help="the model that was planned")
    p.add_argument("plan", metavar="PLAN", nargs="?", help="plan JSON (default: the plan MODEL carries)")
    p.add_argument("--on", metavar="RUNTIME", required=True, help=", ".join(MEASURED))
    p.add_argument("--seed", metavar="N", default="0", help="seed of made-up inputs and weights")
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 if the runtime obeys the plan: it uses as many bytes, in the same order, and computes the same bits; else 5."""
    from memplan.judge.check.check import check
    from memplan.judge.evaluate import refuse

    model, plan = load_with_plan(args.model, args.plan, args.trust)
    refuse(check(model.graph, plan))
    found = measure(model, plan, args.on, parse_int("--seed", args.seed, 0))
    print(json.dumps(found.to_dict()) if args.json else found)
    if found.obeys:
        return 0
    if found.faults or found.ordered is False:
        print_stderr(
            f"error: {found.runtime} {'; '.join(found.faults) or 'executes the ops in another order'}"
        )
        return 5
    what = "computes other outputs" if found.different else "does not keep to the bytes of the plan"
    print_stderr(
        f"error: {found.runtime} {what}\n"
        "hint: other kernels than those of the profile may ask for scratch buffers, or read what they overwrite"
    )
    return 5
