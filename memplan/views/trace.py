"""A plan as a Chrome trace, which chrome://tracing and Perfetto open: lanes of ops and copies, counters.

On a timed target the times are the simulator's. Elsewhere one step lasts one microsecond, and the
moves of a step share it in the order of the plan.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from memplan.ir.graph import Graph
from memplan.judge.live import live_bytes
from memplan.judge.simulate import spill_moves
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan

COMPUTE, LOADS, STORES = 1, 2, 3
LANES = {COMPUTE: "compute", LOADS: "DMA loads", STORES: "DMA stores"}

Span = tuple[float, float]


def trace_text(graph: Graph, plan: Plan) -> str:
    """The trace as JSON, an event a line; times in microseconds. Same plan, same text."""
    events = list(_events(graph, plan))
    head = {"displayTimeUnit": "ns", "otherData": _about(plan)}
    encode = json.JSONEncoder(separators=(",", ":")).encode
    rows = ",\n".join(map(encode, events))
    return f'{encode(head)[:-1]},"traceEvents":[\n{rows}\n]}}\n'


def _about(plan: Plan) -> dict[str, str]:
    timed = plan.target.timed
    return {
        "graph": plan.graph,
        "target": plan.target.name,
        "solver": plan.solver,
        "status": str(plan.status),
        "objective": plan.options.objective,
        "value": str(plan.value),
        "bound": str(plan.bound),
        "time": "simulated" if timed else "one step is one microsecond",
    }


def _events(graph: Graph, plan: Plan) -> Iterator[dict[str, Any]]:
    yield _named("process_name", 0, f"{plan.graph} on {plan.target.name}")
    for lane, name in LANES.items():
        yield _named("thread_name", lane, name)
        yield {"ph": "M", "pid": 1, "tid": lane, "name": "thread_sort_index", "args": {"sort_index": lane}}
    ops, moves = _times(graph, plan)
    yield from _compute(graph, plan, ops)
    yield from _copies(graph, plan, moves)
    yield from _counters(plan, ops)


def _named(what: str, lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": 1, "tid": lane, "name": what, "args": {"name": name}}


def _times(graph: Graph, plan: Plan) -> tuple[list[Span], list[Span]]:
    """Microseconds of each step's op and of each move."""
    if plan.target.timed:
        played = timeline(graph, plan)
        ops = [(_us(a), _us(b)) for a, b in played.ops]
        return ops, [(_us(a), _us(b)) for a, b in played.moves]
    sharing: dict[
        tuple[bool, int], list[int]
    ] = {}  # a move takes no time: a load is drawn in its step, a store in the one before
    for i, m in enumerate(plan.moves):
        load = plan.is_load(m)
        sharing.setdefault((load, m.issue - (not load)), []).append(i)
    moves = [(0.0, 0.0)] * len(plan.moves)
    for (_, step), members in sharing.items():
        for k, i in enumerate(members):
            moves[i] = (step + round(k / len(members), 6), step + round((k + 1) / len(members), 6))
    return [(float(t), float(t + 1)) for t in range(len(plan.schedule))], moves


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 6)


def _slice(lane: int, name: str, kind: str, span: Span, args: dict[str, Any]) -> dict[str, Any]:
    start, end = span
    return {
        "ph": "X",
        "pid": 1,
        "tid": lane,
        "name": name,
        "cat": kind,
        "ts": start,
        "dur": round(end - start, 6),
        "args": args,
    }


def _compute(graph: Graph, plan: Plan, ops: list[Span]) -> Iterator[dict[str, Any]]:
    """The ops, and the waits between them."""
    by_name = {op.name: op for op in graph.ops}
    now = 0.0
    for t, (name, span) in enumerate(zip(plan.schedule, ops, strict=True)):
        if span[0] > now:
            yield _slice(COMPUTE, "wait for DMA", "stall", (now, span[0]), {"before": name, "step": t})
        op = by_name[name]
        yield _slice(
            COMPUTE,
            name,
            op.kind,
            span,
            {
                "step": t,
                "kind": op.kind,
                "flops": op.flops,
                "reads": list(op.inputs),
                "writes": list(op.outputs),
            },
        )
        now = span[1]


def _copies(graph: Graph, plan: Plan, moves: list[Span]) -> Iterator[dict[str, Any]]:
    """The moves, with an arrow from each storage's store to its next loads."""
    stored: dict[str, float] = {}
    flow = 0
    together = zip(plan.moves, moves, spill_moves(graph, plan), strict=True)
    for m, span, spilled in sorted(together, key=lambda x: (x[1], x[0])):
        lane, verb = (LOADS, "load") if plan.is_load(m) else (STORES, "store")
        kind = "spill" if spilled else "compulsory"
        yield _slice(
            lane,
            f"{verb} {m.tensor}",
            kind,
            span,
            {
                "tensor": m.tensor,
                "bytes": graph.tensor[m.tensor].nbytes,
                "issue": m.issue,
                "due": m.due,
                "traffic": kind,
            },
        )
        middle = round((span[0] + span[1]) / 2, 6)
        if lane == STORES:
            stored[m.tensor] = middle
        elif m.tensor in stored:
            flow += 1
            arrow = {"pid": 1, "name": m.tensor, "cat": "spill", "id": flow}
            yield {"ph": "s", "tid": STORES, "ts": stored[m.tensor]} | arrow
            yield {"ph": "f", "bp": "e", "tid": LOADS, "ts": middle} | arrow


def _counters(plan: Plan, ops: list[Span]) -> Iterator[dict[str, Any]]:
    """Resident bytes, from the end of the op before on, and the capacity."""
    capacity = plan.target.scratchpad.capacity
    now = 0.0
    for live, (_, end) in zip(live_bytes(plan), ops, strict=True):
        yield _counter(now, live, capacity)
        now = end
    if plan.schedule:
        yield _counter(now, 0, capacity)


def _counter(ts: float, live: int, capacity: int | None) -> dict[str, Any]:
    args = {"resident": live} if capacity is None else {"resident": live, "free": capacity - live}
    return {"ph": "C", "pid": 1, "name": "scratchpad bytes", "ts": ts, "args": args}
