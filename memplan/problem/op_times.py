"""What each op asks for on a timed target, and the two ends between which every latency lies."""

from __future__ import annotations

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


class Work(NamedTuple):
    """What an op asks for: seconds of computing, and bytes by storage."""

    compute_s: float
    operands: dict[str, int]


def op_work(graph: Graph, target: Target, options: Options) -> list[Work]:
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
        found.append(Work(seconds, op_bytes(graph, op, options)))
    return found


def compute_rate(graph: Graph, target: Target, op: Op) -> float:
    """Operations a second of a timed target for the dtype of the op's first operand."""
    operand = next(iter((*op.inputs, *op.outputs)), None)
    return target.compute.rate(graph.tensor[operand].dtype if operand else None) or 1.0


def latency_ends(graph: Graph, target: Target, options: Options) -> tuple[float | None, float]:
    """Seconds with everything in the backing memory, and with everything in the fastest memory that its op can use.

    The first is None where ops in general, or some op, cannot use the backing memory; the second is a lower bound. What is
    pinned to the backing memory, or is the caller's, is there in both. Both are 0 on an untimed target.
    """
    if not target.timed:
        return 0.0, 0.0
    backing, bandwidth = target.host.name, {m.name: m.bandwidth or 1.0 for m in target.memories}
    reached: dict[tuple[str, str, bool], tuple[str, ...]] = {}
    everywhere, slowest, fastest = target.direct, 0.0, 0.0
    for op, (compute_s, operands) in zip(graph.ops, op_work(graph, target, options), strict=True):
        slow_s = fast_s = 0.0
        written = set(op.outputs)
        for s, nbytes in operands.items():
            key = op.kind, role_of(graph, s), s in written
            if key not in reached:
                reached[key] = (target.writable if key[2] else target.readable)(*key[:2])
            fixed = options.pins.get(s) == "host" or (
                options.io == "external" and key[1] in ("inputs", "outputs")
            )
            everywhere = everywhere and (fixed or backing in reached[key])
            slow_s += nbytes / bandwidth[backing]
            fast_s += nbytes / bandwidth[backing if fixed else reached[key][0]]
        idle = options.join and op.joins  # it may be joined, and then takes its overhead alone
        slowest += max(compute_s, slow_s) + target.compute.overhead_s
        fastest += (0.0 if idle else max(compute_s, fast_s)) + target.compute.overhead_s
    return slowest if everywhere else None, fastest


def role_of(graph: Graph, storage: str) -> str:
    """What a storage is to the ops that touch it, as targets call it."""
    kind = graph.tensor[storage].kind
    return "outputs" if kind == "activation" and storage in graph.output_storages else f"{kind}s"


def op_costs(graph: Graph, target: Target) -> list[float]:
    """What executing each op once costs, in program order: seconds of computing on a timed target, else flops.

    Unknown flops count as 0.
    """
    if not target.timed:
        return [float(op.flops or 0) for op in graph.ops]
    return [(op.flops or 0) / compute_rate(graph, target, op) for op in graph.ops]
