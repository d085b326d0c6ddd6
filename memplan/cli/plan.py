"""`memplan plan`: import, solve, check, simulate, emit."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from memplan.base.errors import OptionError
from memplan.cli.common import (
    add_policies,
    add_reading,
    add_sizes,
    load_talking,
    parse_int,
    parse_seconds,
    policies,
    print_stderr,
)
from memplan.cli.live import LiveLine, interruptible
from memplan.cli.status import EXIT_STATUS
from memplan.cli.tiling import FINDING, add_tiling, chosen_tiling
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.machine.profile import profile_names
from memplan.problem.options import CHOICES
from memplan.problem.plan import Plan, Status, planned_graph
from memplan_start import INTERRUPTED

SCRATCHPAD = "scratchpad"
"""The target of whoever names none."""


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("plan", help="plan a model's memory and write the plan")
    p.add_argument("model", metavar="MODEL", help=".onnx, .pt2, .tflite, graph .json or a zoo model's name")
    p.add_argument(
        "--target",
        default=SCRATCHPAD,
        help="preset, .toml file or vela.ini:SYSTEM:MODE (default: scratchpad)",
    )
    p.add_argument(
        "--runtime", metavar="NAME", help=f"whose ways the plan keeps to: {', '.join(profile_names())}"
    )
    p.add_argument(
        "--optimize",
        metavar="basic|extended|all",
        help="plan the graph as onnxruntime rewrites it at this level of optimisation (with --runtime onnxruntime)",
    )
    p.add_argument("--scratchpad", metavar="SIZE", help="256KiB, MR, MH, 0.75MP, max, …")
    p.add_argument("--alignment", metavar="N", help="alignment of offsets in bytes")
    add_sizes(p)
    p.add_argument(
        "--objective",
        choices=CHOICES["objective"],
        metavar="|".join(CHOICES["objective"]),
        help="what is least: spilled bytes, the peak without spills, seconds, or the cost of executing ops again "
        "(default: traffic, or peak for a runtime that moves nothing)",
    )
    add_policies(p)
    p.add_argument(
        "--donate",
        metavar="NAMES",
        default="",
        help="inputs that outputs may take the place of: "
        "names with commas between, or 'updated': all that the model updates",
    )
    p.add_argument(
        "--pin",
        metavar="TENSOR=PIN",
        action="append",
        default=[],
        help="keep (never spill), host (never place), MEMORY, @OFFSET, MEMORY@OFFSET, keep@OFFSET or 'keep "
        "MEMORY@OFFSET'; may be repeated",
    )
    p.add_argument("--pins", metavar="FILE", help="pins as a JSON object by tensor name; --pin overrides")
    add_tiling(p)
    p.add_argument(
        "--solver", metavar="SPEC", help="name or name{field=value,…}, see `memplan solvers --json`"
    )
    p.add_argument("--time-limit", metavar="S", default="10", help="seconds to solve (default: 10)")
    p.add_argument("--workers", metavar="N", help="processor cores to use (default: all)")
    p.add_argument("--seed", metavar="N", default="0", help="seed of all random choices (default: 0)")
    p.add_argument(
        "--no-compile",
        action="store_true",
        help="do without inner loops that are not compiled yet, instead of waiting for them",
    )
    p.add_argument(
        "--emit", metavar="FORMATS", default="json", help="json,onnx,tflite,html,svg,trace,c (default: json)"
    )
    p.add_argument("-o", "--output", metavar="DIR", default=".", help="folder to write to (default: .)")
    p.add_argument("--json", action="store_true", help="print the plan JSON on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan and write; the exit status says what was found."""
    from memplan.base.files import check_folder
    from memplan.problem.pins import parse_pins, read_pins
    from memplan.solving.planning import DEFAULT_SOLVER, PlanOptions
    from memplan.solving.planning import plan as solve
    from memplan.solving.tiling import not_worse_than_untiled
    from memplan.views.write import check_formats, emit_plan, file_names

    formats = check_formats(args.emit)
    alignment = None if args.alignment is None else parse_int("--alignment", args.alignment, 1)
    workers = None if args.workers is None else parse_int("--workers", args.workers, 1)
    seed = parse_int("--seed", args.seed, 0)
    time_limit_s = parse_seconds("--time-limit", args.time_limit)
    pins = (read_pins(args.pins) if args.pins else {}) | parse_pins(args.pin)
    check_folder(Path(args.output))
    model = _rewritten(load_talking(args, args.runtime), args)
    check_folder(Path(args.output), *file_names(formats, model.stem))
    live = LiveLine()
    with interruptible() as cancel:
        regions = chosen_tiling(
            args,
            model,
            alignment=alignment,
            runtime=args.runtime,
            time_limit_s=FINDING * time_limit_s,
            workers=workers,
            seed=seed,
            cancel=cancel,
            compiles=not args.no_compile,
        )
        beside = bool(regions) and not pins  # pins speak of the tensors of either graph
        asked: PlanOptions = {
            "scratchpad": args.scratchpad,
            "alignment": alignment,
            "runtime": args.runtime,
            "objective": args.objective,
            "donate": args.donate,
            **policies(args),  # type: ignore[typeddict-item]
            "pins": pins,
            "solver": DEFAULT_SOLVER if args.solver is None else args.solver,
            "time_limit_s": time_limit_s * (1 - FINDING if args.tile else 1) / (2 if beside else 1),
            "workers": workers,
            "seed": seed,
            "progress": live,
            "cancel": cancel,
            "compiles": not args.no_compile,
        }
        plan = solve(model, args.target, **(asked | {"tiling": regions}))
        if beside:
            plan = not_worse_than_untiled(model, plan, asked)
            if not plan.tiling:
                print_stderr("note: without tiles the plan is as good: nothing is tiled")
        live.clear()
        if plan.status in EXIT_STATUS:
            _print_none(args, planned_graph(model.graph, plan), plan)
        else:
            written = emit_plan(model, plan, formats, Path(args.output))
            _print(args, planned_graph(model.graph, plan), plan, written)
    return INTERRUPTED if cancel() else EXIT_STATUS.get(plan.status, 0)


