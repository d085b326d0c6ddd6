"""Seeded random graphs and random valid plans, made without any solver."""

from __future__ import annotations

import random
from dataclasses import replace
from math import lcm

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.machine.two_level import two_level
from memplan.problem.options import Options
from memplan.problem.plan import Metrics, Move, Plan, Residency, Status
from tests.graphs import graph_of

KINDS = ("Conv", "MatMul", "Relu", "Add", "Concat", "Split", "Sigmoid", "Softmax")


def timed(*, direct: bool = True, queues: int = 1) -> Target:
    """A timed scratchpad machine without a limit."""
    pad, host = Memory("scratchpad", bandwidth=4e9), Memory("host", bandwidth=1e9)
    compute = Compute(1e9, {"int8": 2e9}, 1e-8)
    return two_level("timed", pad, host, direct=direct, queues=queues, compute=compute)


TIMED = timed()


def random_graph(rng: random.Random, ops: int, sizes: tuple[int, ...] = (1, 2, 3, 4, 5, 8)) -> Graph:
    """A connected-ish DAG: mixed sizes, views, several outputs an op, weights, dead ends, zero bytes."""
    tensors: dict[str, Tensor] = {}
    shaped = rng.random() < 0.7

    def tensor(name: str, kind: str, nbytes: int) -> str:
        shape = (nbytes,) if shaped else None
        tensors[name] = Tensor(name, nbytes, kind, "int8" if shaped else None, shape)
        return name

    def size() -> int:
        return 0 if rng.random() < 0.03 else rng.choice(sizes)

    values = [tensor(f"x{i}", "input", size()) for i in range(rng.randint(1, 2))]
    weights: list[str] = []
    made: list[Op] = []
    for i in range(ops):
        kind = rng.choice(KINDS)
        recent = values[-4:] if rng.random() < 0.6 else values
        inputs = [rng.choice(recent) for _ in range(1 if rng.random() < 0.4 else rng.randint(1, 3))]
        if rng.random() < 0.15:
            out = tensor(f"v{i}", "activation", tensors[inputs[0]].nbytes)
            made.append(Op(f"op{i}", "Reshape", (inputs[0],), (out,), 0))
            values.append(out)
            continue
        if rng.random() < 0.3:
            if not weights or rng.random() < 0.6:
                weights.append(tensor(f"w{i}", "constant", size()))
            inputs.append(rng.choice(weights))
        count = rng.choice((1, 1, 1, 1, 2, 3)) if kind == "Split" else 1
        elementwise = kind in ("Relu", "Add", "Sigmoid")
        nbytes = tensors[inputs[0]].nbytes if elementwise else size()
        outputs = [tensor(f"t{i}_{k}", "activation", nbytes) for k in range(count)]
        made.append(Op(f"op{i}", kind, tuple(inputs), tuple(outputs), rng.choice((None, 10, 100))))
        values += outputs
    read = {name for op in made for name in op.inputs}
    for name, t in list(tensors.items()):
        dead = t.kind == "activation" and name not in read
        if (dead and rng.random() < 0.8) or (t.kind == "activation" and rng.random() < 0.1):
            tensors[name] = replace(t, kind="output")
    return _with_ends(rng, graph_of(f"random{ops}", tuple(tensors.values()), tuple(made)))


def _with_ends(rng: random.Random, graph: Graph) -> Graph:
    """The graph with workspaces for some of its ops, and now and then an input among its outputs."""
    tensors, ops = list(graph.tensors), []
    for op in graph.ops:
        if not op.view and rng.random() < 0.06:
            scratch = f"{op.name}.workspace"
            tensors.append(Tensor(scratch, rng.choice((1, 2, 4)), "workspace"))
            op = replace(op, outputs=(*op.outputs, scratch), workspace=scratch)
        ops.append(op)
    returned = [t.name for t in tensors if t.kind == "input" and rng.random() < 0.07]
    outputs = (*graph.outputs, *returned)
    return replace(graph, tensors=tuple(tensors), ops=tuple(_in_turn(ops)), outputs=outputs)


def _in_turn(ops: list[Op]) -> list[Op]:
    """The ops, now and then one to come after another that it reads nothing of; views too."""
    dice = random.Random(repr(ops))  # dice of its own: what is drawn after this stays as it was
    found = []
    for i, op in enumerate(ops):
        some = dice.sample(ops[:i], min(i, dice.choice((1, 1, 2)))) if dice.random() < 0.15 else []
        found.append(replace(op, after=tuple(other.name for other in some)))
    return found


def with_alignments(rng: random.Random, graph: Graph) -> Graph:
    """The graph with alignments of their own for some of its storages."""
    tensors = tuple(
        replace(t, alignment=rng.choice((1, 2, 3, 4, 8)))
        if t.name not in graph.aliases and rng.random() < 0.2
        else t
        for t in graph.tensors
    )
    return replace(graph, tensors=tensors)


