"""Plans, checks and executes a zoo model at a budget below its peak, and prints what came out."""

from __future__ import annotations

import sys
from pathlib import Path

import memplan
from memplan.emitters.text import plan_summary

MODEL = "nasnet_a_mobile"
BUDGET = "MH"
SOLVERS = (
    "greedy{schedule=program,replace=belady,offsets=tflite}",
    "greedy{schedule=program}",
    "greedy",
)


def main() -> int:
    """Exit status 0 if every plan is valid and executes bit-identically."""
    model = memplan.load(MODEL)
    print(
        f"{MODEL}: {len(model.graph.ops)} ops, scratchpad {BUDGET} (between the least possible and its peak)\n"
    )
    plans = [memplan.plan(model, scratchpad=BUDGET, solver=spec) for spec in SOLVERS]
    print(f"{'solver':56} {'spilled bytes':>14} {'peak':>12} {'gap':>8} {'seconds':>8}")
    for plan in plans:
        print(f"{plan.solver:56} {plan.value:14,.0f} {plan.metrics.peak:12,} "
              f"{100 * (plan.gap or 0):6.1f} % {plan.seconds:8.3f}")  # fmt: skip
    best = min(plans, key=lambda p: (p.value, p.metrics.peak))
    print(f"\nbest plan:\n{plan_summary(model.graph, best)}\n")
    violations = memplan.check(model, best)
    print("check:     " + ("every rule holds, every claim recomputes" if not violations else str(violations)))
    report = memplan.run(model, best)
    print(f"run:       {report}")
    for path in memplan.emit(model, best, ("json", "onnx"), Path("out")):
        print(f"wrote      {path}")
    return 0 if report.identical and not violations else 5


if __name__ == "__main__":
    sys.exit(main())
