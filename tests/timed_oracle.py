"""The least latency of tiny problems by brute force, straight from the model's definitions.

Written apart from every engine, as `tests/oracle.py` is: it knows nothing of bounds, of dominance or of constraint programs.
With `every` all is enumerated that a plan may say of a storage; without, what only takes space, time or the bus is left out:
loads due before they are used, stays that serve nothing, stores that nobody needs. Copies issued at one boundary are tried in every
order but that stores due there come first, which step and loads wait for as it is. With two queues a load does not wait for
what is stored from the bytes that it fills, so that the least of these is no more than the true one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from memplan.problem.op_times import compute_rate
from memplan.problem.plan import InPlace, Move, Residency
from memplan.problem.problem import Problem
from tests.oracle import Oracle, Thing

Span = tuple[int, int, int]
"""(start, stop, due): a residency, and when the load with which it begins is due, -1 where it begins with none."""

CopyRow = tuple[int, int, int, bool]
"""(issue, due, storage, whether it is a load)."""


@dataclass(frozen=True)
class Choice:
    """What a plan says of one storage: residencies, its store (issue, due), and the steps at which host serves it."""

    spans: tuple[Span, ...] = ()
    store: tuple[int, int] | None = None
    hosted: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Timed:
    """A plan's seconds and what it consists of."""

    seconds: float
    order: tuple[int, ...]
    residencies: tuple[Residency, ...]
    moves: tuple[Move, ...]
    inplace: tuple[InPlace, ...]


