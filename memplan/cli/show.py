"""`memplan show`: what a graph, a plan or two plans look like."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from memplan.base.errors import OptionError
from memplan.base.files import check_folder
from memplan.cli.common import (
    add_reading,
    add_sizes,
    carried_plan,
    load_talking,
    load_with_plan,
    parse_sizes,
)
from memplan.ir.graph import Graph
from memplan.ir.ranges import ranges
from memplan.problem.plan import Plan, planned_graph, refuse_mismatch

ENDINGS = (".html", ".svg", ".trace.json")
"""What a file to write is called, by what it shows."""


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("show", help="show a graph, a plan, or two plans side by side")
    p.add_argument("model", metavar="MODEL", help=".onnx, .pt2, .tflite, graph .json or a zoo model's name")
    p.add_argument("plans", metavar="PLAN", nargs="*", help="plan JSON, one or two (default: MODEL's own)")
    p.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the interactive report (.html), a picture (.svg) or a trace (.trace.json)",
    )
    add_sizes(p, " (default: as in PLAN)")
    p.add_argument("--json", action="store_true", help="print the graph or plan JSON on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the graph or the plan, or write the report."""
    if len(args.plans) > 2:
        raise OptionError(f"{len(args.plans)} plans", "show one, or two side by side")
    if args.output is not None and not args.output.endswith(ENDINGS):
        raise OptionError(f"-o '{args.output}'", f"give a name that ends in {', '.join(ENDINGS)}")
    if args.output is not None:
        check_folder(Path(args.output).parent, Path(args.output).name)
    graph, plans = _load(args)
    _check(graph, plans)
    if len({plan.tiling for plan in plans}) > 1:
        raise OptionError("two plans with different tiles have no ops in common", "show one at a time")
    graph = planned_graph(graph, plans[0]) if plans else graph
    if args.output is not None:
        _write(graph, plans, Path(args.output))
    elif len(plans) == 2:
        raise OptionError("two plans are compared in a page", "add -o FILE.html")
    else:
        _print(graph, plans, args.json)
    return 0


def _load(args: argparse.Namespace) -> tuple[Graph, list[Plan]]:
    """The graph, with the dimensions given or else those the first plan was made for, and the plans."""
    from memplan.io.plan_json import read_plan
    from memplan.judge.sizing import at_sizes

    plans = [read_plan(Path(file)) for file in args.plans]
    if plans and not (args.dim or args.bound):
        return load_with_plan(args.model, args.plans[0], args.trust)[0].graph, plans
    if plans and ranges(plans[0].options.dims):
        model = load_with_plan(args.model, args.plans[0], args.trust)[0]
        pairs = [at_sizes(model, plan, parse_sizes(args.dim)) for plan in plans]
        return pairs[0][0].graph, [plan for _, plan in pairs]
    model = load_talking(args)
    carried = carried_plan(model)
    return model.graph, plans or ([] if carried is None else [carried])


def _print(graph: Graph, plans: list[Plan], as_json: bool) -> None:
    from memplan.io.graph_json import graph_text
    from memplan.io.plan_json import plan_text
    from memplan.views.text import graph_summary, plan_dump

    if as_json:
        print(plan_text(plans[0]) if plans else graph_text(graph), end="")
    else:
        print(plan_dump(graph, plans[0]) if plans else graph_summary(graph))


def _check(graph: Graph, plans: list[Plan]) -> None:
    """Numbers in a file are claims: refuse a plan that breaks a rule, before anything repeats them."""
    from memplan.api import check
    from memplan.judge.evaluate import refuse

    for plan in plans:
        refuse_mismatch(graph, plan)
        if plan.schedule:
            refuse(check(graph, plan))


def _write(graph: Graph, plans: list[Plan], path: Path) -> None:
    from memplan.base.files import write_atomic

    print(f"wrote {write_atomic(path, _drawn(graph, plans, path))}")


def _drawn(graph: Graph, plans: list[Plan], path: Path) -> str:
    """The page of any number of plans, or the picture or trace of one."""
    from memplan.views.html import report_page
    from memplan.views.svg import svg_text
    from memplan.views.trace import trace_text

    if path.name.endswith(".html"):
        return report_page(graph, plans)
    if len(plans) != 1 or not plans[0].schedule:
        raise OptionError(
            f"-o '{path}' shows one plan", "give one that has a schedule, or a name that ends in .html"
        )
    return svg_text(graph, plans[0]) if path.name.endswith(".svg") else trace_text(graph, plans[0])
