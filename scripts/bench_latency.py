"""Latency solvers side by side on a TPU-like and a U65-like machine with a scratchpad that holds a share of the net.

Share = of the peak of the activations plus the weights; weights are tensors, order is the program's, batch 1.
int8 graphs count two bytes a value on the TPU. A column is the speed-up over `msa`; the last one what the
bound allows. Every solver has the same time on one core; no reported graph was seen by the training of
`malloc_game`'s network. Rows are kept in a file: a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from math import exp, log
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from marked import put_measured
from memplan_solvers.latency.arrays import make_arrays
from memplan_solvers.latency.fluid import fluid_bound
from memplan_solvers.residency import Walk
from provenance import kept_rows

from memplan.api import load
from memplan.base.children import end_with_parent
from memplan.ir.soundness import sound_ops
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.planning import make_problem
from memplan.solving.planning import plan as plan_once

MODELS = (
    "amoebanet_d_int8", "conformer_s", "darts_imagenet_int8", "deeplabv3_resnet50_int8", "densenet121_int8",
    "efficientdet_d0", "efficientnet_b0", "fc_densenet103_int8", "fcn_resnet50_int8", "ghostnet", "gpt2_decode",
    "gpt2_prefill", "hrnet_w32_pose", "inception_v3", "llama_7b_block_prefill", "lraspp_mobilenet_v3_int8",
    "mixtral_block_decode", "nasnet_a_mobile_int8", "pnasnet5_mobile_int8", "r2plus1d_18_int8", "randwire_er_small",
    "randwire_ws_small", "resnet50_int8", "resnext50_32x4d_int8", "retinanet_resnet50", "s3d_int8", "shufflenet_v2_x1",
    "squeezenet1_1", "torch_bert_base", "transformer_base_int8", "vit_b16_int8", "whisper_tiny_encoder", "yolov8n",
)  # fmt: skip
"""What is reported; none of it is among the graphs that the policy was trained on."""

SOLVERS = (
    "msa{repacks=10}",
    "msa_tuned",
    "malloc_game{mode=greedy}",
    "brkga",
    "anneal",
    "malloc_game{mode=policy}",
    "malloc_game{mode=game}",
    "malloc_game",
    "malloc_game{mode=prod}",
)
LASTING = ("msa_tuned", "brkga", "anneal", "malloc_game")
"""Those that make something of 10 s or more."""

BOUND_LIMIT_S = 2.0
MACHINES = ("tpu-v4i", "ethos-u65")
ENDS = ("all in host", "bound")


def main() -> None:
    """Measure what the rows' file lacks, then print the table, and write it into the page."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", default=MODELS)
    p.add_argument("--solvers", nargs="+", help="default: nine, the four that last from 10 s on")
    p.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25])
    p.add_argument("--time-limit", type=float, default=10.0)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--at-once", type=int, default=1, help="models measured side by side, each on one core")
    p.add_argument("--rows", type=Path, help="file of rows, added to (default: one in build)")
    p.add_argument("-o", "--output", type=Path, help="the page whose table of this time limit is replaced")
    args = p.parse_args()
    args.solvers = args.solvers or (SOLVERS if args.time_limit < 10 else LASTING)
    rows = args.rows or kept_rows(f"latency_{args.time_limit:g}.jsonl")
    done = read_rows(rows, args)
    with ProcessPoolExecutor(args.at_once, get_context("spawn"), end_with_parent) as pool:
        for wait in [pool.submit(measure, name, args, rows, set(done)) for name in args.models]:
            wait.result()
    found = read_rows(rows, args)
    table = table_of([found[key] for name in args.models for key in found if key[0] == name], args.solvers)
    print(table)
    if args.output:
        put_measured(args.output, f"bench_latency {args.time_limit:g} s", table)


def setting(args: argparse.Namespace) -> dict[str, Any]:
    """What rows must agree in to stand in one table."""
    return {"time_limit": args.time_limit, "seed": args.seed, "solvers": list(args.solvers)}


