"""`memplan check`: the rules and the simulator on a plan file."""

from __future__ import annotations

import argparse
import json
from typing import Any

from memplan.cli.common import add_chosen_sizes, add_reading, load_with_plan, parse_sizes, print_stderr


def add_parser(commands: Any) -> None:
    """Add the command to the program."""
    p = commands.add_parser("check", help="check a plan against its model")
    p.add_argument("model", metavar="MODEL", help="the model that was planned, or an annotated .onnx")
    p.add_argument("plan", metavar="PLAN", nargs="?", help="plan JSON (default: the plan MODEL carries)")
    add_chosen_sizes(p)
    p.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    add_reading(p)
    p.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """0 if every rule holds and every claim recomputes, else 5."""
    from memplan import api
    from memplan.judge.check.claims import unverified
    from memplan.problem.plan import graph_mismatch, mismatch_hint, planned_graph
    from memplan.views.text import plan_summary

    model, plan = load_with_plan(args.model, args.plan, args.trust, parse_sizes(args.dim))
    violations = api.check(model, plan)
    metrics = None if violations else api.simulate(model, plan)._asdict()
    open_claims = [] if violations else unverified(planned_graph(model.graph, plan), plan)
    if args.json:
        rows = [v._asdict() for v in violations]
        verdict = {"valid": not violations, "violations": rows, "unverified": open_claims, "metrics": metrics}
        print(json.dumps(verdict))
    elif not violations:
        if plan.schedule or not model.graph.ops:
            print(
                f"valid: every rule holds and every number recomputes\n{plan_summary(planned_graph(model.graph, plan), plan)}"
            )
        else:
            print(f"{plan.status}: the file holds no plan that could be checked")
        for claim in open_claims:
            print(f"claimed, not verified: {claim}")
    for violation in violations:
        print_stderr(f"violation: {violation}")
    if violations:
        hint = mismatch_hint(plan) if graph_mismatch(model.graph, plan) else "make the plan anew"
        print_stderr(f"error: the plan breaks {len(violations)} rule(s) or claims\nhint: {hint}")
    return 5 if violations else 0
