"""`memplan show`: what a graph or plan looks like."""

from __future__ import annotations

import argparse
from typing import Any

from memplan.cli.common import load_with_plan


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("show", help="show a graph or a plan")
    p.add_argument("model", metavar="MODEL", help=".onnx, .pt2, graph .json or a zoo model's name")
    p.add_argument("plan", metavar="PLAN", nargs="?", help="plan JSON (default: the plan MODEL carries)")
    p.add_argument("--json", action="store_true", help="print the graph or plan JSON on stdout")
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the graph, or the plan if there is one."""
    from memplan.emitters.json import graph_text, plan_text
    from memplan.emitters.text import graph_summary, plan_dump
    from memplan.importers import load_model

    if args.plan is None:
        model = load_model(args.model, {})
        plan = model.plan
    else:
        model, plan = load_with_plan(args.model, args.plan)
    if args.json:
        print(graph_text(model.graph) if plan is None else plan_text(plan), end="")
    else:
        print(graph_summary(model.graph) if plan is None else plan_dump(model.graph, plan))
    return 0