def read_rows(path: Path, args: argparse.Namespace) -> dict[tuple[str, str, float], dict[str, Any]]:
    """The rows of this setting by (model, machine, share); the last where one was measured twice."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [
        row
        for row in map(json.loads, lines)
        if row["setting"] == setting(args) and row["share"] in (0.05, *args.shares)
    ]
    return {(row["model"], row["machine"], row["share"]): row for row in found}


def table_of(rows: list[dict[str, Any]], solvers: Sequence[str]) -> str:
    """A Markdown table of the rows, the geometric means, and how often each solver is better than msa_tuned."""
    columns = [*solvers, *ENDS]
    values = [row["speedup"] for row in rows]
    lines = [
        f"| model | machine | share | {' | '.join(columns)} |",
        f"| --- | --- | --- |{' ---: |' * len(columns)}",
    ]
    for row in rows:
        cells = " | ".join(f"{row['speedup'][c]:.3f}" for c in columns)
        lines.append(f"| {row['model']} | {row['machine']} | {row['share']:g} | {cells} |")
    means = (exp(sum(log(row[c]) for row in values) / len(values)) for c in columns)
    lines.append(f"| **geometric mean** | | | {' | '.join(f'{mean:.3f}' for mean in means)} |")
    if "msa_tuned" in columns:
        wins = (sum(row[c] > row["msa_tuned"] * (1 + 1e-9) for row in values) / len(values) for c in columns)
        lines.append(
            f"| better than msa_tuned | | | {' | '.join(f'{100 * share:.0f} %' for share in wins)} |"
        )
    return "\n".join(lines)


def measure(name: str, args: argparse.Namespace, rows: Path, done: set[tuple[str, str, float]]) -> None:
    """Add the rows of one model that are not done. What compiles does so before, off the clock."""
    warm = False
    for machine, share, problem in cases(name, args.shares):
        if (name, machine, share) in done:
            continue
        if not warm:
            speedups(problem, args.solvers, 0.1, args.seed)
            warm = True
        speedup = speedups(problem, args.solvers, args.time_limit, args.seed)
        row = {
            "model": name,
            "machine": machine,
            "share": share,
            "setting": setting(args),
            "speedup": speedup,
        }
        with rows.open("a") as file:
            file.write(json.dumps(row) + "\n")


def cases(name: str, shares: list[float]) -> Iterator[tuple[str, float, Problem]]:
    """(machine, share, problem) of the grid for one model; 5 % too for searched and randomly wired nets."""
    if any(word in name for word in ("nas", "darts", "amoeba", "randwire")):
        shares = [0.05, *shares]
    graph = load(name).graph
    for machine in MACHINES:
        scaled = graph
        if machine == "tpu-v4i":
            wide = (
                replace(t, nbytes=t.nbytes * (2 if t.dtype in ("int8", "uint8") else 1))
                for t in graph.tensors
            )
            tensors = tuple(wide)
            scaled = replace(graph, tensors=tensors, ops=sound_ops(tensors, graph.ops))
        whole = make_problem(scaled, machine, objective="latency", weights="tensor", order="program")
        weights = sum(s.nbytes for s in whole.storages if s.is_constant)
        for share in shares:
            capacity = max(1, int(share * (weights + activation_peak(whole))))
            yield machine, share, replace(whole, target=whole.target.with_scratchpad(capacity))


def activation_peak(problem: Problem) -> int:
    """The largest sum of live bytes without the weights, in program order."""
    change = [0] * (problem.n + 1)
    walk = Walk(problem, tuple(range(problem.n)))
    for s, spans in zip(problem.storages, walk.whole, strict=True):
        for start, stop in spans if not s.is_constant else ():
            change[start] += s.size
            change[stop] -= s.size
    live = peak = 0
    for delta in change:
        live += delta
        peak = max(peak, live)
    return peak


def speedups(problem: Problem, solvers: list[str], limit: float, seed: int) -> dict[str, float]:
    """Latency of msa over that of each solver, of all in host, and of the bound."""

    def seconds(spec: str) -> float:
        plan = plan_once(
            problem.graph,
            problem.target,
            objective="latency",
            weights="tensor",
            order="program",
            solver=spec,
            time_limit_s=limit,
            workers=1,
            seed=seed,
        )
        host[0] = plan.metrics.latency_all_host_s or 0.0
        bound[0] = max(bound[0], plan.bound or 0.0)
        return plan.metrics.latency_s

    host, bound = [0.0], [0.0]
    base = seconds("msa")
    row = {spec: base / seconds(spec) for spec in solvers}
    timed = make_arrays(problem, Limits(60.0))
    assert timed is not None  # nothing is pinned or resident here
    return row | {
        "all in host": base / host[0],
        "bound": base / max(bound[0], fluid_bound(problem, timed, BOUND_LIMIT_S)),
    }


if __name__ == "__main__":
    main()
