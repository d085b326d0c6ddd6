"""Seeded random targets, and plans for them that a walk over random executions writes down: most are valid.

Several memories, moves between any of them, repeated executions, queues, channels, joined ops, in-place pairs and
every treatment of inputs and outputs. Whoever uses the plans lets a checker say which are valid.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from math import lcm

from memplan.base.errors import OptionError
from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.machine.parts import Channel, Compute, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.pin_resolution import resolve_pins
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from memplan.problem.problem import Problem
from tests.generate import random_graph, with_alignments

NEVER = 10**6


def wide_graph(rng: random.Random, ops: int) -> Graph:
    """A random graph, with ops that may be joined and some that must not be executed again."""
    graph = random_graph(rng, ops, (1, 2, 4, 4, 8))
    tensors, made = list(graph.tensors), []
    root = graph.storage_of
    for op in graph.ops:
        made.append(replace(op, once=rng.random() < 0.15))
    roots = [
        t
        for t in tensors
        if t.kind == "activation" and root[t.name] == t.name and t.nbytes % 4 == 0 and t.nbytes
    ]
    outputs = list(graph.outputs)
    for k in range(2):
        if len(roots) < 2 or rng.random() < 0.4:
            continue
        held = rng.sample(roots, 2)
        name, places, end = f"j{k}", [], 0
        for t in held:
            places.append((t.name, end))
            end += t.nbytes
        tensors.append(
            Tensor(
                name, end, "activation", "int8" if held[0].shape else None, (end,) if held[0].shape else None
            )
        )
        made.append(Op(f"join{k}", "Concat", tuple(t.name for t in held), (name,), 0, joins=tuple(places)))
        outputs = [x for x in outputs if x not in {t.name for t in held} or rng.random() < 0.3]
        roots = [t for t in roots if t not in held] + [tensors[-1]]
        if rng.random() < 0.5:
            outputs.append(name)
    given = [t.name for t in tensors if t.kind == "input"]
    updates = []
    if rng.random() < 0.3 and given and outputs:
        pairs = [(u, i) for u in outputs for i in given if u != i and root.get(u, u) != i]
        updates = [rng.choice(pairs)] if pairs else []
    whole = Graph(graph.name, tuple(tensors), tuple(made), tuple(outputs), tuple(updates))
    return with_alignments(rng, whole) if rng.random() < 0.3 else whole


def wide_target(rng: random.Random) -> Target:
    """One to four memories, with and without a backing memory, readonly ones, channels and operands of their own."""
    count = rng.choice((1, 2, 2, 3, 3, 4))
    timed = rng.random() < 0.7
    speeds = sorted((rng.choice((1e9, 2e9, 4e9, 8e9)) for _ in range(count)), reverse=True)
    memories = []
    for k in range(count):
        last = k == count - 1
        readonly = k > 0 and rng.random() < (0.1 if last else 0.2)
        memories.append(
            Memory(
                f"m{k}",
                alignment=rng.choice((1, 1, 2, 4)),
                bandwidth=speeds[k] if timed else None,
                byte_cost=rng.choice((None, None, 0.0, 0.5, 2.0)),
                readonly=readonly,
                addresses=last and k > 0 and not readonly and rng.random() < 0.25,
            )
        )
    names = [m.name for m in memories]
    writable = [m.name for m in memories if not m.readonly]
    operands = {}
    if rng.random() < 0.7:
        operands["default"] = tuple(dict.fromkeys((names[0], *rng.sample(names, rng.randint(0, count)))))
    if rng.random() < 0.4:
        operands["constants"] = tuple(names)
    if rng.random() < 0.2:
        operands["Conv"] = tuple(dict.fromkeys((names[0], rng.choice(names))))
    if rng.random() < 0.1:
        operands["outputs"] = tuple(dict.fromkeys((names[0], rng.choice(writable))))
    queues = rng.choice((0, 1, 1, 2))
    channels = []
    if queues and rng.random() < 0.3:
        pairs = [(a, b) for a in names for b in writable if a != b]
        for a, b in rng.sample(pairs, rng.randint(0, len(pairs))):
            speed = rng.choice((None, 5e8)) if timed else None
            channels.append(Channel(a, b, speed, rng.choice((0.0, 1e-9)), rng.randrange(queues)))
    home = {"constants": rng.choice(names)} if rng.random() < 0.3 else {}
    if home and home["constants"] not in operands.get("constants", names):
        home = {}
    compute = Compute(1e9, {"int8": 2e9}, 1e-8) if timed else Compute()
    target = Target("wide", tuple(memories), operands, {}, queues, tuple(channels), compute)
    try:
        return replace(target, home=home)
    except Exception:  # a home that ops cannot reach
        return target


def wide_options(rng: random.Random, target: Target) -> Options:
    """Any options that the target knows."""
    timed = target.timed
    return Options(
        objective=rng.choice(
            ("traffic", "traffic", "latency", "latency")
            if timed
            else ("traffic", "traffic", "peak", "compute")
        ),
        weights=rng.choice(("ignore", "tensor", "tensor", "stream")),
        io=rng.choice(("host", "host", "resident", "external"))
        if target.backing
        else rng.choice(("resident", "external")),
        inplace=rng.random() < 0.6,
        order=rng.choice(("free", "free", "program")),
        join=rng.random() < 0.7,
        recompute=rng.choice((1, 1, 2, 3, None)),
        compute_limit=rng.choice((None, 3.0, 10.0)),
    )


def wide_problem(rng: random.Random, ops: int, *, still: bool, order: str | None = None) -> Problem:
    """A random traffic problem on a target of any memories, some of which are tight.

    Args:
        rng: what decides.
        ops: of the graph, before joins are added.
        still: whether nothing can be moved.
        order: the option; any if it is None.
    """
    graph, target = wide_graph(rng, ops), wide_target(rng)
    queues = 0 if still else max(1, target.queues)
    addressed = target.addressed
    memories = tuple(
        replace(m, capacity=rng.choice((None, 8, 12, 16, 24, 32)) if m in addressed else None)
        for m in target.memories
    )
    channels = () if still else target.channels
    target = replace(target, memories=memories, queues=queues, channels=channels)
    options = replace(
        wide_options(rng, target),
        objective="traffic",
        join=False,
        recompute=1,
        compute_limit=None,
    )
    if target.backing and rng.random() < 0.4:
        options = replace(options, io="host")
    if options.io != "external" and rng.random() < 0.3:
        inputs = [t.name for t in graph.tensors if t.kind == "input" and t.name not in graph.output_storages]
        options = replace(options, donate=tuple(x for x in inputs if rng.random() < 0.7))
    return Problem(graph, target, replace(options, order=order or options.order))


def with_pins(rng: random.Random, problem: Problem) -> Problem:
    """The problem with random pins of up to two storages, of those that make sense."""
    names = [m.name for m in problem.target.memories]
    roots = sorted(set(problem.graph.storage_of.values()))
    pins: dict[str, str] = {}
    for s in rng.sample(roots, min(len(roots), 2)):
        name, offset = rng.choice(names), rng.choice((0, 4, 8))
        word = rng.choice(("keep", "host", f"@{offset}", name, f"{name}@{offset}", f"keep {name}"))
        try:
            pins |= resolve_pins({s: word}, problem.graph, problem.target, problem.options)
        except OptionError:
            continue
    return replace(problem, options=replace(problem.options, pins=pins))


def wide_plan(rng: random.Random, graph: Graph) -> Plan:
    """A plan of random choices, valid more often than not."""
    while True:
        target = wide_target(rng)
        try:
            options = wide_options(rng, target)
            inputs = [t.name for t in graph.tensors if t.kind == "input"]
            if rng.random() < 0.4:
                options = replace(options, donate=tuple(x for x in inputs if rng.random() < 0.7))
            return _Walk(rng, graph, target, options).plan()
        except _Stuck:
            continue


def walked_plan(rng: random.Random, graph: Graph, target: Target, options: Options) -> Plan | None:
    """A plan of random choices under these options, its capacities random too; None where the walk got stuck."""
    try:
        return _Walk(rng, graph, target, options).plan()
    except _Stuck:
        return None


class _Stuck(Exception):
    """The walk found no way on."""


@dataclass
class _Lying:
    """A storage in a memory: since when, from when on it can be read, until when."""

    start: int
    ready: int
    stop: int = NEVER
    over: tuple[str, str] | None = None  # storage and memory of what it is written over
    home: bool = False
    moved: bool = False


class _Walk:
    def __init__(self, rng: random.Random, graph: Graph, target: Target, options: Options) -> None:
        self.rng, self.g, self.target, self.o = rng, graph, target, options
        self.root, self.outs = graph.storage_of, graph.output_storages
        self.names = [m.name for m in target.memories]
        self.addressed = {m.name for m in target.addressed}
        self.timed = options.objective == "latency"
        self.lying: dict[tuple[str, str], _Lying] = {}
        self.past: list[tuple[str, str, _Lying]] = []
        self.moves: list[Move] = []
        self.pairs: list[InPlace] = []
        self.schedule: list[Op] = []
        self.joined: list[str] = []
        self.inside: dict[str, str] = {}
        self.count: dict[str, int] = {}
        self.made = {t.name for t in graph.tensors if t.kind in ("input", "constant")}
        self.queued: dict[int, int] = {}

    def ours(self, s: str) -> bool:
        kind = self.g.tensor[s].kind
        if kind == "constant":
            return self.o.weights != "ignore"
        return not (self.o.io == "external" and (kind == "input" or s in self.outs))

    def role(self, s: str) -> str:
        kind = self.g.tensor[s].kind
        return "outputs" if kind == "activation" and s in self.outs else f"{kind}s"

    def home(self, s: str) -> str:
        if self.g.tensor[s].kind == "constant":
            return self.target.home_of("constants")
        return self.names[0] if self.o.io == "resident" else self.names[-1]

    def plan(self) -> Plan:
        self.choose_joins()
        for s in sorted(set(self.root.values())):
            used = (
                any(s in {self.root[x] for x in op.inputs} and not op.view for op in self.g.ops)
                or s in self.outs
            )
            if self.g.tensor[s].kind in ("input", "constant") and self.ours(s) and self.g.ops:
                if self.home(s) not in self.addressed or used:
                    self.lying[s, self.home(s)] = _Lying(0, 0, home=True)
        while any(op.name not in self.count for op in self.g.ops):
            self.step()
            if len(self.schedule) > 3 * len(self.g.ops) + 3:
                raise _Stuck
        self.finish()
        return self.written()

    def choose_joins(self) -> None:
        for op in self.g.ops:
            parts = [x for x, _ in op.joins]
            free = all(x not in self.outs and x not in self.inside for x in parts)
            if parts and free and self.o.join and self.rng.random() < 0.8:
                self.joined.append(op.name)
                self.inside |= {x: op.results[0] for x in parts}

    def whole(self, s: str) -> str:
        while s in self.inside:
            s = self.inside[s]
        return s

    def step(self) -> None:
        t, rng = len(self.schedule), self.rng
        ready = [
            op
            for op in self.g.ops
            if op.name not in self.count
            and self.made >= set(op.inputs)
            and all(x in self.count for x in op.after)
        ]
        op = ready[0] if self.o.order == "program" else rng.choice(ready)
        most = NEVER if self.o.recompute is None else self.o.recompute
        again = [
            x
            for x in self.g.ops
            if 0 < self.count.get(x.name, 0) < most
            and not x.once
            and x.name not in self.joined
            and not any(y in self.inside or y in self.outs or y in self.inside.values() for y in x.outputs)
        ]
        if again and rng.random() < 0.2:
            op = rng.choice(again)
        for m in list(self.addressed) if rng.random() < 0.3 else ():
            self.wander(t, m)
        idle = op.view or op.name in self.joined
        reads = [] if idle else [s for s in dict.fromkeys(self.root[x] for x in op.inputs) if self.ours(s)]
        for s in reads:
            self.fetch(op, s, t)
        self.schedule.append(op)
        self.count[op.name] = self.count.get(op.name, 0) + 1
        self.made |= set(op.outputs)
        if not op.view:
            for s in op.outputs:
                self.write(op, s, t)
        self.leave(t)

    def readable(self, s: str, m: str, t: int) -> bool:
        s = s if m not in self.addressed else s
        lies = self.lying.get((s, m))
        return lies is not None and lies.ready <= t

    def fetch(self, op: Op, s: str, t: int) -> None:
        reach = self.target.readable(op.kind, self.role(s))
        if any(self.readable(s, m, t) for m in reach):
            return
        if s in self.inside:
            raise _Stuck
        for m in self.rng.sample(reach, len(reach)):
            if self.move(s, m, t):
                return
        raise _Stuck

    def move(self, s: str, to: str, t: int) -> bool:
        """Copy s there, done by boundary t."""
        if (s, to) in self.lying or s in self.inside or self.g.tensor[s].kind == "workspace":
            return False
        if self.o.io == "resident" and (self.g.tensor[s].kind == "input" or s in self.outs):
            return False
        issue = t
        left = [lies.stop for x, m, lies in self.past if (x, m) == (s, to)]
        earliest = max([0, *left, *self.queued.values()])
        sources = [m for m in self.names if m != to and self.readable(s, m, t)]
        for source in self.rng.sample(sources, len(sources)):
            queues = self.target.copying_queues(source, to)
            if not queues:
                continue
            if self.timed and self.rng.random() < 0.5 and self.g.tensor[s].kind != "constant":
                low = max(earliest, self.lying[s, source].ready)
                issue = self.rng.randint(low, t) if low <= t else t
            queue = self.rng.choice(queues)
            self.queued[queue] = max(self.queued.get(queue, 0), issue)
            self.moves.append(Move(s, source, to, issue, t, queue))
            self.lying[s, to] = _Lying(issue, t, moved=True)
            return True
        return False

    def wander(self, t: int, m: str) -> None:
        """Copy anything anywhere."""
        if self.o.objective in ("peak", "compute") or self.rng.random() < 0.5:
            return
        kinds = ("input", "activation")
        some = sorted({s for s, _ in self.lying if self.g.tensor[s].kind in kinds and s not in self.inside})
        if some:
            self.move(self.rng.choice(some), self.rng.choice((m, *self.names)), t)

    def write(self, op: Op, s: str, t: int) -> None:
        if not self.ours(s):
            return
        if op.name in self.joined:
            whole = self.whole(s)
            for (x, m), lies in list(self.lying.items()):
                if x == whole and s == whole:
                    lies.ready = t + 1
                    if s in self.inside:
                        self.lying[s, m] = _Lying(NEVER, t + 1)
            if s in self.inside:
                (m,) = [m for x, m in self.lying if x == whole]
                self.lying[s, m] = _Lying(NEVER, t + 1)
            return
        reach = list(self.target.writable(op.kind, self.role(s)))
        if s in self.inside:
            whole = self.whole(s)
            places = [m for x, m in self.lying if x == whole]
            if not places:
                here = [m for m in reach if m in self.addressed]
                if not here:
                    raise _Stuck
                places = [
                    self.names[0] if self.o.io == "resident" and whole in self.outs else self.rng.choice(here)
                ]
                self.lying[whole, places[0]] = _Lying(t, NEVER)
            self.lying[s, places[0]] = _Lying(NEVER, t + 1)
            return
        if self.o.io == "resident" and s in self.outs:
            reach = [m for m in reach if m == self.names[0]]
        elif self.home(s) in self.addressed and s in self.outs and self.g.tensor[s].kind == "activation":
            reach = [m for m in reach if m == self.home(s)] or reach
        reach = [m for m in reach if m in self.addressed or m == self.names[-1]]
        if not reach:
            raise _Stuck
        m = self.rng.choice(reach)
        old = self.lying.pop((s, m), None)
        if old is not None and m in self.addressed:
            old.stop = t
            self.past.append((s, m, old))
        new = _Lying(t, t + 1, t + 1 if self.g.tensor[s].kind == "workspace" else NEVER)
        if m in self.addressed:
            self.overwrite(op, s, m, t, new)
        self.lying[s, m] = new
        if new.stop != NEVER:
            self.past.append((s, m, self.lying.pop((s, m))))

    def overwrite(self, op: Op, s: str, m: str, t: int, new: _Lying) -> None:
        for out, x in op.overwrites:
            a = self.root[x]
            lies = self.lying.get((a, m))
            asked = self.o.inplace or a in self.o.donate
            if out != s or lies is None or not asked or a in self.inside or lies.ready > t or lies.start > t:
                continue
            if lies.home and a not in self.o.donate:
                continue
            if self.needed(a, m) or self.rng.random() < 0.2:
                continue
            lies.stop = t + 1
            self.past.append((a, m, self.lying.pop((a, m))))
            new.over = (a, m)
            self.pairs.append(InPlace(t, s, a))
            return

    def needed(self, s: str, m: str) -> bool:
        """Whether the copy is the last of something that is still to be read, or lies at home where it must stay."""
        whole = self.whole(s)
        uses = [op for op in self.g.ops if op.name not in self.count]
        group = {x for x in (*self.inside, whole) if self.whole(x) == whole}
        later = any(self.root[x] in group for op in uses for x in (*op.inputs, *op.outputs))
        if s in self.outs and self.home(s) == m:
            return True
        if self.o.io == "resident" and self.g.tensor[s].kind == "input" and m == self.names[0]:
            return later
        others = [
            y for x, y in self.lying if x == s and y != m and self.lying[x, y].ready <= len(self.schedule)
        ]
        wanted = later or (s in self.outs and not any(y == self.home(s) for y in others))
        return wanted and not others

    def leave(self, t: int) -> None:
        """Some of what lies there leaves after step t."""
        for (s, m), lies in sorted(self.lying.items()):
            if m not in self.addressed or lies.start > t or s in self.inside or lies.ready > t + 1:
                continue
            kept = self.needed(s, m)
            resident = self.o.io == "resident" and (self.g.tensor[s].kind == "input" or s in self.outs)
            streamed = self.o.weights == "stream" and self.g.tensor[s].kind == "constant" and not lies.home
            if streamed or (not kept and (resident or self.rng.random() < 0.5)):
                lies.stop = t + 1
                self.past.append((s, m, self.lying.pop((s, m))))
                for x in [x for x in self.inside if self.whole(x) == s]:
                    self.lying.pop((x, m), None)

    def finish(self) -> None:
        n = len(self.schedule)
        for s in sorted(self.outs):
            if self.ours(s) and n and (s, self.home(s)) not in self.lying:
                self.move(s, self.home(s), n)
        for (s, m), lies in self.lying.items():
            if m in self.addressed and s not in self.inside and lies.start < n:
                lies.stop = n
                self.past.append((s, m, lies))

    def written(self) -> Plan:
        rows = self.placed()
        peaks = {
            m: max((r.offset + r.size for r in rows if r.memory == m), default=0) for m in self.addressed
        }
        limits = {m: self.rng.choice((None, max(1, peak), peak + 3)) for m, peak in peaks.items()}
        backing = self.target.backing
        memories = tuple(
            replace(
                m,
                capacity=limits.get(m.name)
                if backing is None or m.name != backing.name or m.addresses
                else None,
            )
            for m in self.target.memories
        )
        self.moves.sort(key=lambda m: m.issue)
        return Plan(
            self.g.name, self.g.sha256, replace(self.target, memories=memories), self.o, "walk", Status.FEASIBLE,
            tuple(op.name for op in self.schedule), tuple(rows), tuple(self.moves), self.g.aliases,
            tuple(sorted(self.pairs)), tuple(self.joined),
        )  # fmt: skip

    def placed(self) -> list[Residency]:
        """First fits in a random order; what is written over something shares its offset."""
        chains: list[list[tuple[str, str, _Lying]]] = []
        at: dict[tuple[str, str, int], list[tuple[str, str, _Lying]]] = {}
        for row in sorted(self.past, key=lambda row: (row[2].start, row[2].over is not None)):
            s, m, lies = row
            chain = at.get((*lies.over, lies.start + 1)) if lies.over else None
            if chain is None:
                chain = []
                chains.append(chain)
            chain.append(row)
            at[s, m, lies.stop] = chain
        self.rng.shuffle(chains)
        done: list[tuple[str, int, int, int, int]] = []
        rows = []
        for chain in chains:
            m, start, stop = chain[0][1], min(x.start for _, _, x in chain), max(x.stop for _, _, x in chain)
            unit = self.target.memory[m].alignment
            names = {s for s, _, _ in chain} | {
                x for x in self.inside if self.whole(x) in {s for s, _, _ in chain}
            }
            step = lcm(unit, *((self.g.tensor[s].alignment or 1) for s in names))
            size = align_up(self.g.tensor[chain[0][0]].nbytes, unit)
            offset = step * self.rng.choice((0, 0, 1))
            while hit := [
                d
                for d in done
                if d[0] == m and d[1] < stop and d[2] > start and d[3] < offset + size and d[4] > offset
            ]:
                offset = align_up(max(d[4] for d in hit), step)
            done.append((m, start, stop, offset, offset + size))
            rows += [Residency(s, m, x.start, x.stop, offset, size) for s, _, x in chain]
        return sorted(rows, key=lambda r: (r.start, r.memory, r.offset, r.tensor))


def shaken(rng: random.Random, graph: Graph, plan: Plan) -> Plan:
    """The plan with a small random change that may or may not break it."""
    rows, moves, pairs = list(plan.residencies), list(plan.moves), list(plan.inplace)
    names = [m.name for m in plan.target.memories]
    storages = sorted(set(graph.storage_of.values()))
    choice = rng.randrange(13)
    if choice < 3 and rows:
        k = rng.randrange(len(rows))
        field = rng.choice(("start", "stop", "offset", "offset"))
        rows[k] = rows[k]._replace(**{field: getattr(rows[k], field) + rng.choice((-4, -1, 1, 4))})
    elif choice == 3 and rows:
        k = rng.randrange(len(rows))
        rows[k] = rows[k]._replace(
            **rng.choice(({"memory": rng.choice(names)}, {"tensor": rng.choice(storages)}))
        )
    elif choice == 4 and moves:
        k = rng.randrange(len(moves))
        by = rng.choice((-1, 1))
        moves[k] = moves[k]._replace(issue=moves[k].issue + by, due=moves[k].due + rng.choice((by, 0)))
    elif choice == 5 and moves:
        k = rng.randrange(len(moves))
        field = rng.choice(("source", "destination", "tensor", "queue"))
        value = {"tensor": storages, "queue": (0, 1)}.get(field, names)
        moves[k] = moves[k]._replace(**{field: rng.choice(value)})
    elif choice == 6 and len(moves) > 1:
        k = rng.randrange(len(moves) - 1)
        moves[k : k + 2] = moves[k + 1], moves[k]
    elif choice == 7 and rows + moves:
        part = rng.choice([x for x in (rows, moves) if x])
        del part[rng.randrange(len(part))]
    elif choice == 8:
        m = [m for m in moves if m.destination not in {x.name for x in plan.target.addressed}]
        moves += [rng.choice(m)] if m else []
    elif choice == 9:
        steps = list(plan.schedule)
        k = rng.randrange(len(steps))
        steps[k] = rng.choice(steps)
        plan = replace(plan, schedule=tuple(steps))
    elif choice == 10:
        if pairs and rng.random() < 0.5:
            k = rng.randrange(len(pairs))
            pairs[k : k + 1] = [] if rng.random() < 0.5 else [pairs[k]._replace(step=pairs[k].step + 1)]
        elif plan.joined:
            plan = replace(plan, joined=plan.joined[1:])
    elif choice == 11:
        word = rng.choice(("keep", "host", "@0", "keep@0", *names, *(f"keep {name}@0" for name in names)))
        plan = replace(plan, options=replace(plan.options, pins={rng.choice(storages): word}))
    else:
        field, words = rng.choice(
            (
                ("weights", ("ignore", "tensor", "stream")), ("io", ("host", "resident", "external")),
                ("order", ("free", "program")), ("inplace", (True, False)), ("join", (True, False)),
                ("objective", ("traffic", "latency", "peak")), ("recompute", (1, 2, None)), ("donate", ((), ("x0",))),
            )
        )  # fmt: skip
        plan = replace(plan, options=replace(plan.options, **{field: rng.choice(words)}))
    return replace(plan, residencies=tuple(rows), moves=tuple(moves), inplace=tuple(pairs))
