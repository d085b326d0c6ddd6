"""Plans, checks and executes a zoo model at a budget below its peak, and prints what came out."""

from __future__ import annotations

import sys
from pathlib import Path

import memplan
from memplan.cli.live import LiveLine
from memplan.views.text import plan_summary

MODEL = "nasnet_a_mobile"
BUDGET = "MH"
SOLVERS = ("baseline", "greedy", "portfolio")


def main() -> int:
    """Exit status 0 if every plan is valid and executes bit-identically."""
    model = memplan.load(MODEL)
    print(
        f"{MODEL}: {len(model.graph.ops)} ops, for a scratchpad half way between the least that any plan needs and the\n"
        f"least that needs no spills ({BUDGET}). Inner loops are compiled when they are needed, once on this machine.\n"
    )
    live = LiveLine()
    plans = []
    for spec in SOLVERS:
        plans.append(memplan.plan(model, scratchpad=BUDGET, solver=spec, time_limit_s=20, progress=live))
        live.clear()
    print(
        f"{'solver':12} {'spilled bytes':>14} {'proved at least':>16} {'peak':>12} {'status':>10} {'seconds':>8}"
    )
    for plan in plans:
        print(
            f"{plan.solver:12} {plan.value:14,.0f} {plan.bound:16,.0f} {plan.metrics.peak:12,} {plan.status:>10} "
            f"{plan.seconds:8.2f}"
        )
    best = min(plans, key=lambda p: (p.value, p.metrics.peak))
    print(f"\nbest plan:\n{plan_summary(model.graph, best)}\n")
    violations = memplan.check(model, best)
    print("check:     " + ("every rule holds, every claim recomputes" if not violations else str(violations)))
    report = memplan.run(model, best)
    print(f"run:       {report}")
    for path in memplan.emit(model, best, ("json", "onnx", "html"), Path("out")):
        print(f"wrote      {path}")
    print(f"report:    open {Path('out').absolute() / (MODEL + '.html')} in a browser")
    return 0 if report.identical and not violations else 5


if __name__ == "__main__":
    sys.exit(main())
