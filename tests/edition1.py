"""Edition 1 of plans: its file format as it was written, and what such a plan cost, for tests of what is read today."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any, NamedTuple

from memplan.ir.graph import Graph, digest_1
from memplan.machine.target import Target
from memplan.machine.target_file import target_dict
from memplan.problem.plan import Plan


class Move1(NamedTuple):
    """A load or a store of edition 1, issued and due at steps."""

    kind: str
    tensor: str
    issue: int
    due: int


def target_1(target: Target) -> dict[str, Any]:
    """A scratchpad machine as plans of version 1 recorded it, where its memories have no names."""
    pad, host = target.scratchpad, target.host
    given = {"capacity": pad.capacity, "alignment": pad.alignment, "bandwidth": pad.bandwidth}
    return {
        "name": target.name,
        "scratchpad": {key: value for key, value in given.items() if value is not None},
        "host": {} if host.bandwidth is None else {"bandwidth": host.bandwidth},
        "operands": "any" if target.direct else "scratchpad",
        "dma": {"queues": target.queues},
        "compute": target_dict(target)["compute"],
    }


def moves_1(plan: Plan) -> list[Move1]:
    """The moves of a plan between two memories as edition 1 had them; a store took no time in the step model."""
    timed = plan.options.objective == "latency"
    return [
        Move1("load", m.tensor, m.issue, m.due)
        if plan.is_load(m)
        else Move1("store", m.tensor, m.issue - 1, m.due if timed else m.due - 1)
        for m in plan.moves
    ]


def plan_1(graph: Graph, plan: Plan, rng: random.Random) -> dict[str, Any]:
    """The plan as version 1 of plan JSON, its moves in any order, with what edition 1 said that it costs."""
    moves = moves_1(plan)
    rng.shuffle(moves)
    compulsory, spilled, loaded = [0, 0], [0, 0], set[str]()
    for m in sorted(moves, key=lambda m: m.issue):
        nbytes = graph.tensor[m.tensor].nbytes
        if m.kind == "load":
            first = graph.tensor[m.tensor].kind in ("input", "constant") and m.tensor not in loaded
            loaded.add(m.tensor)
        else:
            first = m.tensor in graph.output_storages
        (compulsory if first else spilled)[m.kind == "store"] += nbytes
    peak = max((r.offset + r.size for r in plan.residencies), default=0)
    latency = float(_Fluid(graph, plan, moves).latency()) if plan.target.timed else 0.0
    metrics = {
        "spill_store": spilled[1],
        "spill_load": spilled[0],
        "compulsory_load": compulsory[0],
        "compulsory_store": compulsory[1],
        "live_peak": plan.metrics.live_peak,
        "peak": peak,
        "latency_s": latency,
        "latency_all_host_s": plan.metrics.latency_all_host_s,
        "latency_unlimited_s": plan.metrics.latency_unlimited_s,
    }
    value = {"traffic": sum(spilled), "peak": peak, "latency": latency}[plan.options.objective]
    return {
        "format": "memplan-plan",
        "version": 1,
        "graph": plan.graph,
        "graph_sha256": digest_1(graph),
        "target": target_1(plan.target),
        "options": plan.options.to_dict(),
        "solver": plan.solver,
        "seed": plan.seed,
        "workers": plan.workers,
        "status": "feasible",
        "value": value,
        "bound": value / 2 if value else -1,
        "seconds": 0.25,
        "total_seconds": 0.5,
        "schedule": list(plan.schedule),
        "residencies": [
            {"tensor": r.tensor, "start": r.start, "stop": r.stop, "offset": r.offset, "size": r.size}
            for r in plan.residencies
        ],
        "moves": [m._asdict() for m in moves],
        "aliases": dict(plan.aliases),
        "inplace": {pair.output: pair.operand for pair in plan.inplace},
        "metrics": metrics,
    }


def races(graph: Graph, plan: Plan) -> bool:
    """Whether a load fills bytes from the boundary on at which a store of them is due: edition 1 let two queues race."""
    stops = {(r.tensor, r.stop): r for r in plan.residencies}
    starts = {(r.tensor, r.start): r for r in plan.residencies}
    stored = [stops.get((m.tensor, m.due)) for m in plan.moves if not plan.is_load(m)]
    filled = [starts.get((m.tensor, m.issue)) for m in plan.moves if plan.is_load(m)]
    return any(
        a and b and a.stop == b.start and a.offset < b.offset + b.size and b.offset < a.offset + a.size
        for a in stored
        for b in filled
    )


class _Fluid:
    """The timed model of edition 1, in exact fractions, one event at a time."""

    def __init__(self, graph: Graph, plan: Plan, moves: list[Move1]) -> None:
        self.g, self.p, self.moves = graph, plan, moves
        self.bandwidth = Fraction(plan.target.host.bandwidth)

    def latency(self) -> Fraction:
        plan, graph = self.p, self.g
        pad = Fraction(plan.target.scratchpad.bandwidth)
        left = [Fraction(graph.tensor[m.tensor].nbytes) for m in self.moves]
        step_model = plan.options.objective != "latency"
        due = [m.due + (step_model and m.kind == "store") for m in self.moves]
        queue = sorted(
            range(len(left)), key=lambda i: (self.moves[i].issue, self.moves[i].kind == "store", i)
        )
        now, last_store = Fraction(0), Fraction(0)
        steps = len(plan.schedule)
        by_name = {op.name: op for op in graph.ops}
        for t in range(steps + 1):
            wait = [i for i in queue if due[i] <= t] if t < steps else list(queue)
            while any(i in queue for i in wait):
                now, done = self._run(queue, left, t, now, None, Fraction(1))
                last_store = now if any(self.moves[i].kind == "store" for i in done) else last_store
            if t == steps:
                break
            op = by_name[plan.schedule[t]]
            fast = slow = 0
            names = set() if op.view else {graph.storage_of[x] for x in (*op.inputs, *op.outputs)}
            for name in names:
                if plan.options.weights == "ignore" and graph.tensor[name].kind == "constant":
                    continue
                inside = any(r.tensor == name and r.start <= t < r.stop for r in plan.residencies)
                fast += graph.tensor[name].nbytes * inside
                slow += graph.tensor[name].nbytes * (not inside)
            first = next(iter((*op.inputs, *op.outputs)))
            rate = Fraction(plan.target.compute.rate(graph.tensor[first].dtype))
            host_s = slow / self.bandwidth
            duration = max((op.flops or 0) / rate, fast / pad + host_s) + Fraction(
                plan.target.compute.overhead_s
            )
            end = now + duration
            share = 1 - host_s / duration if duration else Fraction(1)
            at = now
            while at < end:
                moved, done = self._run(queue, left, t, at, end, share)
                last_store = moved if any(self.moves[i].kind == "store" for i in done) else last_store
                at = moved
            now = end
        return max(now, last_store)

    def _run(self, queue, left, t, now, until, share):
        """Copy until the first head is done or `until`: (time reached, moves done)."""
        lanes = [queue]
        if self.p.target.queues == 2:
            lanes = [[i for i in queue if self.moves[i].kind == kind] for kind in ("load", "store")]
        heads = []
        for lane in lanes:
            if lane:
                move = self.moves[lane[0]]
                if move.issue <= t if move.kind == "load" else move.issue < t:
                    heads.append(lane[0])
        if not heads or share <= 0:
            return until, []
        rate = self.bandwidth * share / len(heads)
        least = min(left[i] for i in heads)
        end = now + least / rate
        if until is not None and end > until:
            for i in heads:
                left[i] -= (until - now) * rate
            return until, []
        done = [i for i in heads if left[i] == least]
        for i in heads:
            left[i] -= least
        for i in done:
            queue.remove(i)
        return end, done