def random_options(rng: random.Random, objective: str) -> Options:
    """Any combination of treatments."""
    return Options(
        objective=objective,
        weights=rng.choice(("ignore", "tensor", "stream")),
        io=rng.choice(("host", "host", "resident")),
        inplace=rng.random() < 0.5,
        order=rng.choice(("free", "free", "program")),
    )


def random_order(rng: random.Random, graph: Graph) -> list[Op]:
    """A random order that respects the dependencies."""
    ready = {t.name for t in graph.tensors if t.kind in ("input", "constant")}
    left, order, done = list(graph.ops), [], set[str]()
    while left:
        op = rng.choice([o for o in left if ready.issuperset(o.inputs) and done.issuperset(o.after)])
        left.remove(op)
        order.append(op)
        ready.update(op.outputs)
        done.add(op.name)
    return order


def random_plan(rng: random.Random, graph: Graph) -> Plan:
    """A valid plan of random choices: order, what leaves when, addresses, operands in host, timing."""
    objective = rng.choice(("traffic", "traffic", "peak", "latency", "latency"))
    options = random_options(rng, objective)
    queues = rng.choice((1, 2))
    direct = not (objective == "traffic" or rng.random() < 0.5)
    untimed = objective != "latency" and rng.random() < 0.5
    target = two_level(direct=direct) if untimed else timed(direct=direct, queues=queues)
    target = target.with_scratchpad(None, rng.choice((1, 1, 2, 4)))
    order = list(graph.ops) if options.order == "program" else random_order(rng, graph)
    spans = _Spans(rng, graph, target, options, order)
    residencies = spans.placed()
    peak = max((r.offset + r.size for r in residencies), default=0)
    capacity = rng.choice((None, max(peak, 1), max(peak, 1) + rng.randint(0, 9)))
    plan = Plan(
        graph=graph.name,
        graph_sha256=graph.sha256,
        target=target.with_scratchpad(capacity),
        options=options,
        solver="random",
        status=Status.FEASIBLE,
        schedule=tuple(op.name for op in order),
        residencies=tuple(residencies),
        moves=tuple(spans.moves),
        aliases=graph.aliases,
        inplace=spans.inplace,
    )
    return claimed(graph, replace(plan, options=replace(options, pins=true_pins(rng, graph, plan))), rng)


def true_pins(rng: random.Random, graph: Graph, plan: Plan) -> dict[str, str]:
    """Some pins that the plan happens to honour."""
    root, pins = graph.storage_of, {}
    ops = {op.name: op for op in graph.ops}
    for name in sorted(set(root.values())):
        if rng.random() < 0.7:
            continue
        parts = [r for r in plan.residencies if r.tensor == name]
        steps = [
            t
            for t, op in enumerate(ops[o] for o in plan.schedule)
            if not op.view and name in {root[x] for x in (*op.inputs, *op.outputs)}
        ]
        if not parts and not any(m.tensor == name for m in plan.moves):
            pins[name] = "host" if rng.random() < 0.7 or steps else "keep"
        elif len({r.offset for r in parts}) == 1:
            whole = len(parts) == 1 and all(parts[0].start <= t < parts[0].stop for t in steps)
            pins[name] = ("keep" if whole and rng.random() < 0.7 else "") + rng.choice(
                ("", f"@{parts[0].offset}")
            )
            pins[name] = pins[name] or f"@{parts[0].offset}"
    return pins


def claimed(graph: Graph, plan: Plan, rng: random.Random) -> Plan:
    """The plan with claims that are true."""
    metrics: Metrics = simulate(graph, plan)
    value = metrics.value(plan.options.objective)
    bound = value if rng.random() < 0.3 else value / 2
    status = Status.OPTIMAL if bound == value else Status.FEASIBLE
    return replace(plan, metrics=metrics, value=value, bound=bound, status=status)


