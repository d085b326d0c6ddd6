"""When ops and copies run: the plan played on its timed target."""

from __future__ import annotations

import math
from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from typing import NamedTuple

from memplan.base.errors import InvalidPlanError
from memplan.ir.graph import Graph
from memplan.judge.copies import Copies
from memplan.judge.cost import accesses
from memplan.judge.plan_view import PlanView
from memplan.problem.op_times import op_costs
from memplan.problem.plan import Plan


class Timeline(NamedTuple):
    """When things happen, in seconds: `ops[t]` is the (start, end) of step t's op, `moves[i]` of move i."""

    ops: tuple[tuple[float, float], ...]
    moves: tuple[tuple[float, float], ...]
    latency_s: float


def timeline(graph: Graph, plan: Plan, copies: Copies | None = None) -> Timeline:
    """Play the plan on its (timed) target: ops in order, copies in the FIFO queues beside them.

    Args:
        graph, plan: a valid plan and its graph.
        copies: those of the plan, if they are known.
    """
    copies = copies or Copies(PlanView(graph, plan))
    view, queues = copies.view, _Queues(copies)
    target = plan.target
    bandwidth = {m.name: m.bandwidth or 1.0 for m in target.memories}
    shared = {target.host.name, *target.home.values()}
    touched: list[dict[str, int]] = [{} for _ in range(view.n)]  # by step, bytes by memory
    for s, steps, memories in accesses(copies):
        for t, memory in zip(steps, memories, strict=True):
            name = target.host.name if memory is None else memory  # the caller's lies behind the same bus
            touched[t][name] = touched[t].get(name, 0) + view.nbytes[s]
    costs = dict(zip([op.name for op in graph.ops], op_costs(graph, target), strict=True))
    now, times = 0.0, []
    for t, op in enumerate(view.ops):
        idle = op.view or op.name in view.joined
        compute_s = 0.0 if idle else costs[op.name]
        busy = {name: nbytes / bandwidth[name] for name, nbytes in touched[t].items()}
        duration = max(compute_s, sum(busy.values())) + target.compute.overhead_s
        start = queues.wait_for_due(t, now)
        now = start + duration
        left = {
            name: max(0.0, 1 - seconds / duration)
            for name, seconds in busy.items()
            if name in shared and duration
        }
        queues.advance(start, now, left)
        times.append((start, now))
    queues.open(view.n)
    end = queues.drain(now)
    return Timeline(tuple(times), tuple(queues.times), max(now, end))


class _Queues:
    """The FIFO queues of moves, whose heads share the memories and channels that they use."""

    def __init__(self, copies: Copies) -> None:
        view = copies.view
        moves, target = view.plan.moves, view.target
        self.times: list[tuple[float, float]] = [(0.0, 0.0)] * len(moves)
        self.left = [float(view.graph.tensor[m.tensor].nbytes) for m in moves]
        self.opens = [m.issue for m in moves]
        self.due = [m.due for m in moves]
        self.rate = {m.name: m.bandwidth or 1.0 for m in target.memories}
        self.uses: list[tuple[str, ...]] = []
        self.overhead: list[float] = []
        for m in moves:
            channel = target.channel(m.source, m.destination)
            name = f"{m.source} > {m.destination}"
            limited = channel is not None and channel.bandwidth is not None
            if channel is not None and channel.bandwidth is not None:
                self.rate[name] = channel.bandwidth
            self.uses.append((m.source, m.destination, name) if limited else (m.source, m.destination))
            self.overhead.append(0.0 if channel is None else channel.overhead_s)
        lanes: dict[int, deque[int]] = defaultdict(deque)
        for i, m in enumerate(moves):
            lanes[m.queue].append(i)
        self.lanes = [lanes[queue] for queue in sorted(lanes)]
        self.after: dict[int, list[int]] = defaultdict(list)  # what must be done before a move starts
        for i, source in enumerate(copies.sources):
            if source is not None and source.makers[0] >= 0:
                self.after[i].append(source.makers[0])
        for i, j in copies.races:
            self.after[i].append(j)
        self.awaited = Counter(self.due)
        self.done = [False] * len(moves)
        self.started: dict[int, float] = {}
        self.step = 0

    def open(self, step: int) -> None:
        """Let moves start that may once op `step - 1` has ended."""
        self.step = step

    def heads(self) -> list[int]:
        """The moves that can be copied now: the first of each queue, if it is open and what it waits for is done."""
        found = []
        for lane in self.lanes:
            if lane and self.opens[lane[0]] <= self.step:
                if all([self.done[j] for j in self.after.get(lane[0], ())]):
                    found.append(lane[0])
        return found

    def wait_for_due(self, t: int, now: float) -> float:
        """The time at which every move due at step t is done, the processor waiting from `now`."""
        self.open(t)
        while self.awaited[t]:
            heads = self.heads()
            if not heads:
                raise InvalidPlanError(f"a move due at step {t} can never start", "run `check` first")
            now = self._copy(heads, now, math.inf, {})
        return now

    def advance(self, now: float, until: float, left: Mapping[str, float]) -> None:
        """Copy from `now` to `until` with the shares of some memories that an op leaves, and all of the others."""
        while now < until and (heads := self.heads()):
            now = self._copy(heads, now, until, left)

    def drain(self, now: float) -> float:
        """Finish every copy after the last op; the end of the last copy."""
        while heads := self.heads():
            now = self._copy(heads, now, math.inf, {})
        return max((end for _, end in self.times), default=0.0)

    def _copy(self, heads: list[int], now: float, until: float, left: Mapping[str, float]) -> float:
        """Copy the heads until the first is done, or its overhead is, or `until`; returns the time reached."""
        users: dict[str, int] = {}
        for i in heads:
            for name in () if self.overhead[i] > 0 else self.uses[i]:
                users[name] = users.get(name, 0) + 1
        share = {name: self.rate[name] * left.get(name, 1.0) / count for name, count in users.items()}
        rates = {
            i: 0.0 if self.overhead[i] > 0 else min([share[name] for name in self.uses[i]]) for i in heads
        }
        needs = {i: self._seconds(i, rates[i]) for i in heads}
        least = min(needs.values())
        finishes = now + least <= until
        end = now + least if finishes else until
        for i in heads:
            self.started.setdefault(i, now)
            if self.overhead[i] > 0:
                self.overhead[i] = 0.0 if finishes and needs[i] == least else self.overhead[i] - (end - now)
            elif finishes and needs[i] == least:
                self.done[i] = True
                self.awaited[self.due[i]] -= 1
                self.times[i] = (self.started[i], end)
            else:
                self.left[i] = max(0.0, self.left[i] - (end - now) * rates[i])
        for lane in self.lanes:
            if lane and self.done[lane[0]]:
                lane.popleft()
        return end

    def _seconds(self, i: int, rate: float) -> float:
        """How long the move needs at this rate to be done, or to be through with its overhead."""
        if self.overhead[i] > 0:
            return self.overhead[i]
        if not self.left[i]:
            return 0.0
        return self.left[i] / rate if rate > 0 else math.inf
