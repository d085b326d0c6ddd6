"""A plan as a Chrome trace, which chrome://tracing and Perfetto open: lanes of ops and copies, counters.

On a timed target the times are the simulator's. Elsewhere one step lasts one microsecond, and the
moves of a step share it in the order of the plan.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from memplan.ir.graph import Graph
from memplan.judge.copies import Copies
from memplan.judge.live import live_bytes
from memplan.judge.plan_view import PlanView
from memplan.judge.simulate import spill_moves
from memplan.judge.timeline import timeline
from memplan.machine.parts import Memory
from memplan.problem.plan import Plan

COMPUTE = 1
"""The lane of the ops; the queues of the plan follow, in the order of their numbers."""

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


def queue_lanes(plan: Plan) -> dict[int, int]:
    """The lane of each queue that the plan uses."""
    return {queue: COMPUTE + 1 + k for k, queue in enumerate(sorted({m.queue for m in plan.moves}))}


def _events(graph: Graph, plan: Plan) -> Iterator[dict[str, Any]]:
    yield _named("process_name", 0, f"{plan.graph} on {plan.target.name}")
    queues = queue_lanes(plan)
    lanes = {COMPUTE: "compute"}
    lanes |= {
        lane: f"copies, queue {queue}" if len(queues) > 1 else "copies" for queue, lane in queues.items()
    }
    for lane, name in lanes.items():
        yield _named("thread_name", lane, name)
        yield {"ph": "M", "pid": 1, "tid": lane, "name": "thread_sort_index", "args": {"sort_index": lane}}
    copies = Copies(PlanView(graph, plan))
    ops, moves = _times(copies)
    yield from _compute(copies.view, ops)
    yield from _copies(copies, moves, queues)
    yield from _counters(plan, ops)


def _named(what: str, lane: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "pid": 1, "tid": lane, "name": what, "args": {"name": name}}


def _times(copies: Copies) -> tuple[list[Span], list[Span]]:
    """Microseconds of each step's op and of each move."""
    graph, plan = copies.view.graph, copies.view.plan
    if plan.target.timed:
        played = timeline(graph, plan, copies)
        ops = [(_us(a), _us(b)) for a, b in played.ops]
        return ops, [(_us(a), _us(b)) for a, b in played.moves]
    # A move takes no time. A load is drawn in its step, and so is what copies on at once; a store in the step before.
    sharing: dict[tuple[int, int], list[int]] = {}
    for i, m in enumerate(plan.moves):
        maker = _maker(copies, i)
        late = plan.is_load(m) or (maker is not None and plan.moves[maker].issue == m.issue)
        step = max(0, m.issue - (not late))
        sharing.setdefault((m.queue, step), []).append(i)
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


def _compute(view: PlanView, ops: list[Span]) -> Iterator[dict[str, Any]]:
    """The ops, and the waits between them."""
    pairs: dict[int, dict[str, str]] = {}
    for pair in view.plan.inplace:
        pairs.setdefault(pair.step, {})[pair.output] = pair.operand
    now, executed = 0.0, Counter[str]()
    for t, (op, span) in enumerate(zip(view.ops, ops, strict=True)):
        if span[0] > now:
            yield _slice(COMPUTE, "wait for DMA", "stall", (now, span[0]), {"before": op.name, "step": t})
        executed[op.name] += 1
        args = {
            "step": t,
            "kind": op.kind,
            "flops": op.flops,
            "reads": list(op.inputs),
            "writes": list(op.outputs),
        }
        if len(view.steps[op.name]) > 1:
            args |= {"execution": executed[op.name], "executions": len(view.steps[op.name])}
        if t in pairs:
            args["over"] = pairs[t]
        if op.name in view.joined:
            args["joined"] = True
        yield _slice(COMPUTE, op.name, op.kind, span, args)
        now = span[1]


def _copies(copies: Copies, moves: list[Span], queues: dict[int, int]) -> Iterator[dict[str, Any]]:
    """The moves, with an arrow to each from the move that made what it copies."""
    graph, plan = copies.view.graph, copies.view.plan
    spilled = spill_moves(graph, plan, copies.view)
    for i in sorted(range(len(moves)), key=lambda i: (moves[i], i)):
        m, kind = plan.moves[i], "spill" if spilled[i] else "compulsory"
        verb = "load" if plan.is_load(m) else "store"
        args = {
            "tensor": m.tensor,
            "bytes": graph.tensor[m.tensor].nbytes,
            "from": m.source,
            "to": m.destination,
            "issue": m.issue,
            "due": m.due,
            "traffic": kind,
        }
        yield _slice(queues[m.queue], f"{verb} {m.tensor}", kind, moves[i], args)
        maker = _maker(copies, i)
        if maker is not None:
            arrow = {"pid": 1, "name": m.tensor, "cat": "copy", "id": i}
            yield {"ph": "s", "tid": queues[plan.moves[maker].queue], "ts": _middle(moves[maker])} | arrow
            yield {"ph": "f", "bp": "e", "tid": queues[m.queue], "ts": _middle(moves[i])} | arrow


def _maker(copies: Copies, i: int) -> int | None:
    """The move that made what move `i` copies; None where none did."""
    source = copies.sources[i]
    return source.makers[0] if source is not None and source.makers[0] >= 0 else None


def _middle(span: Span) -> float:
    return round((span[0] + span[1]) / 2, 6)


def _counters(plan: Plan, ops: list[Span]) -> Iterator[dict[str, Any]]:
    """For each memory with addresses the resident bytes, from the end of the op before on, and what is free."""
    for memory in plan.target.addressed:
        now = 0.0
        for live, (_, end) in zip(live_bytes(plan, memory.name), ops, strict=True):
            yield _counter(now, live, memory)
            now = end
        if plan.schedule:
            yield _counter(now, 0, memory)


def _counter(ts: float, live: int, memory: Memory) -> dict[str, Any]:
    args = (
        {"resident": live} if memory.capacity is None else {"resident": live, "free": memory.capacity - live}
    )
    return {"ph": "C", "pid": 1, "name": f"{memory.name} bytes", "ts": ts, "args": args}