class TimedOracle:
    """One timed problem, seen through the definitions. every: nothing is left out; for at most three ops."""

    def __init__(self, problem: Problem, every: bool = False) -> None:
        self.problem, self.every = problem, every
        self.plain = Oracle(problem)
        self.things, self.target, self.options = self.plain.things, problem.target, problem.options
        self.n = len(problem.graph.ops)
        graph, number = problem.graph, {s.name: k for k, s in enumerate(self.things)}
        self.host = self.target.host.bandwidth or 1.0
        self.pad = self.target.scratchpad.bandwidth or 1.0
        self.compute, self.outside, self.pairs = [], [], []
        for op in graph.ops:
            names = {graph.storage_of[x] for x in (*op.inputs, *op.outputs)} if not op.view else set()
            ignored = {x for x in names if graph.tensor[x].kind == "constant"}
            ignored = ignored if self.options.weights == "ignore" else set()
            fast = 0.0 if op.view else (op.flops or 0) / compute_rate(graph, self.target, op)
            self.compute.append(fast)
            self.outside.append(
                sum(graph.tensor[x].nbytes for x in names - ignored - set(number)) / self.host
            )
            over = ((b, graph.storage_of[a]) for b, a in op.overwrites)
            asked = ((b, a) for b, a in over if self.options.inplace or a in self.options.donate)
            self.pairs.append([(number[b], number[a]) for b, a in asked if {a, b} <= set(number)])

    def least(self, below: float = math.inf) -> Timed | None:
        """The fastest plan that takes less than `below` seconds."""
        best = None
        for order in self.plain.orders():
            found = self._least(order, below)
            if found is not None:
                best, below = found, found.seconds
        return best

    # What a plan may say of a storage

    def choices(self, s: Thing, order: tuple[int, ...]) -> list[Choice]:
        """Everything that rules 1 to 6 allow of one storage alone."""
        steps = [t for t, i in enumerate(order) if i in s.touches]
        if s.from_start or s.to_end:
            written = 0 if s.from_start else steps[0]
            return [Choice(((written, self.n if s.to_end else steps[-1] + 1, -1),))]
        found = list(self._given(s, steps) if s.writer < 0 else self._written(s, steps))
        return [c for c in dict.fromkeys(found) if self._allowed(s, c, steps)]

    def _given(self, s: Thing, steps: list[int]) -> Iterator[Choice]:
        for spans in self._loaded(s, steps, 0):
            yield Choice(spans, None, self._hosted(steps, spans))

    def _written(self, s: Thing, steps: list[int]) -> Iterator[Choice]:
        """Written to host; or to the scratchpad, and perhaps stored; then loaded, as often as may be."""
        w = steps[0]
        if self.target.direct:
            for spans in self._loaded(s, steps, w + 1):
                yield Choice(spans, None, self._hosted(steps, spans))
        for stop in range(w + 1, self.n + 1):
            born = (w, stop, -1)
            yield Choice((born,), None, self._hosted(steps, (born,)))
            for due in range(w + 1, stop + 1):
                for issue in range(w + 1, due + 1):
                    for spans in self._loaded(s, steps, stop):
                        yield Choice((born, *spans), (issue, due), self._hosted(steps, (born, *spans)))

    def _loaded(self, s: Thing, steps: list[int], earliest: int) -> Iterator[tuple[Span, ...]]:
        """Every succession of loaded residencies from a boundary on."""
        yield ()
        for start, stop in itertools.combinations(range(earliest, self.n + 1), 2):
            for due in range(start, stop):
                if not self.every and not {due, stop - 1} <= set(steps):
                    continue
                if s.streamed and [t for t in steps if start <= t < stop] != [stop - 1]:
                    continue
                for more in self._loaded(s, steps, stop):
                    yield ((start, stop, due), *more)

    def _hosted(self, steps: list[int], spans: tuple[Span, ...]) -> frozenset[int]:
        return frozenset(t for t in steps if not any(max(a, due) <= t < b for a, b, due in spans))

    def _allowed(self, s: Thing, c: Choice, steps: list[int]) -> bool:
        """Whether host has what it serves, and the options are kept to."""
        born = s.writer >= 0 and bool(c.spans) and c.spans[0][0] == steps[0]
        if c.hosted and not self.target.direct:
            return False
        if born and (c.hosted or s.output or len(c.spans) > 1) and c.store is None:
            return False
        if born and any(c.store is None or t < c.store[1] for t in c.hosted):
            return False
        if s.keep:
            whole = len(c.spans) == 1 and c.spans[0][0] <= steps[0] and steps[-1] < c.spans[0][1]
            workspace = self.problem.graph.tensor[s.name].kind == "workspace"
            if not whole or (workspace and (c.spans[0][1] != steps[0] + 1 or c.store)):
                return False
        if self.every or not born:
            return True
        stop, last = c.spans[0][1], max(t for t in steps if t < c.spans[0][1]) + 1
        needed = c.hosted or s.output or len(c.spans) > 1
        return stop == max(last, c.store[1] if c.store else 0) and bool(needed) == (c.store is not None)

    # What they make together

    def _least(self, order: tuple[int, ...], below: float) -> Timed | None:
        """The fastest plan in this order, storage by storage; nothing slower than what is known is followed."""
        found: Timed | None = None
        ways = [self.choices(s, order) for s in self.things]
        turn = sorted(range(len(ways)), key=lambda k: -self.things[k].nbytes)
        seconds = [[s.nbytes / self.pad, s.nbytes / self.host] for s in self.things]
        bus = [self.outside[i] for i in order]
        near = [
            sum(seconds[k][0] for k, s in enumerate(self.things) if i in s.touches) for i in order
        ]  # as if all that is undecided were there
        overhead = self.target.compute.overhead_s
        chosen: dict[int, Choice] = {}
        taken = [0] * self.n
        slack = [sum(self.things[b].size for b, _ in self.pairs[i]) for i in order]
        most = self.plain.capacity

        def decide(depth: int) -> None:
            nonlocal below, found
            times = [max(self.compute[i], bus[t] + near[t]) + overhead for t, i in enumerate(order)]
            if sum(times) >= below:
                return
            if depth == len(turn):
                for moves in self._queued(chosen):
                    ended = self._play(times, bus, moves)
                    if ended < below and (placed := self._placed(order, chosen)) is not None:
                        below = ended
                        found = self._answer(ended, order, chosen, moves, *placed)
                return
            k = turn[depth]
            s, (fast, slow) = self.things[k], seconds[turn[depth]]
            for choice in ways[k]:
                for t in choice.hosted:
                    bus[t] += slow
                    near[t] -= fast
                for a, b, _ in choice.spans:
                    for t in range(a, b):
                        taken[t] += s.size
                if most is None or all(x - y <= most for x, y in zip(taken, slack, strict=True)):
                    chosen[k] = choice
                    decide(depth + 1)
                    del chosen[k]
                for a, b, _ in choice.spans:
                    for t in range(a, b):
                        taken[t] -= s.size
                for t in choice.hosted:
                    bus[t] -= slow
                    near[t] += fast

        decide(0)
        return found

    def _queued(self, chosen: dict[int, Choice]) -> Iterator[list[CopyRow]]:
        """Every list of copies."""
        groups: dict[tuple[int, bool], list[CopyRow]] = {}
        for k, c in chosen.items():
            for start, _, due in c.spans:
                if due >= 0:
                    groups.setdefault((start, True), []).append((start, due, k, True))
            if c.store is not None:
                issue, due = c.store
                among_loads = issue < due and self.target.queues == 1
                groups.setdefault((issue, among_loads), []).append((issue, due, k, False))
        parts = [itertools.permutations(groups[key]) for key in sorted(groups)]
        for way in itertools.product(*parts):
            yield [copy for group in way for copy in group]

    def _play(self, busy: list[float], bus: list[float], moves: list[CopyRow]) -> float:
        """Seconds of these ops and copies: each queue's first open copy shares what the bus has left."""
        lanes = [[m for m in moves if self._queue(m) == q] for q in range(self.target.queues)]
        left = {m: self.things[m[2]].nbytes / self.host for m in moves}
        now = 0.0
        for t in range(self.n + 1):
            end, share = math.inf, 1.0
            while t == self.n or any(m[1] <= t for m in left):
                if not left:
                    break
                now = self._copy(lanes, left, t, now, end, share)
            if t == self.n:
                break
            end = now + busy[t]
            share = max(0.0, 1 - bus[t] / busy[t]) if busy[t] else 0.0
            while now < end and any(lane and lane[0][0] <= t for lane in lanes):
                now = self._copy(lanes, left, t, now, end, share)
            now = end
        return now

    def _queue(self, move: CopyRow) -> int:
        return 0 if self.target.queues == 1 or move[3] else 1

    def _copy(
        self,
        lanes: list[list[CopyRow]],
        left: dict[CopyRow, float],
        t: int,
        now: float,
        end: float,
        share: float,
    ) -> float:
        """Copy until the first of the heads is done, or until `end`; the time reached."""
        stored = {k for _, _, k, is_load in left if not is_load}
        heads = [lane[0] for lane in lanes if lane and lane[0][0] <= t]
        heads = [m for m in heads if not (m[3] and m[2] in stored)]
        rate = share / len(heads)
        first = min(heads, key=lambda m: left[m])
        step = left[first] / rate if rate else (math.inf if left[first] else 0.0)
        if now + step > end:
            for m in heads:
                left[m] -= (end - now) * rate
            return end
        for m in heads:
            left[m] -= step * rate
        del left[first]
        lanes[self._queue(first)].remove(first)
        return now + step

    def _placed(
        self, order: tuple[int, ...], chosen: dict[int, Choice]
    ) -> tuple[dict[tuple[int, int], int], list[tuple[int, int, int]]] | None:
        """Offsets by storage and start, and in-place pairs (step, output, operand), under which all has a place; or None."""
        able = []
        for t, i in enumerate(order):
            for b, a in self.pairs[i]:
                begins = any(start == t and due < 0 for start, _, due in chosen[b].spans)
                if begins and self._overwritable(a, t, chosen[a]):
                    able.append((t, b, a))
        for count in range(len(able) + 1):
            for pairs in itertools.combinations(able, count):
                ends = [(t, x) for t, *both in pairs for x in both]
                if len(set(ends)) < len(ends):
                    continue
                offsets = self._packed(chosen, pairs)
                if offsets is not None:
                    return offsets, list(pairs)
        return None

    def _overwritable(self, a: int, t: int, choice: Choice) -> bool:
        s = self.things[a]
        span = next((x for x in choice.spans if x[0] <= t < x[1]), None)
        if span is None or span[1] != t + 1 or span[2] > t or span[0] == t and s.writer >= 0 and span[2] < 0:
            return False
        if span[2] < 0 and choice.store is not None and choice.store[1] > t:
            return False
        if s.to_end:
            return False
        return not s.from_start or s.name in self.options.donate

    def _packed(
        self, chosen: dict[int, Choice], pairs: tuple[tuple[int, int, int], ...]
    ) -> dict[tuple[int, int], int] | None:
        """Offsets by storage and start: pairs share theirs. Every multiple of the alignment is tried."""
        parent = {(t, b): next((a, x[0]) for x in chosen[a].spans if x[1] == t + 1) for t, b, a in pairs}
        rows = [(k, a, b) for k, c in chosen.items() for a, b, _ in c.spans]
        root = {(k, a): (k, a) for k, a, _ in rows}
        for (t, b), over in sorted(parent.items()):
            root[b, t] = root[over]
        meet = {(b, a, t) for t, b, a in pairs}
        capacity, unit = self.plain.capacity, self.plain.alignment
        sizes = [s.size for s in self.things]
        top = capacity if capacity is not None else sum(sizes[k] for k, _, _ in rows) + 64
        at: dict[tuple[int, int], int] = {}

        def clash(one: tuple[int, int, int], two: tuple[int, int, int]) -> bool:
            (k, a, b), (j, c, d) = one, two
            if b <= c or d <= a or ((k, j, a) in meet and d == a + 1) or ((j, k, c) in meet and b == c + 1):
                return False
            low, high = at[root[k, a]], at[root[j, c]]
            return low < high + sizes[j] and high < low + sizes[k]

        groups = list(dict.fromkeys(root.values()))
        groups.sort(key=lambda g: (self.things[g[0]].place < 0, -sizes[g[0]]))

        def place(depth: int) -> bool:
            if depth == len(groups):
                return True
            g = groups[depth]
            mine = [r for r in rows if root[r[0], r[1]] == g]
            others = [r for r in rows if root[r[0], r[1]] in at]
            pinned = {self.things[k].place for k, _, _ in mine} - {-1}
            for offset in range(0, top - sizes[g[0]] + 1, unit):
                if pinned <= {offset}:
                    at[g] = offset
                    if not any(clash(x, y) for x in mine for y in others) and place(depth + 1):
                        return True
                    del at[g]
            return False

        for _ in range(len(rows)):  # chains of pairs
            root.update({x: root[y] for x, y in root.items()})
        return {x: at[y] for x, y in root.items()} if place(0) else None

    def _answer(
        self,
        seconds: float,
        order: tuple[int, ...],
        chosen: dict[int, Choice],
        moves: list[CopyRow],
        offsets: dict[tuple[int, int], int],
        pairs: list[tuple[int, int, int]],
    ) -> Timed:
        fast, slow = self.target.scratchpad.name, self.target.host.name
        residencies = tuple(
            Residency(self.things[k].name, fast, a, b, offsets[k, a], self.things[k].size)
            for k, c in chosen.items()
            for a, b, _ in c.spans
        )
        listed = tuple(
            Move(self.things[k].name, slow, fast, issue, due, 0)
            if is_load
            else Move(self.things[k].name, fast, slow, issue, due, self.target.queues - 1)
            for issue, due, k, is_load in moves
        )
        inplace = tuple(InPlace(t, self.things[b].name, self.things[a].name) for t, b, a in pairs)
        return Timed(seconds, order, residencies, listed, inplace)
