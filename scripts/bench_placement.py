"""Placement without moves: 20 networks on machines of several memories, beside filling the fastest memory first."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from marked import put_measured
from memplan_solvers.placement.fill import fastest_first
from memplan_solvers.placement.lives import Lives
from memplan_solvers.placement.placement import Placement

import memplan
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import Status

PRESETS = ("stm32h743", "imxrt1060", "esp32-s3", "ethos-u65")

NETWORKS = (
    "amoebanet_a_mobile", "bert_small", "darts_imagenet_int8", "densenet121_int8", "efficientnet_b0",
    "fc_densenet103_int8", "ghostnet", "hrnet_w32_pose", "inception_v3", "lraspp_mobilenet_v3_int8",
    "mcunet_320kb_int8", "mobilenet_v2", "nasnet_a_mobile", "pnasnet5_mobile_int8", "randwire_ws_small",
    "resnet50_int8", "shufflenet_v2_x1", "ssdlite_mobilenet_v2", "unet", "yolov8n",
)  # fmt: skip


def row(name: str, preset: str, limit: float) -> tuple[float, float, bool, float]:
    """MiB of accesses to slow memory under the fastest memory first and under the solver, whether that is proved, and
    the solver's processor seconds."""
    target = replace(memplan.load_target(preset), queues=0, channels=())
    problem = memplan.make_problem(memplan.load(name), target, io="external", order="program")
    filled = fastest_first(Lives(problem, range(problem.n)))
    if filled is None:
        raise RuntimeError(f"{name} does not fit {preset}")
    begin = time.process_time()
    plan = evaluate(problem.graph, Placement().solve(problem, memplan.Limits(limit)))
    seconds = time.process_time() - begin
    if plan.value is None or plan.value > filled.traffic:
        raise RuntimeError(f"{name} on {preset}: {plan.value} against {filled.traffic}")
    return filled.traffic / 2**20, plan.value / 2**20, plan.status is Status.OPTIMAL, seconds


def table(limit: float) -> Iterator[str]:
    """The lines of the table, a network and a machine each, and what they come to."""
    yield "| network | machine | fastest first, MiB | placement, MiB | fewer | proved | seconds |"
    yield "| --- | --- | ---: | ---: | ---: | --- | ---: |"
    shares, proved, total = list[float](), 0, 0.0
    for name in NETWORKS:
        for preset in PRESETS:
            filled, placed, sure, seconds = row(name, preset, limit)
            fewer = 1 - placed / filled if filled else 0.0
            shares.append(fewer)
            proved += sure
            total += seconds
            words = "yes" if sure else "no"
            yield f"| {name} | {preset} | {filled:,.2f} | {placed:,.2f} | {100 * fewer:.1f} % | {words} | {seconds:.2f} |"
            print(name, preset, f"{100 * fewer:.1f} %", words, f"{seconds:.2f} s", file=sys.stderr)
    mean, most = 100 * sum(shares) / len(shares), 100 * max(shares)
    yield ""
    yield (
        f"{proved} of {len(shares)} placements are proved to be the cheapest, in {total / len(shares):.2f} s of processor on "
        f"average. They access slow memory {mean:.1f} % less than filling the fastest memory first (mean of the cases), "
        f"{most:.1f} % less at most."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a case")
    parser.add_argument("-o", "--output", type=Path, help="the page whose table is replaced")
    arguments = parser.parse_args()
    lines = "\n".join(table(arguments.limit))
    if arguments.output is None:
        print(lines)
        return
    put_measured(arguments.output, "bench_placement", lines)


if __name__ == "__main__":
    main()
