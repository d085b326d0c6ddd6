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
    for op in graph.ops:
        operand = next(iter((*op.inputs, *op.outputs)), None)
        rate = target.compute.rate(graph.tensor[operand].dtype if operand else None)
        if not (rate and target.scratchpad.bandwidth and target.host.bandwidth):
            raise TargetError(
                f"target '{target.name}' has no timing", "choose a timed target, see `memplan targets`"
            )
        found.append(Work((op.flops or 0) / rate, op_bytes(graph, op, options)))
    return found


def latency_ends(
    graph: Graph, target: Target, options: Options, work: list[Work] | None = None
) -> tuple[float, float]:
    """Seconds with everything in host, and with everything in the scratchpad already (a lower bound).

    What is pinned to host is there in both. `work`: `op_work` of the same, if it is known.
    """
    if not target.timed:
        return 0.0, 0.0
    all_host = unlimited = 0.0
    overhead, pins = target.compute.overhead_s, options.pins
    pad, host = target.scratchpad.bandwidth or 1.0, target.host.bandwidth or 1.0
    for compute_s, operands in work or op_work(graph, target, options):
        nbytes = sum(operands.values())
        slow = sum(operands[name] for name in operands if pins.get(name) == "host") if pins else 0
        all_host += max(compute_s, nbytes / host) + overhead
        unlimited += max(compute_s, (nbytes - slow) / pad + slow / host) + overhead
    return all_host, unlimited
