"""Spilled bytes over the zoo: one hard-wired heuristic beside the portfolio, same graph, budget and checks."""

from __future__ import annotations

import os
import platform

import memplan
from memplan.zoo import zoo_names

HARD_WIRED = "greedy{schedule=program,replace=belady,offsets=tflite}"
HEAD = """# The zoo at M_R and M_H

Written by `scripts/zoo_table > docs/results.md` on {machine}, {cores} cores, Python {python}. Weights ignored,
inputs and outputs in host memory, batch 1, no in-place. M_R is the least scratchpad any plan can do with,
M_H lies half way to the best peak known. *Hard-wired* is program order, Belady replacement and
size-ordered packing, evicting more until it packs: `{spec}`. No heuristic was tuned on these graphs.

| model | ops | budget | bytes | hard-wired spills | greedy spills | seconds |
| --- | ---: | --- | ---: | ---: | ---: | ---: |"""


def main() -> None:
    """Print the table and the sum of what both spill."""
    machine, python = platform.machine(), platform.python_version()
    print(HEAD.format(machine=machine, cores=os.cpu_count(), python=python, spec=HARD_WIRED))
    sums = [0.0, 0.0]
    for name in zoo_names():
        model = memplan.load(name)
        for budget in ("MR", "MH"):
            plain = memplan.plan(model, scratchpad=budget, solver=HARD_WIRED)
            best = memplan.plan(model, scratchpad=budget, solver="greedy")
            sums[0] += plain.value or 0
            sums[1] += best.value or 0
            capacity = best.target.scratchpad.capacity
            print(f"| {name} | {len(model.graph.ops)} | {budget} | {capacity:,} | {plain.value:,.0f} | "
                  f"{best.value:,.0f} | {best.seconds:.2f} |")  # fmt: skip
    print(f"| **all** | | | | **{sums[0]:,.0f}** | **{sums[1]:,.0f}** | |")
    print(f"\nGreedy spills {100 * (1 - sums[1] / sums[0]):.1f} % less in all.")


if __name__ == "__main__":
    main()
