"""A second checker, written apart from the first: it scans steps and bytes, and looks at every pair of rows.

Accepts or rejects, nothing more. Quadratic and worse; for tiny plans.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.problem.plan import Plan


def naive_valid(graph: Graph, plan: Plan) -> bool:
    """Whether the plan obeys every rule (claims aside)."""
    try:
        _Naive(graph, plan).judge()
    except _Broken:
        return False
    return True


class _Broken(Exception):
    pass


def _must(condition: object) -> None:
    if not condition:
        raise _Broken


class _Run(NamedTuple):
    """A stretch of steps of a storage at one offset, and what begins it: a move's number, "home" or "written"."""

    start: int
    stop: int
    offset: int
    birth: int | str
    ready: int


class _Naive:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.g, self.p, self.o, self.target = graph, plan, plan.options, plan.target
        self.n = len(plan.schedule)
        self.timed = plan.options.objective == "latency"
        self.root = {t.name: t.name for t in graph.tensors}
        for op in graph.ops:
            if op.view:
                for x in op.outputs:
                    self.root[x] = self.root[op.inputs[0]]
        self.storages = sorted(set(self.root.values()))
        self.kind = {t.name: t.kind for t in graph.tensors}
        self.nbytes = {t.name: t.nbytes for t in graph.tensors}
        self.is_out = {self.root[name] for name in graph.outputs}
        self.backing = self.target.memories[-1].name
        self.memories = {
            m.name: m
            for m in self.target.memories
            if not m.readonly and (m.addresses or m.name != self.backing or len(self.target.memories) == 1)
        }

    def judge(self) -> None:
        self.schedule()
        self.joins()
        self.places()
        self.moves()
        self.births()
        self.executions()
        self.pairs()
        self.bytes()
        self.ends()
        self.kinds()
        self.queues()
        self.pins()

    # What is asked of single storages

    def ours(self, s: str) -> bool:
        """Whether the plan says where it lies."""
        ignored = self.kind[s] == "constant" and self.o.weights == "ignore"
        return not ignored and not (self.o.io == "external" and self.caller(s))

    def caller(self, s: str) -> bool:
        return self.kind[s] == "input" or (s in self.is_out and self.kind[s] == "activation")

    def given(self, s: str) -> bool:
        return self.kind[s] in ("input", "constant")

    def role(self, s: str) -> str:
        return "outputs" if self.kind[s] == "activation" and s in self.is_out else self.kind[s] + "s"

    def home(self, s: str) -> str:
        if self.o.io == "resident" and self.caller(s):
            return self.target.memories[0].name
        last = self.target.memories[-1]
        usual = (
            last.name if len(self.target.memories) > 1 and not last.readonly else self.target.memories[0].name
        )
        return self.target.home.get("constants", usual) if self.kind[s] == "constant" else usual

    def reach(self, op: Op, s: str) -> list[str]:
        said = self.target.operands
        names = said.get(
            op.kind, said.get(self.role(s), said.get("default", (self.target.memories[0].name,)))
        )
        return [m.name for m in self.target.memories if m.name in names]

    # The rules

    def schedule(self) -> None:
        ops = {op.name: op for op in self.g.ops}
        made, count = {x for x in self.kind if self.given(x)}, Counter[str]()
        for name in self.p.schedule:
            _must(name in ops)
            _must(set(ops[name].inputs) <= made and all(count[x] for x in ops[name].after))
            made |= set(ops[name].outputs)
            count[name] += 1
        for op in self.g.ops:
            most = 1 if op.once else (self.o.recompute or self.n)
            _must(1 <= count[op.name] <= most)
        _must(self.o.order == "free" or list(dict.fromkeys(self.p.schedule)) == list(ops))
        factor = self.o.compute_limit
        if factor is None and self.o.recompute != 1 and self.o.objective != "compute":
            factor = 1.2
        if factor is not None:
            cost = {op.name: self.cost(op) for op in self.g.ops}
            _must(sum(cost[x] * k for x, k in count.items()) <= factor * sum(cost.values()) * (1 + 1e-9))
        self.ops = [ops[name] for name in self.p.schedule]
        self.count = count

    def cost(self, op: Op) -> float:
        if not self.target.timed:
            return op.flops or 0
        first = (*op.inputs, *op.outputs)[:1]
        return (op.flops or 0) / (self.target.compute.rate(self.g.tensor[first[0]].dtype) if first else 1)

    def joins(self) -> None:
        ops = {op.name: op for op in self.g.ops}
        names = list(self.p.joined)
        _must(not names or self.o.join)
        _must(len(set(names)) == len(names) and all(x in ops and ops[x].joins for x in names))
        inside = [(x, ops[name].results[0], first) for name in names for x, first in ops[name].joins]
        self.inside = {x: (whole, first) for x, whole, first in inside}
        _must(len(self.inside) == len(inside) and all(self.count[name] == 1 for name in names))
        self.writes: dict[str, list[int]] = {s: [] for s in self.storages}
        for t, op in enumerate(self.ops):
            for x in () if op.view else op.outputs:
                self.writes[x].append(t)
        for x in self.inside:
            _must(self.kind[x] == "activation" and x not in self.is_out and len(self.writes[x]) == 1)
            _must(all(pair.operand != x for pair in self.p.inplace))
        self.begin: dict[str, dict[int, int]] = {}
        for s in self.storages:
            self.begin[s] = {} if s in self.inside else {t: t + 1 for t in self.writes[s]}
        leaves = [x for x in self.inside if x not in {whole for whole, _ in self.inside.values()}]
        self.leaves: dict[str, dict[str, int]] = {}
        for x in leaves:
            whole, first = self.where(x)
            self.leaves.setdefault(whole, {})[x] = first
        for whole, parts in self.leaves.items():
            self.begin[whole] = {min(self.writes[x][0] for x in parts): self.writes[whole][0] + 1}

    def where(self, x: str) -> tuple[str, int]:
        first = 0
        while x in self.inside:
            x, more = self.inside[x]
            first += more
        return x, first

    def places(self) -> None:
        _must(dict(self.p.aliases) == {a: b for a, b in self.root.items() if a != b})
        self.place: dict[tuple[str, str], list[int | None]] = {
            (s, m): [None] * self.n for s in self.storages for m in self.memories
        }
        for r in self.p.residencies:
            _must((r.tensor, r.memory) in self.place and self.ours(r.tensor) and r.tensor not in self.inside)
            m = self.memories[r.memory]
            _must(0 <= r.start < r.stop <= self.n)
            _must(r.offset >= 0 and r.offset % m.alignment == 0)
            _must(r.offset % (self.g.tensor[r.tensor].alignment or 1) == 0)
            _must(0 <= r.size - self.nbytes[r.tensor] < m.alignment and r.size % m.alignment == 0)
            _must(m.capacity is None or r.offset + r.size <= m.capacity)
            for t in range(r.start, r.stop):
                _must(self.place[r.tensor, r.memory][t] is None)
                self.place[r.tensor, r.memory][t] = r.offset

    def moves(self) -> None:
        names = [m.name for m in self.target.memories]
        for m in self.p.moves:
            _must(m.tensor in self.storages and self.ours(m.tensor) and m.tensor not in self.inside)
            _must(self.kind[m.tensor] != "workspace")
            _must(m.source in names and m.destination in names and m.source != m.destination)
            _must(not self.target.memory[m.destination].readonly and 0 <= m.queue < self.target.queues)
            if self.target.channels:
                pair = (m.source, m.destination, m.queue)
                _must(pair in [(c.source, c.destination, c.queue) for c in self.target.channels])
            _must(0 <= m.issue <= m.due <= self.n and (self.timed or m.issue == m.due))

    def births(self) -> None:
        """Runs in memories with addresses, each begun in one way; the first boundary of copies elsewhere."""
        self.runs: dict[tuple[str, str], list[_Run]] = {}
        self.born: dict[tuple[str, int], list[tuple[str, int]]] = {}
        used = set()
        for (s, m), place in self.place.items():
            into = {i: x for i, x in enumerate(self.p.moves) if (x.tensor, x.destination) == (s, m)}
            starts = {r.start for r in self.p.residencies if (r.tensor, r.memory) == (s, m)}
            cuts = starts & ({x.issue for x in into.values()} | set(self.begin[s]))
            self.runs[s, m], t = [], 0
            while t < self.n:
                stop = t + 1
                while stop < self.n and place[stop] == place[t] and stop not in cuts:
                    stop += 1
                offset = place[t]
                if offset is not None:
                    ways: list[tuple[int | str, int]] = [(i, x.due) for i, x in into.items() if x.issue == t]
                    ways += [("written", self.begin[s][t])] if t in self.begin[s] else []
                    ways += [("home", 0)] if t == 0 and self.given(s) and self.home(s) == m else []
                    _must(len(ways) == 1)
                    birth, ready = ways[0]
                    used.add(birth)
                    _must(not isinstance(birth, int) or ready < stop)
                    self.runs[s, m].append(_Run(t, stop, offset, birth, ready))
                    if birth == "written":
                        self.born.setdefault((s, t), []).append((m, offset))
                t = stop
        self.there: dict[tuple[str, str], list[tuple[int, int, int | str]]] = {}
        for s in self.storages:
            if self.given(s) and self.ours(s) and self.home(s) not in self.memories:
                self.there.setdefault((s, self.home(s)), []).append((0, 0, "home"))
            for t, ready in self.begin[s].items():
                if (s, t) not in self.born and self.backing not in self.memories:
                    self.there.setdefault((s, self.backing), []).append((t, ready, "written"))
        for i, x in enumerate(self.p.moves):
            if x.destination in self.memories:
                _must(i in used)
                continue
            before = self.there.setdefault((x.tensor, x.destination), [])
            for start, _, how in before:  # nothing is there already, or on its way
                _must(how != "home" and start >= x.issue and isinstance(how, str))
                _must(not x.issue <= start < x.due)
            before.append((x.issue, x.due, i))
        for x in self.p.moves:  # what reads the backing memory while a step writes there
            for start, _, how in self.there.get((x.tensor, x.source), []):
                _must(how != "written" or not x.issue <= start < x.due)

    def last(self, s: str, m: str) -> float:
        """The boundary at which a copy without address ends: where its buffer is renewed."""
        starts = [math.inf]
        for u, i in self.g.updates:
            if i == s and i in self.o.donate:
                starts += [start for start, _, _ in self.there.get((self.root[u], m), [])]
        return min(starts)

    def spot(self, x: str, t: int) -> tuple[str, int] | None:
        """Memory and offset to which step t writes storage x, if there are addresses."""
        whole, first = self.where(x)
        step = min(self.begin[whole]) if x in self.inside else t
        born = self.born.get((whole, step), [])
        return (born[0][0], born[0][1] + first) if len(born) == 1 else None

    def overwritten(self, s: str, m: str, run: _Run) -> bool:
        return any(
            a == s and step + 1 == run.stop and self.spot(b, step) == (m, run.offset)
            for step, b, a in self.p.inplace
            if b in self.writes
        )

    def copies(self, s: str, m: str) -> list[tuple[int, float, float, int | str, int]]:
        """Of the copies in a memory: ready, the end for executions, the end for all else, birth, start."""
        whole, _ = self.where(s)
        if m not in self.memories:
            rows = self.there.get((s, m), [])
            end = self.last(s, m)
            return [(ready, end, end, how, start) for start, ready, how in rows]
        found = []
        for run in self.runs[whole, m]:
            ready = run.ready
            if s in self.inside and run.birth == "written" and run.start in self.begin[whole]:
                ready = min(ready, self.writes[s][0] + 1)
            end = run.stop - self.overwritten(whole, m, run)
            found.append((ready, run.stop, end, run.birth, run.start))
        return found

    def executions(self) -> None:
        self.use: dict[str, list[int]] = {s: [] for s in self.storages}
        for t, op in enumerate(self.ops):
            if op.view or op.name in self.p.joined:
                continue
            for s in {self.root[x] for x in op.inputs}:
                if not self.ours(s):
                    continue
                self.use[s].append(t)
                _must(
                    any(
                        ready <= t < stop and start <= t
                        for m in self.reach(op, s)
                        for ready, stop, _, _, start in self.copies(s, m)
                    )
                )
            for s in op.outputs:
                if not self.ours(s):
                    continue
                reach = [m for m in self.reach(op, s) if not self.target.memory[m].readonly]
                if s in self.inside:
                    spot = self.spot(s, t)
                    _must(spot and spot[0] in reach)
                    continue
                born = self.born.get((s, t), [])
                _must(len(born) <= 1)
                _must((born[0][0] if born else self.backing) in reach)
                _must(born or self.backing not in self.memories)
        for i, x in enumerate(self.p.moves):
            _must(
                any(
                    start <= x.issue
                    and ready <= x.issue
                    and x.due <= end
                    and not (isinstance(how, int) and how > i and ready == x.issue)
                    for ready, _, end, how, start in self.copies(x.tensor, x.source)
                )
            )
        for whole in self.leaves:
            spot = self.spot(whole, min(self.begin[whole]))
            _must(spot)
            if spot is None:
                continue
            _must(self.runs_at(whole, spot[0], min(self.begin[whole])).stop > self.writes[whole][0])
        for x in self.inside:
            spot = self.spot(x, 0)
            _must(spot)
            if spot is not None:
                _must(spot[1] % self.memories[spot[0]].alignment == 0)
                _must(spot[1] % (self.g.tensor[x].alignment or 1) == 0)

    def runs_at(self, s: str, m: str, t: int) -> _Run:
        found = [run for run in self.runs[s, m] if run.start <= t < run.stop]
        _must(found)
        return found[0]

    def pairs(self) -> None:
        seen = [(step, x) for step, *names in self.p.inplace for x in names]
        _must(len(set(seen)) == len(seen))
        for t, b, a in self.p.inplace:
            _must(
                0 <= t < self.n and b in self.ops[t].outputs and not self.ops[t].view and a in self.storages
            )
            op = self.ops[t]
            _must(any(out == b and self.root[x] == a for out, x in op.overwrites))
            for x in op.inputs:
                if self.root[x] == a:  # it lies there as the output will, from the first byte to the last
                    _must(x == a or self.g.tensor[x].place == (a, 0))
                    _must(self.nbytes[x] == self.nbytes[a] == self.nbytes[b])
                    _must(self.steps_of(x) == self.steps_of(b))
            _must(self.o.inplace or a in self.o.donate)
            spot = self.spot(b, t)
            _must(spot)
            if spot is None:
                continue
            run = self.runs_at(a, spot[0], t)
            _must(run.stop == t + 1 and run.offset == spot[1] and run.ready <= t)
            if run.birth == "home":
                _must(self.kind[a] == "input" and a in self.o.donate)

    def steps_of(self, name: str) -> list[tuple[int, int]]:
        """Size and stride of each axis that is longer than 1."""
        t = self.g.tensor[name]
        shape = t.shape or ()
        dense = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        return [(n, s) for n, s in zip(shape, t.strides or dense, strict=True) if n > 1]

    def bytes(self) -> None:
        for name, m in self.memories.items():
            for t in range(self.n):
                owner: dict[int, str] = {}
                for s in self.storages:
                    at = self.place[s, name][t]
                    if at is None:
                        continue
                    for byte in range(at, at + -(-self.nbytes[s] // m.alignment) * m.alignment):
                        other = owner.setdefault(byte, s)
                        _must(other == s or self.share(name, t, byte, s, other))

    def share(self, m: str, t: int, byte: int, one: str, other: str) -> bool:
        """Whether an in-place pair lets both have the byte in step t."""
        for step, b, a in self.p.inplace:
            whole, first = self.where(b)
            if {one, other} != {whole, a}:
                continue
            spot = self.spot(b, step)
            if step == t and whole == b:
                return True
            begin = min(self.begin[whole], default=0)
            held = spot is not None and whole != b and spot[0] == m and begin <= t <= step
            if held and spot is not None and self.place[a, m][t] == spot[1]:
                run = self.runs_at(a, m, t)
                inside = (
                    spot[1]
                    <= byte
                    < spot[1] + -(-self.nbytes[b] // self.memories[m].alignment) * self.memories[m].alignment
                )
                if inside and run.stop == step + 1:
                    return True
        return False

    def ends(self) -> None:
        for s in self.is_out:
            if not self.ours(s):
                continue
            home = self.home(s)
            _must(home in self.memories or self.last(s, home) > self.n)
            if self.n or home not in self.memories:
                _must(any(ready <= self.n <= end for ready, _, end, _, _ in self.copies(s, home)))
            for u, i in self.g.updates:
                if self.root[u] == s and i in self.o.donate and home in self.memories:
                    first, last = self.runs[i, home][:1], self.runs[s, home][-1:]
                    if first and last and first[0].birth == "home":
                        _must(first[0].offset == last[0].offset)

    def kinds(self) -> None:
        for (s, _), runs in self.runs.items():
            for run in runs:
                if self.kind[s] == "constant" and self.o.weights == "stream" and run.birth != "home":
                    _must([t for t in self.use[s] if run.start <= t < run.stop] == [run.stop - 1])
                    _must(self.timed or run.stop == run.start + 1)
        for op in self.g.ops:
            if op.workspace is not None:
                spans = sorted((r.start, r.stop) for r in self.p.residencies if r.tensor == op.workspace)
                _must(spans == [(t, t + 1) for t, x in enumerate(self.p.schedule) if x == op.name])
        first = self.target.memories[0].name
        for s in self.storages:
            if not self.caller(s):
                continue
            if self.o.io == "host":
                _must(len(self.target.memories) > 1 and not self.target.memories[-1].readonly)
            if self.o.io != "resident":
                continue
            _must(all(x.tensor != s for x in self.p.moves))
            needed = bool(self.use[s] or self.begin[s] or (s in self.is_out and self.n))
            if needed:
                spans = [(run.start, run.stop) for run in self.runs[s, first]]
                starts = [0] if self.kind[s] == "input" else sorted(self.begin[s])
                _must([start for start, _ in spans] == starts)
                _must(spans[-1][1] == (self.n if s in self.is_out else self.use[s][-1] + 1))
                _must(all(not runs for (x, m), runs in self.runs.items() if x == s and m != first))
        if self.o.objective in ("peak", "compute"):
            moved = set()
            for x in self.p.moves:
                s = x.tensor
                needed = self.given(s) or s in self.is_out
                needed &= (x.source if self.given(s) else x.destination) == self.home(s) and s not in moved
                moved |= {s} if needed else set()
                _must(needed or (self.kind[s] == "constant" and self.o.weights == "stream"))

    def queues(self) -> None:
        for i, x in enumerate(self.p.moves):
            _must(all(y.issue <= x.issue for y in self.p.moves[:i] if y.queue == x.queue))
        for i, x in enumerate(self.p.moves):
            if x.destination not in self.memories:
                continue
            filled = self.runs_at(x.tensor, x.destination, x.issue)
            for j, y in enumerate(self.p.moves):
                if j < i or y.source != x.destination:
                    continue
                rows = [
                    (start, stop)
                    for ready, stop, end, how, start in self.copies(y.tensor, y.source)
                    if start <= y.issue
                    and ready <= y.issue
                    and y.due <= end
                    and not (isinstance(how, int) and how > j and ready == y.issue)
                ]
                start, stop = max(rows)
                if stop != x.issue:
                    continue
                at = self.place[self.where(y.tensor)[0], y.source][start]
                size, other = self.room(x.tensor, x.destination), self.room(y.tensor, y.source)
                _must(
                    at is None
                    or at + other <= filled.offset
                    or filled.offset + size <= at
                    or not size
                    or not other
                )

    def room(self, s: str, m: str) -> int:
        unit = self.memories[m].alignment
        return -(-self.nbytes[s] // unit) * unit

    def pins(self) -> None:
        for s, word in self.o.pins.items():
            _must(s in self.storages)
            rest = word.removeprefix("keep").strip()
            place, _, at = rest.partition("@")
            place = place or (self.target.memories[0].name if at else "")
            whole, first = self.where(s)
            rows = [
                (m, run._replace(offset=run.offset + first))
                for m in self.memories
                for run in self.runs[whole, m]
            ]
            used = [
                t
                for t, op in enumerate(self.ops)
                if not op.view
                and op.name not in self.p.joined
                and s in {self.root[x] for x in (*op.inputs, *op.outputs)}
            ]
            if rest == "host":
                _must(not rows and all(x.tensor != s for x in self.p.moves))
                continue
            last = self.target.memories[-1]
            free = {self.home(s)} | (
                {last.name} if len(self.target.memories) > 1 and not last.readonly else set()
            )
            for m, run in rows:
                if place:
                    _must(m in free | {place})
                if at and m == place:
                    _must(run.offset == int(at))
            if word.startswith("keep") and used:
                always = [x for x in rows if all(x[1].start <= t < x[1].stop for t in used)]
                _must([x for x in always if place in ("", x[0])])
                for x in rows:
                    _must(x[0] in free or (x in always and place in ("", x[0])))
