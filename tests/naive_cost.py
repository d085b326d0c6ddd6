"""A second simulator, in exact fractions and one event at a time, on what the second checker finds out of a plan."""

from __future__ import annotations

from fractions import Fraction

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan
from tests.naive_check import _Naive


class NaiveCost(_Naive):
    """The costs of a valid plan."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        super().__init__(graph, plan)
        self.judge()
        self.bytes_cost = {}
        for m in self.target.memories:
            slow = m.name in self.target.home.values() or (m.name == self.backing and self.has_backing())
            self.bytes_cost[m.name] = Fraction(int(slow) if m.byte_cost is None else m.byte_cost)

    def has_backing(self) -> bool:
        return len(self.target.memories) > 1 and not self.target.memories[-1].readonly

    def touched(self, t: int) -> list[tuple[str, str | None]]:
        """Storage and memory of what the execution reads and writes; None for what is the caller's."""
        op, found = self.ops[t], []
        if op.view or op.name in self.p.joined:
            return []
        for s in sorted({self.root[x] for x in op.inputs}):
            if self.ours(s):
                found.append((s, next(m for m in self.reach(op, s) if self.has(s, m, t))))
            elif self.kind[s] != "constant":
                found.append((s, None))
        for s in op.outputs:
            if not self.ours(s):
                found.append((s, None))
                continue
            spot = self.spot(s, t)
            found.append((s, spot[0] if spot else self.backing))
        return found

    def has(self, s: str, m: str, t: int) -> bool:
        return any(start <= t and ready <= t < stop for ready, stop, _, _, start in self.copies(s, m))

    def accessed(self) -> Fraction:
        total = Fraction(0)
        for x in self.p.moves:
            total += self.nbytes[x.tensor] * (self.bytes_cost[x.source] + self.bytes_cost[x.destination])
        needed = set()
        for t in range(self.n):
            for s, m in self.touched(t):
                total += 0 if m is None else self.nbytes[s] * self.bytes_cost[m]
                read = s not in self.ops[t].outputs
                if m is not None and (self.given(s) if read else s in self.is_out):
                    needed.add(s)
        for name in self.p.joined:  # it writes its output, though it copies nothing
            whole = next(op for op in self.g.ops if op.name == name).results[0]
            needed |= {whole} if whole in self.is_out and self.ours(whole) else set()
        return total - sum(self.nbytes[s] * self.bytes_cost[self.home(s)] for s in needed)

    def peaks(self) -> dict[str, int]:
        return {
            m: max((r.offset + r.size for r in self.p.residencies if r.memory == m), default=0)
            for m in self.memories
        }

    def live_peak(self, memory: str) -> int:
        """The most bytes of a memory that anything holds in one step."""
        most = 0
        for t in range(self.n):
            held: set[int] = set()
            for s in self.storages:
                at = self.place[s, memory][t]
                if at is not None:
                    held |= set(range(at, at + self.room(s, memory)))
            most = max(most, len(held))
        return most

    def extra_cost(self) -> float:
        return sum(self.cost(op) * (self.count[op.name] - 1) for op in self.g.ops)

    def latency(self) -> Fraction:
        bandwidth = {m.name: Fraction(m.bandwidth) for m in self.target.memories}
        shared = {self.backing, *self.target.home.values()}
        left = [Fraction(self.nbytes[x.tensor]) for x in self.p.moves]
        wait = [Fraction(0)] * len(left)
        for i, x in enumerate(self.p.moves):
            for c in self.target.channels:
                if (c.source, c.destination) == (x.source, x.destination):
                    wait[i] = Fraction(c.overhead_s)
        done: set[int] = set()
        now = last = Fraction(0)
        for t in range(self.n + 1):
            while t < self.n and any(x.due <= t and i not in done for i, x in enumerate(self.p.moves)):
                now = self.run(left, wait, done, t, now, None, bandwidth)
            if t == self.n:
                break
            busy: dict[str, Fraction] = {}
            for s, m in self.touched(t):
                name = m or self.backing
                busy[name] = busy.get(name, Fraction(0)) + self.nbytes[s] / bandwidth[name]
            op = self.ops[t]
            idle = op.view or op.name in self.p.joined
            first = (*op.inputs, *op.outputs)[:1]
            rate = Fraction(self.target.compute.rate(self.g.tensor[first[0]].dtype)) if first else Fraction(1)
            duration = max(Fraction(0 if idle else op.flops or 0) / rate, sum(busy.values(), Fraction(0)))
            duration += Fraction(self.target.compute.overhead_s)
            free = dict(bandwidth)
            for m in shared & busy.keys():
                free[m] *= max(Fraction(0), 1 - busy[m] / duration) if duration else 1
            end, at = now + duration, now
            while at < end:
                at = self.run(left, wait, done, t, at, end, free)
            now = end
        last = now
        while len(done) < len(left):
            last = self.run(left, wait, done, self.n, last, None, bandwidth)
        return last

    def run(self, left, wait, done, t, now, until, free) -> Fraction:  # type: ignore[no-untyped-def]
        """Copy until the first thing happens or `until`; the time then."""
        heads = []
        for queue in range(self.target.queues):
            lane = [i for i, x in enumerate(self.p.moves) if x.queue == queue and i not in done]
            if lane and self.p.moves[lane[0]].issue <= t and self.waits_for(lane[0]) <= done:
                heads.append(lane[0])
        if not heads:
            assert until is not None, "a move can never start"
            return until
        active = [i for i in heads if not wait[i]]
        rate = {i: min(self.shares(i, active, free)) for i in active}
        times = {
            i: wait[i] if wait[i] else (left[i] / rate[i] if left[i] and rate[i] else None) for i in heads
        }
        times = {i: Fraction(0) if not wait[i] and not left[i] else x for i, x in times.items()}
        soonest = min((x for x in times.values() if x is not None), default=None)
        if soonest is None or (until is not None and now + soonest > until):
            assert until is not None
            step = until - now
        else:
            step = soonest
        for i in heads:
            if wait[i]:
                wait[i] -= step
            elif times[i] == step:
                done.add(i)
            else:
                left[i] -= step * rate[i]
        return now + step

    def shares(self, i, active, free):  # type: ignore[no-untyped-def]
        x = self.p.moves[i]
        for m in (x.source, x.destination):
            users = [j for j in active if m in (self.p.moves[j].source, self.p.moves[j].destination)]
            yield free[m] / len(users)
        pair = (x.source, x.destination)
        users = [j for j in active if (self.p.moves[j].source, self.p.moves[j].destination) == pair]
        for c in self.target.channels:
            if (c.source, c.destination) == pair and c.bandwidth is not None:
                yield Fraction(c.bandwidth) / len(users)

    def waits_for(self, i: int) -> set[int]:
        """The moves listed before that made its source, or read the bytes that it fills."""
        found = {how for _, _, _, how, _ in [self.read_by(i)] if isinstance(how, int)}
        x = self.p.moves[i]
        if x.destination in self.memories:
            filled = self.runs_at(x.tensor, x.destination, x.issue)
            size = self.room(x.tensor, x.destination)
            for j, y in enumerate(self.p.moves[:i]):
                if y.source == x.destination:
                    _, stop, _, _, start = self.read_by(j)
                    at = self.place[y.tensor, y.source][start]
                    other = self.room(y.tensor, y.source)
                    apart = at is None or at + other <= filled.offset or filled.offset + size <= at
                    if stop == x.issue and not apart and size and other:
                        found.add(j)
        return found

    def read_by(self, i: int) -> tuple[int, float, float, int | str, int]:
        x = self.p.moves[i]
        return max(
            (
                c
                for c in self.copies(x.tensor, x.source)
                if c[4] <= x.issue
                and c[0] <= x.issue
                and x.due <= c[2]
                and not (isinstance(c[3], int) and c[3] > i and c[0] == x.issue)
            ),
            key=lambda c: c[4],
        )
