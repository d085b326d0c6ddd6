"""A sweep of 20 capacities beside as many plans made apart: seconds, and what either knows of each capacity."""

from __future__ import annotations

import argparse

from memplan.api import load, make_problem
from memplan.api import plan as plan_once
from memplan.sweep import Sweep, sweep

MODELS = ("nasnet_a_mobile", "randwire_ws_small", "densenet121", "unet")


def main() -> None:
    """Print a Markdown table."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("models", nargs="*", default=MODELS)
    p.add_argument("--points", type=int, default=20)
    p.add_argument("--time-limit", type=float, default=10.0)
    p.add_argument("--solver", default="portfolio")
    args = p.parse_args()
    print("| model | points | sweep s | apart s | five apart s | sweep better | worse | gap, sweep | gap, apart |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name in args.models:
        model = load(name)
        problem, _ = make_problem(model)
        plan_once(model, scratchpad="MR", solver=args.solver, time_limit_s=args.time_limit)  # compile
        swept = sweep(problem, points=args.points, solver=args.solver, time_limit_s=args.time_limit)
        print(row(name, swept, args.solver, args.time_limit), flush=True)


def row(name: str, swept: Sweep, solver: str, limit: float) -> str:
    """One line: the sweep against every one of its capacities planned from scratch."""
    model = load(name)
    apart = [plan_once(model, scratchpad=p.capacity, solver=solver, time_limit_s=limit) for p in swept.points]
    pairs = [(p.value or 0.0, a.value or 0.0) for p, a in zip(swept.points, apart, strict=True)]
    seconds = sum(a.seconds for a in apart)
    gaps = [sum(x.gap or 0.0 for x in found) / len(found) for found in (swept.points, apart)]
    better, worse = sum(p < a for p, a in pairs), sum(p > a for p, a in pairs)
    return (f"| {name} | {len(pairs)} | {swept.seconds:.1f} | {seconds:.1f} | {5 * seconds / len(pairs):.1f} | {better} | "
            f"{worse} | {100 * gaps[0]:.1f} % | {100 * gaps[1]:.1f} % |")  # fmt: skip


if __name__ == "__main__":
    main()
