"""What a plan costs: traffic, peak and latency, from the graph, target, options and plan alone.

One evaluator for every solver. Linear in ops + residencies + moves (moves are sorted once).
Cost model of the timed part after XLA's memory space assignment simulator.
"""

from __future__ import annotations

from memplan.ir.graph import Graph
from memplan.judge.live import live_bytes
from memplan.judge.timeline import timeline
from memplan.problem.op_times import latency_ends, op_work
from memplan.problem.plan import Metrics, Plan


def simulate(graph: Graph, plan: Plan) -> Metrics:
    """The metrics of a valid plan (see `check`); latencies are 0 on an untimed target."""
    spill_load, compulsory_load, spill_store, compulsory_store = _traffic(graph, plan)
    live_peak = max(live_bytes(plan), default=0)
    peak = max((r.offset + r.size for r in plan.residencies), default=0)
    latency = unlimited = 0.0
    all_host: float | None = 0.0
    if plan.target.timed:
        work = op_work(graph, plan.target, plan.options)
        latency = timeline(graph, plan, work).latency_s
        all_host, unlimited = latency_ends(graph, plan.target, plan.options, work)
        if not plan.target.direct:
            all_host = None
    return Metrics(
        spill_store=spill_store,
        spill_load=spill_load,
        compulsory_load=compulsory_load,
        compulsory_store=compulsory_store,
        live_peak=live_peak,
        peak=peak,
        latency_s=latency,
        latency_all_host_s=all_host,
        latency_unlimited_s=unlimited,
    )


def spill_moves(graph: Graph, plan: Plan) -> list[bool]:
    """Per move, whether it is spill traffic; the others are compulsory.

    Compulsory are the first load of an input or constant, and the store of an output.
    """
    outputs = graph.output_storages
    once: set[str] = set()
    spilled = []
    for move in plan.moves:
        if move.kind == "load":
            given = graph.tensor[move.tensor].kind in ("input", "constant")
            spilled.append(not given or move.tensor in once)
            once.add(move.tensor)
        else:
            spilled.append(move.tensor not in outputs)
    return spilled


def _traffic(graph: Graph, plan: Plan) -> tuple[int, int, int, int]:
    """Bytes of spill_load, compulsory_load, spill_store, compulsory_store."""
    loads, stores = [0, 0], [0, 0]
    for move, spilled in zip(plan.moves, spill_moves(graph, plan), strict=True):
        side = loads if move.kind == "load" else stores
        side[not spilled] += graph.tensor[move.tensor].nbytes
    return loads[0], loads[1], stores[0], stores[1]
