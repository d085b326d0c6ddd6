"""Latency solvers side by side on a TPU-like and a U65-like machine with a scratchpad that holds a share of the net.

Share = of the peak of the activations plus the weights; weights are tensors, order is the program's, batch 1. int8 graphs
count two bytes a value on the TPU. A column is the speed-up over `msa`; the last one what the fluid bound allows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import exp, log

from memplan_solvers.latency.fluid import fluid_bound
from memplan_solvers.latency.timed import flatten
from memplan_solvers.residency import Walk

from memplan.api import load, make_problem
from memplan.api import plan as plan_once
from memplan.graph import Graph
from memplan.problem import Problem
from memplan.solver import Budget

MODELS = ("densenet121", "inception_v3", "nasnet_a_mobile", "randwire_ws_small", "resnext50_32x4d")
SOLVERS = ("msa_tuned", "brkga", "anneal")
MACHINES = ("tpu-v4i", "ethos-u65")


def main() -> None:
    """Print a Markdown table and the geometric means."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("models", nargs="*", default=MODELS)
    p.add_argument("--solvers", nargs="+", default=SOLVERS)
    p.add_argument("--shares", type=float, nargs="+", default=[0.1, 0.25])
    p.add_argument("--time-limit", type=float, default=10.0)
    p.add_argument("--seed", type=int, default=0)
    args = p.parse_args()
    columns = [*args.solvers, "all in host", "bound"]
    print(f"| model | machine | share | {' | '.join(columns)} |\n| --- | --- | --- |{' ---: |' * len(columns)}")
    gains: dict[str, list[float]] = {name: [] for name in columns}
    for name in args.models:
        for machine, share, problem in cases(name, args.shares):
            row = speedups(problem, args.solvers, args.time_limit, args.seed)
            cells = " | ".join(f"{row[c]:.3f}" for c in columns)
            print(f"| {name} | {machine} | {share:g} | {cells} |", flush=True)
            for c in columns:
                gains[c].append(row[c])
    means = " | ".join(f"{exp(sum(map(log, gains[c])) / len(gains[c])):.3f}" for c in columns)
    print(f"| geometric mean | | | {means} |")


def cases(name: str, shares: list[float]) -> Iterator[tuple[str, float, Problem]]:
    """(machine, share, problem) of the grid for one model; 5 % too for searched and randomly wired nets."""
    if any(word in name for word in ("nas", "darts", "amoeba", "randwire")):
        shares = [0.05, *shares]
    graph = load(name).graph
    for machine in MACHINES:
        scaled = graph
        if machine == "tpu-v4i":
            wide = (replace(t, nbytes=t.nbytes * (2 if t.dtype in ("int8", "uint8") else 1)) for t in graph.tensors)
            scaled = Graph(graph.name, tuple(wide), graph.ops)
        whole, _ = make_problem(scaled, machine, objective="latency", weights="tensor", order="program")
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
        plan = plan_once(problem.graph, problem.target, objective="latency", weights="tensor", order="program",
                         solver=spec, time_limit_s=limit, workers=1, seed=seed)  # fmt: skip
        host[0] = plan.metrics.latency_all_host_s
        return plan.metrics.latency_s

    host = [0.0]
    base = seconds("msa")
    row = {spec: base / seconds(spec) for spec in solvers}
    timed = flatten(problem, Budget(60.0))
    assert timed is not None  # nothing is pinned or resident here
    return row | {"all in host": base / host[0], "bound": base / fluid_bound(problem, timed, 60.0)}


if __name__ == "__main__":
    main()
