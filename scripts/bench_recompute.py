"""Recomputation under a budget: what it costs, by bytes and with addresses, and what is proved, on generated graphs."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from marked import put_measured
from memplan_solvers.recompute.model import make_model
from memplan_solvers.recompute.recompute import Recompute

import memplan
from memplan.base.clock import Clock
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.evaluate import evaluate

RANDOM, LARGE, TRAINING = (0.9, 0.8, 0.7), (0.8,), (0.9, 0.8, 0.6)
"""Budgets of random graphs and of generated training steps, as shares of the program order's peak."""

ZOO = (
    "torch_tiny_gpt_train",
    "torch_resnet18_train",
    "mobilenet_v2_train",
    "resnet50_train",
    "vit_ti16_train",
)
BUDGETS = (0.8, 0.6, 0.4)
"""Training steps of the zoo, whose inputs and outputs are the caller's, and budgets of theirs and of files."""

MODES = (("program", 2), ("program", "any"), ("free", "any"))
"""Orders, and how often an op may be executed."""


class ProcessorClock(Clock):
    """Seconds for which this process has computed, so that it matters little what else the machine does.

    The integer programs' own limits are by the wall's clock all the same.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begun = time.process_time()

    @property
    def seconds(self) -> float:
        """What it shows."""
        return time.process_time() - self._begun


def layered(n: int, width_share: float, seed: int) -> Graph:
    """A layered DAG: edges between near layers, a few long skips, sizes and costs of all magnitudes."""
    rng = random.Random(seed)
    width = max(2, round(width_share * n**0.5 * 2))
    tensors = [Tensor(f"t{i}", int(10 ** rng.uniform(1.5, 3.7))) for i in range(n)]
    ops, read = list[Op](), set[int]()
    for i in range(n):
        near = range(max(0, i - 2 * width), i)
        inputs = set(rng.sample(near, min(len(near), rng.randint(1, 3))))
        if i > 4 * width and rng.random() < 0.08:
            inputs.add(rng.randrange(i - 2 * width))
        read |= inputs
        operands = tuple(f"t{k}" for k in sorted(inputs))
        ops.append(Op(f"o{i}", "Op", operands, (f"t{i}",), int(10 ** rng.uniform(1, 3.2)) if i else 0))
    outputs = tuple(f"t{i}" for i in range(n) if i not in read)
    return Graph(f"layered, seed {seed}", tuple(tensors), tuple(ops), outputs)


def training(name: str, stages: int, blocks: int, skips: bool) -> Graph:
    """The training step of a convolutional network, as Checkmate has them: each value once forward, its gradient backward.

    Args:
        name: what the graph is called.
        stages: the area is quartered and the channels doubled from one to the next.
        blocks: convolutions with normalisation and activation a stage.
        skips: whether each block adds what it was given to its result.
    """
    tensors, ops = list[Tensor](), list[Op]()

    def op(kind: str, inputs: list[str], nbytes: int, flops: int) -> str:
        tensors.append(Tensor(f"t{len(ops)}", nbytes))
        ops.append(Op(f"{kind}{len(ops)}", kind, tuple(dict.fromkeys(inputs)), (f"t{len(ops)}",), flops))
        return tensors[-1].name

    steps: list[tuple[str, list[str], str, int, int]] = []

    def forward(kind: str, inputs: list[str], nbytes: int, flops: int) -> str:
        result = op(kind, inputs, nbytes, flops)
        steps.append((kind, inputs, result, nbytes, flops))
        return result

    value = op("input", [], 3 * 224 * 224 * 4, 0)
    for stage in range(stages):
        nbytes, channels = 64 * 112 * 112 * 4 >> stage, 64 << stage
        for block in range(blocks):
            before = value
            y = forward("conv", [value], nbytes, nbytes * channels * 4)
            y = forward("norm", [y], nbytes, nbytes)
            value = forward("relu", [y], nbytes, nbytes // 4)
            if skips and block:
                value = forward("add", [before, value], nbytes, nbytes // 4)
    gradients: dict[str, str] = {value: op("loss", [value], tensors[-1].nbytes, tensors[-1].nbytes)}
    size = {t.name: t.nbytes for t in tensors}
    for kind, inputs, result, _, flops in reversed(steps):
        for x in inputs:
            reads = [gradients[result]] + ([] if kind == "add" else [x])
            mine = op("grad", reads, size[x], 2 * flops if kind == "conv" else flops)
            gradients[x] = op("sum", [gradients[x], mine], size[x], size[x] // 4) if x in gradients else mine
    read = {x for o in ops for x in o.inputs}
    return Graph(name, tuple(tensors), tuple(ops), tuple(t.name for t in tensors if t.name not in read))


def cases(paths: list[str]) -> Iterator[tuple[Graph, float, str, str | int, str]]:
    """Graph, budget, order, executions and io of each line: of the files, the generated graphs and the zoo's."""
    generated = [(memplan.load(path).graph, BUDGETS) for path in paths]
    generated += [(g, RANDOM) for g in (layered(100, 0.27, 1), layered(100, 0.27, 2), layered(250, 0.43, 1))]
    generated += [(g, LARGE) for g in (layered(500, 0.3, 1), layered(1000, 0.3, 1))]
    generated += [(training("plain training, 4 stages", 4, 3, False), TRAINING)]
    generated += [(training("residual training, 4 stages", 4, 4, True), TRAINING)]
    for graph, budgets in generated:
        yield from ((graph, share, *mode, "host") for share in budgets for mode in MODES)
    for name in ZOO:
        graph = memplan.load(name).graph
        yield from ((graph, share, "program", "any", "external") for share in BUDGETS)


def row(graph: Graph, share: float, order: str, recompute: str | int, io: str, limit: float) -> str:
    """One line of the table."""
    problem = memplan.make_problem(graph, objective="compute", order="program", recompute=recompute, io=io)
    peak = max(make_model(problem).live_bytes(range(problem.n)))
    problem = replace(
        problem,
        target=problem.target.with_scratchpad(int(share * peak)),
        options=replace(problem.options, order=order),
    )
    total = sum(op.flops or 0 for op in graph.ops)
    solver, limits = Recompute(), memplan.Limits(limit, workers=2, clock=ProcessorClock())
    plan = evaluate(problem.graph, solver.solve(problem, limits))
    value = "none" if plan.value is None else f"{100 * plan.value / total:.4g} %"
    words = f"| {graph.name} | {len(graph.ops)} | {order} | {recompute} | {share:g} | {value} | {100 * plan.bound / total:.4g} % |"
    return f"{words} {plan.status} | {limits.seconds:.1f} |"


def table(paths: list[str], limit: float) -> Iterator[str]:
    """The lines of the table."""
    yield "| graph | ops | order | executions | budget | overhead | bound | status | processor seconds |"
    yield "| --- | ---: | --- | --- | ---: | ---: | ---: | --- | ---: |"
    for case in cases(paths):
        line = row(*case, limit)
        print(line, file=sys.stderr, flush=True)
        yield line


def main() -> None:
    """Print the table, or write it into its page."""
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("paths", nargs="*", metavar="GRAPH", help="files of graphs that are measured first")
    p.add_argument("--limit", type=float, default=8.0, help="processor seconds a plan")
    p.add_argument("-o", "--output", type=Path, help="the page whose table is replaced")
    args = p.parse_args()
    lines = "\n".join(table(args.paths, args.limit)) + "\n"
    if args.output is None:
        print(lines, end="")
        return
    put_measured(args.output, "bench_recompute", lines)


if __name__ == "__main__":
    main()
