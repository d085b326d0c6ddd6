"""When ops and copies run: the plan played on its timed target."""

from __future__ import annotations

import math
from collections import Counter, deque
from typing import NamedTuple

from memplan.base.errors import InvalidPlanError
from memplan.ir.graph import Graph
from memplan.problem.op_times import Work, op_work
from memplan.problem.plan import Plan


class Timeline(NamedTuple):
    """When things happen, in seconds: `ops[t]` is the (start, end) of step t's op, `moves[i]` of move i."""

    ops: tuple[tuple[float, float], ...]
    moves: tuple[tuple[float, float], ...]
    latency_s: float


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
        two = plan.target.queues == 2
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