class _Spans:
    """Chooses stretches of presence and their moves, one storage at a time, then addresses."""

    def __init__(
        self, rng: random.Random, graph: Graph, target: Target, options: Options, order: list[Op]
    ) -> None:
        self.rng, self.graph, self.target, self.options = rng, graph, target, options
        self.n = len(order)
        self.timed = options.objective == "latency"
        self.moves: list[Move] = []
        self.inplace: dict[str, str] = {}
        self.spans: list[tuple[str, int, int]] = []
        root = graph.storage_of
        self.outputs = graph.output_storages
        untouched = [x for x in sorted(self.outputs) if graph.tensor[x].kind == "input"]
        touches: dict[str, list[int]] = {x: [] for x in untouched if options.io == "resident"}
        self.born: dict[str, int] = {}
        for t, op in enumerate(order):
            if not op.view:
                for name in dict.fromkeys(root[x] for x in (*op.inputs, *op.outputs)):
                    touches.setdefault(name, []).append(t)
                self.born.update(dict.fromkeys(op.outputs, t))
        for name, steps in touches.items():
            self._choose(name, steps)
        if options.inplace:
            self._overwrite(order)

    def _choose(self, name: str, steps: list[int]) -> None:
        kind, rng = self.graph.tensor[name].kind, self.rng
        if kind == "constant" and self.options.weights == "ignore":
            return
        if kind == "workspace":
            self.spans.append((name, steps[0], steps[0] + 1))
            return
        if self.options.io == "resident" and kind != "constant" and (kind == "input" or name in self.outputs):
            stop = self.n if name in self.outputs else steps[-1] + 1
            self.spans.append((name, 0 if kind == "input" else steps[0], stop))
            return
        if self.target.direct and rng.random() < 0.3:
            return  # served from host throughout
        streamed = kind == "constant" and self.options.weights == "stream"
        spans, start = [], steps[0]
        for before, after in zip(steps, [*steps[1:], None], strict=True):
            spills = self.options.objective != "peak"
            leaves = after is None or streamed or (spills and rng.random() < 0.35)
            if not leaves:
                continue
            latest = before + 1 if streamed else (self.n if after is None else after)
            stop = (
                rng.choice((before + 1, rng.randint(before + 1, latest)))
                if rng.random() < 0.3
                else before + 1
            )
            if after is not None or spans or steps:
                spans.append((start, stop))
            start = after if after is not None else start
        self._with_moves(name, kind, spans)

    def _with_moves(self, name: str, kind: str, spans: list[tuple[int, int]]) -> None:
        """Keep the spans with the loads and the store they need; join two where no store fits between."""
        in_host = kind in ("input", "constant")
        spill = self.options.objective != "peak" and self.rng.random() < 0.1
        due = -1
        if not in_host and (len(spans) > 1 or name in self.outputs or spill):
            start, stop = spans[0]
            last = spans[1][0] - 1 if len(spans) > 1 else self.n
            if self.timed:
                if stop == start + 1 and (last < stop):
                    spans = [(start, spans[-1][1])]
                    stop = spans[0][1]
                    last = self.n
                low = start
                high = min(stop, last)
                issue = self.rng.randint(low, max(low, high - 1))
                due = self.rng.randint(issue + 1, max(issue + 1, high))
            else:
                issue = due = self.rng.randint(start, stop - 1)
            self.moves.append(Move("store", name, issue, due))
        for k, (start, stop) in enumerate(spans):
            if k or in_host:
                issue = start
                if self.timed and self.rng.random() < 0.5:
                    earliest = max(spans[k - 1][1] if k else 0, due + 1 if not in_host else 0)
                    issue = self.rng.randint(min(earliest, start), start)
                self.moves.append(Move("load", name, issue, start))
                start = issue
            self.spans.append((name, start, stop))

    def _overwrite(self, order: list[Op]) -> None:
        """Let some elementwise ops write over an operand that dies with them."""
        ends = {name: max(stop for n, _, stop in self.spans if n == name) for name, _, _ in self.spans}
        starts = {(name, start) for name, start, _ in self.spans}
        uses: dict[str, int] = {}
        for t, op in enumerate(order):
            if not op.view:
                uses.update({self.graph.storage_of[x]: t for x in op.inputs})
        for t, op in enumerate(order):
            if self.rng.random() < 0.3:
                continue
            for out, x in op.overwrites:
                source = self.graph.storage_of[x]
                free = source not in self.outputs and source not in self.inplace.values()
                dies = uses[source] == t and ends.get(source) == t + 1 and (out, t) in starts
                if free and dies and self.graph.tensor[source].kind == "activation":
                    self.inplace[out] = source
                    break

    def placed(self) -> list[Residency]:
        """Random order of first fits; in-place chains are placed as one."""
        align = self.target.scratchpad.alignment
        chains: list[list[tuple[str, int, int]]] = []
        chain_of: dict[str, list[tuple[str, int, int]]] = {}
        for span in sorted(self.spans, key=lambda s: (s[1], s[0] in self.inplace)):
            source = self.inplace.get(span[0])
            if source is not None and span[1] == self.born[span[0]]:
                chain_of[source].append(span)
                chain_of[span[0]] = chain_of[source]
            else:
                chains.append([span])
                chain_of[span[0]] = chains[-1]
        self.rng.shuffle(chains)
        done: list[tuple[int, int, int, int]] = []
        residencies = []
        for chain in chains:
            size = align_up(self.graph.tensor[chain[0][0]].nbytes, align)
            start, stop = min(s[1] for s in chain), max(s[2] for s in chain)
            unit = lcm(align, *(self.graph.tensor[s[0]].alignment or 1 for s in chain))
            offset = unit * self.rng.choice((0, 0, 0, 1, 3))
            while hit := [
                d for d in done if d[0] < stop and d[1] > start and d[2] < offset + size and d[3] > offset
            ]:
                offset = align_up(max(d[3] for d in hit), unit)
            done.append((start, stop, offset, offset + size))
            residencies += [Residency(n, a, b, offset, size) for n, a, b in chain]
        residencies.sort(key=lambda r: (r.start, r.offset, r.tensor))
        self.moves.sort(key=lambda m: (m.issue, m.kind, m.tensor, m.due))
        return residencies
