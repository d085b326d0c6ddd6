"""What a plan costs: traffic, peak and latency, from the graph, target, options and plan alone.

One evaluator for every solver. Linear in ops + residencies + moves (moves are sorted once).
Cost model of the timed part after XLA's memory space assignment simulator.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from itertools import accumulate
from typing import NamedTuple

from memplan.base.errors import InvalidPlanError, TargetError
from memplan.ir.graph import Graph, Op
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Plan, Residency


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
        if plan.target.operands != "any":
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


def live_bytes(plan: Plan) -> list[int]:
    """Resident bytes per step; an in-place pair counts once in the step it shares."""
    change = [0] * (len(plan.schedule) + 1)
    first: dict[str, Residency] = {}
    for r in plan.residencies:
        change[r.start] += r.size
        change[r.stop] -= r.size
        if r.tensor not in first or r.start < first[r.tensor].start:
            first[r.tensor] = r
    for written in plan.inplace:
        start, size = first[written].start, first[written].size
        change[start] -= size
        change[start + 1] += size
    return list(accumulate(change[:-1]))


class Timeline(NamedTuple):
    """When things happen, in seconds: `ops[t]` is the (start, end) of step t's op, `moves[i]` of move i."""

    ops: tuple[tuple[float, float], ...]
    moves: tuple[tuple[float, float], ...]
    latency_s: float


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


def timeline(graph: Graph, plan: Plan, work: list[Work] | None = None) -> Timeline:
    """Play the plan on its (timed) target: ops in order, copies in the FIFO queues beside them.

    `work`: `op_work` of the plan's graph, target and options, if it is known.
    """
    target = plan.target
    by_name = dict(
        zip((op.name for op in graph.ops), work or op_work(graph, target, plan.options), strict=True)
    )
    pad, host, overhead = (
        target.scratchpad.bandwidth or 1.0,
        target.host.bandwidth or 1.0,
        target.compute.overhead_s,
    )
    queues = _Queues(graph, plan)
    starting: dict[int, list[str]] = {}
    stopping: dict[int, list[str]] = {}
    for r in plan.residencies:
        starting.setdefault(r.start, []).append(r.tensor)
        stopping.setdefault(r.stop, []).append(r.tensor)
    resident: dict[str, int] = {}
    now, times = 0.0, []
    for t, name in enumerate(plan.schedule):
        for tensor in starting.get(t, ()):
            resident[tensor] = resident.get(tensor, 0) + 1
        for tensor in stopping.get(t, ()):
            resident[tensor] -= 1
        compute_s, operands = by_name[name]
        fast = slow = 0
        for tensor, nbytes in operands.items():
            if resident.get(tensor, 0) > 0:
                fast += nbytes
            else:
                slow += nbytes
        host_s = slow / host
        duration = max(compute_s, fast / pad + host_s) + overhead
        start = queues.wait_for_due(t, now)
        now = start + duration
        queues.advance(start, now, 1 - host_s / duration if duration else 1.0)
        times.append((start, now))
    queues.open(len(plan.schedule))
    last_store = queues.drain(now)
    return Timeline(tuple(times), tuple(queues.times), max(now, last_store))


class _Queues:
    """The DMA queues: one FIFO of moves, or one of loads and one of stores, sharing B_host.

    A move enters the order by issue step, stores after loads, then position in the plan. Head
    moves of different queues share the bandwidth equally.
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.bandwidth = plan.target.host.bandwidth or 1.0
        stepped = plan.options.objective != "latency"
        self.times: list[tuple[float, float]] = [(0.0, 0.0)] * len(plan.moves)
        self.left = [graph.tensor[m.tensor].nbytes / self.bandwidth for m in plan.moves]
        self.stores = [m.kind == "store" for m in plan.moves]
        # A move's copy may start once op `issue - 1` (load) or op `issue` (store) has ended.
        self.opens = [m.issue + store for m, store in zip(plan.moves, self.stores, strict=True)]
        order = sorted(range(len(plan.moves)), key=lambda i: (plan.moves[i].issue, self.stores[i], i))
        two = plan.target.dma_queues == 2
        lanes = [[i for i in order if not self.stores[i]], [i for i in order if self.stores[i]]]
        self.lanes = [deque(lane) for lane in (lanes if two else [order])]
        # A step-model store is done a step later than it is due.
        self.due = [m.due + (stepped and store) for m, store in zip(plan.moves, self.stores, strict=True)]
        self.awaited = Counter(self.due)
        self.done = [False] * len(plan.moves)
        self.started: dict[int, float] = {}
        self.step = 0

    def open(self, step: int) -> None:
        """Let moves start that may once op `step - 1` has ended."""
        self.step = step

    def heads(self) -> list[int]:
        return [lane[0] for lane in self.lanes if lane and self.opens[lane[0]] <= self.step]

    def wait_for_due(self, t: int, now: float) -> float:
        """The time at which every move due at step t is done, the processor waiting from `now`."""
        self.open(t)
        while self.awaited[t]:
            heads = self.heads()
            if not heads:
                raise InvalidPlanError(f"a move due at step {t} can never start", "run `check` first")
            now = self._copy(heads, now, math.inf, 1.0)
        return now

    def advance(self, now: float, until: float, share: float) -> None:
        """Copy from `now` to `until` with `share` of the host bandwidth."""
        while now < until and share > 0 and (heads := self.heads()):
            now = self._copy(heads, now, until, share)

    def drain(self, now: float) -> float:
        """Finish every copy after the last op; the end of the last store."""
        while heads := self.heads():
            now = self._copy(heads, now, math.inf, 1.0)
        return max((end for (_, end), s in zip(self.times, self.stores, strict=True) if s), default=0.0)

    def _copy(self, heads: list[int], now: float, until: float, share: float) -> float:
        """Copy the heads until the first is done or `until`; returns the time reached."""
        rate = share / len(heads)
        least = min(self.left[i] for i in heads)
        finishes = now + least / rate <= until
        end = now + least / rate if finishes else until
        for i in heads:
            self.started.setdefault(i, now)
            if finishes and self.left[i] == least:
                self.done[i] = True
                self.awaited[self.due[i]] -= 1
                self.times[i] = (self.started[i], end)
            else:
                self.left[i] = max(0.0, self.left[i] - (end - now) * rate)
        for lane in self.lanes:
            if lane and self.done[lane[0]]:
                lane.popleft()
        return end


NAMED = 8
"""How many ops of each kind a note names."""


def cost_notes(graph: Graph, plan: Plan) -> tuple[str, ...]:
    """What a latency leaves out: a sentence for each kind of op whose flops are unknown, with their number and names."""
    unknown: dict[str, list[str]] = {}
    for op in graph.ops if plan.options.objective == "latency" else ():
        if op.flops is None and not op.view:
            unknown.setdefault(op.kind, []).append(op.name)
    return tuple(
        f"{len(names)} {kind} of unknown flops, timed by bytes alone: "
        + ", ".join(names[:NAMED])
        + (", …" if names[NAMED:] else "")
        for kind, names in unknown.items()
    )
