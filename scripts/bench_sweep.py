"""A sweep of 20 capacities beside five of them planned apart: seconds, and what either knows of those five."""

from __future__ import annotations

import argparse
import time

from memplan.api import load
from memplan.ir.model import Model
from memplan.solving.planning import make_problem
from memplan.solving.planning import plan as plan_once
from memplan.studies.sweep import Sweep, sweep

MODELS = (
    "resnet50",
    "densenet121",
    "gpt2_prefill",
    "fc_densenet103_int8",
    "nasnet_a_mobile",
    "randwire_ws_small",
    "stable_diffusion_unet",
)
APART = 5


def main() -> None:
    """Print a Markdown table."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("models", nargs="*", default=MODELS)
    p.add_argument("--points", type=int, default=20)
    p.add_argument("--time-limit", type=float, default=10.0)
    p.add_argument("--solver", default="portfolio")
    args = p.parse_args()
    print(
        "| model | points | sweep s | CPU s | five apart s | CPU s | better | worse | bound better | worse | gap of the five | apart | gap of all |"
    )
    print("| --- |" + 12 * " ---: |")
    for name in args.models:
        model = load(name)
        problem = make_problem(model)
        plan_once(model, scratchpad="MR", solver=args.solver, time_limit_s=args.time_limit)  # compile
        begin = time.process_time()
        swept = sweep(problem, points=args.points, solver=args.solver, time_limit_s=args.time_limit)
        print(row(model, swept, time.process_time() - begin, args.solver, args.time_limit), flush=True)


def row(model: Model, swept: Sweep, cpu_s: float, solver: str, limit: float) -> str:
    """One line: the sweep against five of its capacities, evenly spread, planned from scratch."""
    last = len(swept.points) - 1
    common = [swept.points[i] for i in sorted({last * k // (APART - 1) for k in range(APART)})]
    begin = time.process_time()
    apart = [plan_once(model, scratchpad=p.capacity, solver=solver, time_limit_s=limit) for p in common]
    apart_cpu_s = time.process_time() - begin
    seconds = sum(a.seconds for a in apart)
    pairs = [(p.value or 0.0, a.value or 0.0) for p, a in zip(common, apart, strict=True)]
    bounds = [(p.bound, a.bound) for p, a in zip(common, apart, strict=True)]
    gaps = [100 * sum(x.gap or 0.0 for x in found) / len(found) for found in (common, apart, swept.points)]
    wins = " | ".join(
        f"{x}"
        for x in (
            sum(p < a for p, a in pairs),
            sum(p > a for p, a in pairs),
            sum(p > a for p, a in bounds),
            sum(p < a for p, a in bounds),
        )
    )
    return (
        f"| {swept.graph} | {last + 1} | {swept.seconds:.1f} | {cpu_s:.1f} | {seconds:.1f} | {apart_cpu_s:.1f} | {wins} | "
        f"{gaps[0]:.1f} % | {gaps[1]:.1f} % | {gaps[2]:.1f} % |"
    )


if __name__ == "__main__":
    main()
