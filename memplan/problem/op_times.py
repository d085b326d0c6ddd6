"""What each op asks for on a timed target, and the two ends between which every latency lies."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from memplan.base.errors import TargetError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.machine.target import Target
from memplan.problem.options import Options


def op_bytes(graph: Graph, op: Op, options: Options) -> dict[str, int]:
    """Bytes an op reads and writes, by storage, each once; a view moves none."""
    if op.view:
        return {}
    root, tensor = graph.storage_of, graph.tensor
    operands = {name: tensor[name].nbytes for name in [root[n] for n in (*op.inputs, *op.outputs)]}
    if options.weights == "ignore":
        return {name: nbytes for name, nbytes in operands.items() if tensor[name].kind != "constant"}
    return operands


class OpWork(NamedTuple):
    """What an op asks for: seconds of computing, and bytes by storage."""

    compute_s: float
    operands: dict[str, int]


def op_work(graph: Graph, target: Target, options: Options) -> list[OpWork]:
    """The work of each op, in program order; TargetError on an untimed target.

    flops over the rate for the dtype of the first operand, absent flops counting as 0.
    """
    found = []
    if not target.timed:
        raise TargetError(
            f"target '{target.name}' has no timing", "choose a timed target, see `memplan targets`"
        )
    for op in graph.ops:
        seconds = (op.flops or 0) / compute_rate(graph, target, op)
        found.append(OpWork(seconds, op_bytes(graph, op, options)))
    return found


def compute_rate(graph: Graph, target: Target, op: Op) -> float:
    """Operations a second of a timed target for the dtype of the op's first operand."""
    operand = next(iter((*op.inputs, *op.outputs)), None)
    return target.compute.rate(graph.tensor[operand].dtype if operand else None) or 1.0


def latency_ends(
    graph: Graph, target: Target, options: Options, crowding: Mapping[int, float] = MappingProxyType({})
) -> tuple[float | None, float]:
    """Seconds with everything in the backing memory, and with everything in the fastest memory that its op can use.

    The first is None where ops in general, or some op, cannot use the backing memory; the second is a lower
    bound. What is pinned to the backing memory, or is the caller's, is there in both. Both are 0 on an
    untimed target. `crowding` are seconds by op that its operands take beyond that under every plan.
    """
    if not target.timed:
        return 0.0, 0.0
    bandwidth = {m.name: m.bandwidth or 1.0 for m in target.memories}
    backing = bandwidth[target.host.name]
    role = roles(graph)
    fixed = {s for s, word in options.pins.items() if word == "host"}
    if options.io == "external":
        fixed |= {s for s, what in role.items() if what in ("inputs", "outputs")}
    reached: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    everywhere, slowest, fastest = target.direct, 0.0, 0.0
    for i, (op, (compute_s, operands)) in enumerate(
        zip(graph.ops, op_work(graph, target, options), strict=True)
    ):
        slow_s, fast_s = 0.0, crowding.get(i, 0.0)
        for s, nbytes in operands.items():
            slow_s += nbytes / backing
            if s in fixed:
                fast_s += nbytes / backing
                continue
            key = op.kind, role[s], s in op.outputs
            if key not in reached:
                reached[key] = (target.writable if key[2] else target.readable)(*key[:2])
            everywhere = everywhere and target.host.name in reached[key]
            fast_s += nbytes / bandwidth[reached[key][0]]
        idle = options.join and op.joins  # it may be joined, and then takes its overhead alone
        slowest += max(compute_s, slow_s) + target.compute.overhead_s
        fastest += (0.0 if idle else max(compute_s, fast_s)) + target.compute.overhead_s
    return slowest if everywhere else None, fastest


def roles(graph: Graph) -> dict[str, str]:
    """What each storage is to the ops that touch it, as targets call it."""
    root, outputs = graph.storage_of, graph.output_storages
    return {
        t.name: "outputs" if t.kind == "activation" and t.name in outputs else f"{t.kind}s"
        for t in graph.tensors
        if root[t.name] == t.name
    }


def op_costs(graph: Graph, target: Target) -> list[float]:
    """What executing each op once costs, in program order: seconds of computing on a timed target, else flops.

    Unknown flops count as 0.
    """
    if not target.timed:
        return [float(op.flops or 0) for op in graph.ops]
    return [(op.flops or 0) / compute_rate(graph, target, op) for op in graph.ops]