def _rewritten(model: Model, args: argparse.Namespace) -> Model:
    """The model as the runtime rewrites it, if that is asked for; where it is not and the runtime would, a note says how."""
    if args.runtime != "onnxruntime":
        if args.optimize is not None:
            raise OptionError(
                f"--optimize {args.optimize} is for onnxruntime alone", "add --runtime onnxruntime"
            )
        return model
    if args.optimize is None:
        print_stderr(
            "note: the nodes are planned as they stand, to be run without optimisation; "
            "--optimize extended plans what onnxruntime makes of them"
        )
        return model
    from memplan.runtimes.onnxruntime import optimized

    return optimized(model, args.optimize, parse_int("--seed", args.seed, 0))


def _print_none(args: argparse.Namespace, graph: Graph, plan: Plan) -> None:
    """Say why there is no plan, and what to change."""
    from memplan.problem.problem import Problem
    from memplan.solving.remedy import remedy

    if args.json:
        from memplan.io.plan_json import plan_text

        sys.stdout.write(plan_text(plan))
    words = {Status.INFEASIBLE: "no plan exists", Status.UNKNOWN: "no plan was found"}
    hint = "give more time (--time-limit), more memory, or another --solver"
    if plan.status is Status.INFEASIBLE:
        hint = remedy(Problem(graph, plan.target, plan.options), plan.runtime)
    print_stderr(f"error: {words[plan.status]}: {plan.reason}\nhint: {hint}")


def _print(args: argparse.Namespace, graph: Any, plan: Plan, written: list[Path]) -> None:
    from memplan.io.plan_json import plan_text
    from memplan.views.text import plan_summary

    if args.json:
        sys.stdout.write(plan_text(plan))
        return
    print(plan_summary(graph, plan))
    print("wrote      " + ", ".join(str(path) for path in written))
    if args.target == SCRATCHPAD and not (args.runtime or args.scratchpad or args.objective):
        print_stderr(
            "note: nothing limits the scratchpad, so nothing is spilled; give --scratchpad SIZE (MR is the least "
            "that works, MH half way) or --target NAME (see `memplan targets`)"
        )
