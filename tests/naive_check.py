"""A second checker, written apart from the first: one array of places per storage, walked step by step.

Accepts or rejects, nothing more. Quadratic and worse; for tiny plans.
"""

from __future__ import annotations

import math

from memplan.ir.graph import Graph
from memplan.problem.plan import Plan


def naive_valid(graph: Graph, plan: Plan) -> bool:
    """Whether the plan obeys every rule (claims aside)."""
    try:
        return _Naive(graph, plan).valid()
    except _Broken:
        return False


class _Broken(Exception):
    pass


def _must(condition: object) -> None:
    if not condition:
        raise _Broken


class _Naive:
    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.g, self.p = graph, plan
        self.root = {}
        for t in graph.tensors:
            self.root[t.name] = t.name
        for op in graph.ops:
            if op.view:
                for x in op.outputs:
                    self.root[x] = self.root[op.inputs[0]]
        self.kind = {t.name: t.kind for t in graph.tensors}
        self.nbytes = {t.name: t.nbytes for t in graph.tensors}
        self.is_out = {self.root[name] for name in graph.outputs}
        self.n = len(plan.schedule)
        self.timed = plan.options.objective == "latency"

    def steps_of(self, name: str) -> list[tuple[int, int]]:
        """Size and stride of each axis that is longer than 1."""
        t = self.g.tensor[name]
        shape = t.shape or ()
        dense = [math.prod(shape[k + 1 :]) for k in range(len(shape))]
        return [(n, s) for n, s in zip(shape, t.strides or dense, strict=True) if n > 1]

    def valid(self) -> bool:
        self.schedule()
        self.places()
        for s in set(self.root.values()):
            self.storage(s)
        self.steps()
        self.memory()
        self.pins()
        return True

    def pins(self) -> None:
        for s, word in self.p.options.pins.items():
            _must(s in self.place)
            kept, _, at = word.partition("@")
            used = [t for t in range(self.n) if t in self.use[s] or self.born.get(s) == t]
            if kept == "host":
                _must(set(self.place[s]) <= {None} and not self.loads[s] and not self.stores[s])
            if kept == "keep" and used:
                _must(all(self.place[s][t] is not None for t in range(used[0], used[-1] + 1)))
                _must(len(self.runs(s)) == 1)
            if at:
                _must(set(self.place[s]) <= {None, int(at)})

    def schedule(self) -> None:
        names = [op.name for op in self.g.ops]
        _must(sorted(names) == sorted(self.p.schedule))
        _must(self.p.options.order == "free" or names == list(self.p.schedule))
        self.ops = [next(o for o in self.g.ops if o.name == name) for name in self.p.schedule]
        made = {t.name for t in self.g.tensors if t.kind in ("input", "constant")}
        self.born: dict[str, int] = {}
        self.use: dict[str, list[int]] = {s: [] for s in self.root.values()}
        for t, op in enumerate(self.ops):
            _must(set(op.after) <= set(self.p.schedule[:t]))
            for x in op.inputs:
                _must(x in made)
                if not op.view:
                    self.use[self.root[x]].append(t)
            for x in op.outputs:
                made.add(x)
                if not op.view:
                    self.born[x] = t

    def places(self) -> None:
        _must(dict(self.p.aliases) == {a: b for a, b in self.root.items() if a != b})
        self.place: dict[str, list[int | None]] = {s: [None] * self.n for s in self.root.values()}
        unit, limit = self.p.target.scratchpad.alignment, self.p.target.scratchpad.capacity
        for r in self.p.residencies:
            _must(r.tensor in self.place and 0 <= r.start < r.stop <= self.n)
            own = self.g.tensor[r.tensor].alignment
            _must(r.offset >= 0 and r.offset % unit == 0 and (own is None or r.offset % own == 0))
            _must(0 <= r.size - self.nbytes[r.tensor] < unit and r.size % unit == 0)
            _must(limit is None or r.offset + r.size <= limit)
            for t in range(r.start, r.stop):
                _must(self.place[r.tensor][t] is None)
                self.place[r.tensor][t] = r.offset
        self.loads = {s: [m for m in self.p.moves if m.kind == "load" and m.tensor == s] for s in self.place}
        self.stores = {
            s: [m for m in self.p.moves if m.kind == "store" and m.tensor == s] for s in self.place
        }
        for m in self.p.moves:
            _must(m.kind in ("load", "store") and m.tensor in self.place)
            _must(0 <= m.issue < self.n and m.issue <= m.due <= self.n)
            _must(self.timed or m.issue == m.due)

    def lies_in_arena(self, s: str) -> bool:
        out = s in self.is_out
        return (
            self.p.options.io == "resident"
            and self.kind[s] != "constant"
            and (self.kind[s] == "input" or out)
        )

    def in_host(self, s: str, t: int, waited: bool = False) -> bool:
        if self.lies_in_arena(s):
            return False
        if self.kind[s] in ("input", "constant"):
            return True
        if self.born[s] < t and self.place[s][self.born[s]] is None:
            return True
        return any(m.due < t or (waited and m.due == t) for m in self.stores[s])

    def runs(self, s: str) -> list[tuple[int, int]]:
        """Stretches at one place; a load begins a new one."""
        found, loads = [], {m.issue for m in self.loads[s]}
        t = 0
        while t < self.n:
            if self.place[s][t] is None:
                t += 1
                continue
            stop = t + 1
            while stop < self.n and self.place[s][stop] == self.place[s][t] and stop not in loads:
                stop += 1
            found.append((t, stop))
            t = stop
        return found

    def storage(self, s: str) -> None:
        runs = self.runs(s)
        constant = self.kind[s] == "constant"
        weights = self.p.options.weights
        if constant and weights == "ignore":
            _must(not runs and not self.loads[s] and not self.stores[s])
        if self.kind[s] == "workspace":
            _must(runs == [(self.born[s], self.born[s] + 1)])
        if self.lies_in_arena(s) and (self.use[s] or s in self.born or s in self.is_out):
            _must(not self.loads[s] and not self.stores[s])
            begin = 0 if self.kind[s] == "input" else self.born[s]
            _must(runs == [(begin, self.n if s in self.is_out else max(self.use[s]) + 1)])
            return
        for start, stop in runs:
            touched = [t for t in range(start, stop) if t in self.use[s] or self.born.get(s) == t]
            loads = [m for m in self.loads[s] if m.issue == start]
            if self.born.get(s) == start:
                _must(not loads)
            else:
                _must(len(loads) == 1 and self.born.get(s, -1) < start and self.in_host(s, start))
                _must(loads[0].due <= (min(touched) if touched else stop - 1))
            if constant and weights == "stream":
                _must(touched == [stop - 1])
                _must(self.timed or stop == start + 1)
        begun = {r.start for r in self.p.residencies if r.tensor == s}
        _must(all(m.issue in begun for m in self.loads[s]))
        _must(len(self.stores[s]) <= 1)
        for m in self.stores[s]:
            _must(not constant and self.kind[s] != "input" and m.issue >= self.born[s])
            last = m.due - 1 if self.timed else m.issue
            _must(any(start <= m.issue and last < stop for start, stop in runs) and last >= m.issue)
        if s in self.is_out and self.p.options.io == "host":
            _must(self.in_host(s, self.n, waited=True))

    def steps(self) -> None:
        for t, op in enumerate(self.ops):
            if op.view:
                continue
            for s in {self.root[x] for x in (*op.inputs, *op.outputs)}:
                if self.kind[s] == "constant" and self.p.options.weights == "ignore":
                    continue
                if self.place[s][t] is None:
                    _must(self.p.target.direct)
                    _must(self.born.get(s) == t or self.in_host(s, t, waited=self.timed))

    def memory(self) -> None:
        unit = self.p.target.scratchpad.alignment
        inplace = dict(self.p.inplace)
        _must(len(set(inplace.values())) == len(inplace))
        for b, a in inplace.items():
            _must(self.root.get(a) == a and self.root.get(b) == b and b in self.born)
            t = self.born[b]
            op = self.ops[t]
            _must(not op.view and any(o == b and self.root[x] == a for o, x in op.overwrites))
            for x in op.inputs:
                if self.root[x] == a:  # it lies there as the output will, from the first byte to the last
                    _must(x == a or self.g.tensor[x].place == (a, 0))
                    _must(self.nbytes[x] == self.nbytes[a] == self.nbytes[b])
                    _must(self.steps_of(x) == self.steps_of(b))
            if self.kind[a] == "input":
                _must(a in self.p.options.donate)
            else:
                _must(self.kind[a] == "activation" and self.p.options.inplace)
            _must(a not in self.is_out and max(self.use[a]) == t)
            _must(self.place[a][t] is not None and self.place[a][t] == self.place[b][t])
            _must(t + 1 == self.n or self.place[a][t + 1] is None)
        for t in range(self.n):
            owner: dict[int, str] = {}
            for s, place in self.place.items():
                at = place[t]
                if at is None:
                    continue
                for byte in range(at, at + -(-self.nbytes[s] // unit) * unit):
                    other = owner.setdefault(byte, s)
                    if other != s:
                        _must(inplace.get(s) == other or inplace.get(other) == s)
                        new = s if inplace.get(s) == other else other
                        _must(self.born[new] == t)
