"""What a plan costs: traffic, peak, latency and recomputation, from the graph, target, options and plan alone.

One evaluator for every solver. Linear in ops + residencies + moves (moves are sorted once).
Cost model of the timed part after XLA's memory space assignment simulator.
"""

from __future__ import annotations

from memplan.base.garbage import collection_paused
from memplan.ir.graph import Graph
from memplan.judge.copies import Copies
from memplan.judge.cost import accessed, accessed_by_moves, accesses_cost, extra_cost
from memplan.judge.live import live_bytes
from memplan.judge.plan_view import PlanView
from memplan.judge.timeline import timeline
from memplan.problem.op_times import latency_ends
from memplan.problem.plan import Metrics, Plan


@collection_paused()
def simulate(graph: Graph, plan: Plan, copies: Copies | None = None) -> Metrics:
    """The metrics of a valid plan (see `check`); latencies are 0 on an untimed target.

    `copies`: those of the plan, if they are known.
    """
    copies = copies or Copies(PlanView(graph, plan))
    view = copies.view
    spill_load, compulsory_load, spill_store, compulsory_store = _traffic(view)
    peaks = plan.peaks
    latency = unlimited = 0.0
    all_host: float | None = 0.0
    if plan.target.timed:
        latency = timeline(graph, plan, copies).latency_s
        all_host, unlimited = latency_ends(graph, plan.target, plan.options)
    return Metrics(
        spill_store=spill_store,
        spill_load=spill_load,
        compulsory_load=compulsory_load,
        compulsory_store=compulsory_store,
        live_peak=max(live_bytes(plan), default=0),
        peak=peaks[plan.target.memories[0].name],
        latency_s=latency,
        latency_all_host_s=all_host,
        latency_unlimited_s=unlimited,
        accessed=accessed(copies),
        extra_cost=extra_cost(view),
        peaks=peaks,
    )


@collection_paused()
def plan_value(graph: Graph, plan: Plan) -> float:
    """The value of a valid plan: that of its `simulate`, at no more than the plan's own objective takes."""
    target, objective = plan.target, plan.options.objective
    if objective == "peak":
        return plan.peaks[target.memories[0].name]
    if objective == "latency":
        return timeline(graph, plan).latency_s
    view = PlanView(graph, plan)
    if objective == "compute":
        return extra_cost(view)
    return accessed(Copies(view)) if accesses_cost(target) else accessed_by_moves(view)


def spill_moves(graph: Graph, plan: Plan, view: PlanView | None = None) -> list[bool]:
    """Per move, whether it is spill traffic; the others are compulsory.

    Compulsory are the first move of an input or constant from its home, and of what else is an output to its home.
    `view`: that of the plan, if it is known.
    """
    view = view or PlanView(graph, plan)
    once: set[str] = set()
    spilled = []
    for move in plan.moves:
        s = move.tensor
        end = move.source if view.is_given(s) else move.destination
        needed = (view.is_given(s) or s in view.outputs) and end == view.home(s) and s not in once
        once |= {s} if needed else set()
        spilled.append(not needed)
    return spilled


def _traffic(view: PlanView) -> tuple[int, int, int, int]:
    """Bytes of spill_load, compulsory_load, spill_store, compulsory_store."""
    graph, plan = view.graph, view.plan
    loads, stores = [0, 0], [0, 0]
    for move, spilled in zip(plan.moves, spill_moves(graph, plan, view), strict=True):
        side = loads if plan.is_load(move) else stores
        side[not spilled] += graph.tensor[move.tensor].nbytes
    return loads[0], loads[1], stores[0], stores[1]
