"""Plans over several memories, made without a solver: what a page or a picture may have to show.

`spread_plan` spreads the storages of any graph over three memories; some move between them, ops are executed again,
joined, or write in place. `wide_plans` are random ones on random targets.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.check.check import check
from memplan.judge.simulate import simulate
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status
from tests.generate_wide import wide_graph, wide_plan

UNIT = 16
AGAIN = 3
"""Ops that are executed twice, where so many can be."""


def spread_target(timed: bool) -> Target:
    """Two addressed memories and a backing memory, all of which ops may use; a queue for each direction."""
    speeds = (8e9, 2e9, 4e8) if timed else (None, None, None)
    names = ("sram", "axi", "dram")
    memories = tuple(Memory(name, alignment=UNIT, bandwidth=s) for name, s in zip(names, speeds, strict=True))
    compute = Compute(1e10, {}, 1e-7) if timed else Compute()
    return Target("three", memories, {"default": names}, queues=2, compute=compute)


@dataclass
class _Stay:
    """A residency to be: it ends where nothing touches it any more; `over` shares its place."""

    tensor: str
    memory: str
    start: int
    stop: int
    over: _Stay | None = None
    after: list[_Stay] = field(default_factory=list)


class _Spread:
    def __init__(self, graph: Graph, timed: bool) -> None:
        self.g, self.timed = graph, timed
        self.root = graph.storage_of
        self.joined, self.inside = self.choose_joins()
        self.schedule = self.repeat()
        self.n = len(self.schedule)
        self.writes: dict[str, list[int]] = defaultdict(list)
        self.touches: dict[str, list[int]] = defaultdict(list)
        for t, op in enumerate(self.schedule):
            if not op.view:
                for s in op.outputs:
                    self.writes[self.whole(s)].append(t)
                    self.touches[self.whole(s)].append(t)
                for s in {self.whole(self.root[x]) for x in op.inputs}:
                    self.touches[s].append(t)
        self.stays: list[_Stay] = []
        self.moves: list[Move] = []
        self.pairs: list[InPlace] = []
        self.turn = 0

    def whole(self, s: str) -> str:
        return self.inside.get(s, s)

    def choose_joins(self) -> tuple[set[str], dict[str, str]]:
        joined, inside, outputs = set[str](), dict[str, str](), self.g.output_storages
        for op in self.g.ops:
            parts = [x for x, _ in op.joins]
            usable = all(
                x in self.g.producer and x not in outputs and x not in inside and x not in inside.values()
                for x in parts
            )
            if parts and usable and all(first % UNIT == 0 for _, first in op.joins):
                joined.add(op.name)
                inside |= dict.fromkeys(parts, op.outputs[0])
        return joined, inside

    def repeat(self) -> list[Op]:
        """Program order, with some ops executed again before the last reader of what they write."""
        before: dict[str, Op] = {}
        taken = set[str]()
        for op in self.g.ops:
            y = op.outputs[0]
            readers = [x for x in self.g.ops if y in {self.root[z] for z in x.inputs} and not x.view]
            parts = {*self.inside, *self.inside.values()}
            plain = not (
                op.view or op.once or len(op.outputs) > 1 or y in self.g.output_storages or y in parts
            )
            touched = {y, *(self.root[x] for x in op.inputs)}
            if len(before) < AGAIN and plain and len(readers) > 1 and not touched & taken:
                before[readers[-1].name] = op
                taken |= touched
        schedule = []
        for op in self.g.ops:
            schedule += [before[op.name], op] if op.name in before else [op]
        return schedule

    def plan(self) -> Plan:
        for s in sorted(self.touches, key=lambda s: (self.touches[s][0], s)):
            self.place(s)
        rows = self.addressed()
        target = spread_target(self.timed)
        peaks = {
            m.name: max((r.offset + r.size for r in rows if r.memory == m.name), default=0)
            for m in target.addressed
        }
        memories = tuple(replace(m, capacity=peaks.get(m.name) or None) for m in target.memories)
        options = Options(
            "latency" if self.timed else "traffic", inplace=True, order="program", join=True, recompute=2, compute_limit=9.0
        )  # fmt: skip
        plan = Plan(
            self.g.name, self.g.sha256, replace(target, memories=memories), options, "spread", Status.FEASIBLE,
            tuple(op.name for op in self.schedule), tuple(rows), tuple(sorted(self.moves, key=lambda m: (m.issue, -m.queue))),
            self.g.aliases, tuple(sorted(self.pairs)), tuple(op.name for op in self.g.ops if op.name in self.joined),
        )  # fmt: skip
        metrics = simulate(self.g, plan)
        value = metrics.value(options.objective)
        return replace(
            plan, metrics=metrics, value=value, status=Status.FEASIBLE if value else Status.OPTIMAL
        )

    def place(self, s: str) -> None:
        """One storage: in one memory, or on its way through several, or written in place, or in the backing memory."""
        tensor, touches = self.g.tensor[s], self.touches[s]
        start, stop = touches[0], touches[-1] + 1
        if tensor.kind == "constant" or (s in self.g.output_storages and s not in self.inside.values()):
            return
        self.turn += 1
        if tensor.kind == "input":
            issue = max(0, start - self.timed)
            if start or not self.timed:
                self.move(s, "dram", "axi", issue, start)
                self.stays.append(_Stay(s, "axi", issue, stop))
        elif s in self.inside.values():
            self.stays.append(_Stay(s, "axi" if self.turn % 2 else "sram", start, stop))
        elif len(self.writes[s]) > 1:
            again = self.writes[s][1]
            kept = next(t for t in reversed(touches) if t < again) + 1
            self.stays += [_Stay(s, "sram", start, kept), _Stay(s, "axi", again, stop)]
        elif self.turn % 11 and not self.write_over(s, start, stop):
            self.travel(s, touches, stop)

    def write_over(self, s: str, start: int, stop: int) -> bool:
        op = self.schedule[start]
        for out, x in op.overwrites:
            a = self.root[x]
            mine = [stay for stay in self.stays if stay.tensor == a]
            if out != s or a in self.inside or self.touches[a][-1] != start or len(mine) != 1:
                continue
            self.stays.append(_Stay(s, mine[0].memory, start, stop, mine[0]))
            self.pairs.append(InPlace(start, s, a))
            return True
        return False

    def travel(self, s: str, touches: list[int], stop: int) -> None:
        """Away in its longest pause, where that is long enough: to the backing memory and back, or to another one."""
        gap, leave, back = max(((b - a, a + 1, b) for a, b in pairwise(touches)), default=(0, 0, 0))
        home = "sram" if self.turn % 2 else "axi"
        if gap < 3 or self.turn % 4 == 0:
            self.stays.append(_Stay(s, home, touches[0], stop))
            return
        lag = int(self.timed)
        other = ("axi", "dram", "axi")[self.turn % 3] if home == "sram" else ("sram", "dram")[self.turn % 2]
        self.stays.append(_Stay(s, home, touches[0], leave + lag))
        self.move(s, home, other, leave, leave + lag)
        stays_away = other != "dram" and self.turn % 3 == 0
        if other != "dram":
            self.stays.append(_Stay(s, other, leave, stop if stays_away else back))
        if not stays_away:
            self.move(s, other, home, back - lag, back)
            self.stays.append(_Stay(s, home, back - lag, stop))

    def move(self, s: str, source: str, destination: str, issue: int, due: int) -> None:
        order = ("sram", "axi", "dram")
        queue = int(order.index(destination) > order.index(source))
        self.moves.append(Move(s, source, destination, issue, due, queue))

    def addressed(self) -> list[Residency]:
        """First fit by start; what is written over something shares its place."""
        chains: dict[int, list[_Stay]] = {}
        for stay in self.stays:
            head = stay
            while head.over is not None:
                head = head.over
            chains.setdefault(id(head), []).append(stay)
        done: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
        rows = []
        for chain in sorted(
            chains.values(), key=lambda c: (-self.g.tensor[c[0].tensor].nbytes, c[0].tensor, c[0].start)
        ):
            memory, start, stop = chain[0].memory, min(x.start for x in chain), max(x.stop for x in chain)
            size = align_up(self.g.tensor[chain[0].tensor].nbytes, UNIT)
            offset = 0
            for low, high in sorted(
                (low, high) for a, b, low, high in done[memory] if a < stop and b > start
            ):
                if low < offset + size and high > offset:
                    offset = high
            done[memory].append((start, stop, offset, offset + size))
            rows += [Residency(x.tensor, memory, x.start, x.stop, offset, size) for x in chain]
        return sorted(rows, key=lambda r: (r.start, r.memory, r.offset, r.tensor))


def spread_plan(graph: Graph, timed: bool = False) -> Plan:
    """A valid plan of `graph` over the memories of `spread_target`, its capacities what it uses. Same graph, same plan."""
    return _Spread(graph, timed).plan()


def blocks(count: int, nbytes: int = 1024) -> Graph:
    """A chain of blocks: two branches that a Concat joins, one of them through a ReLU that may work in place; every
    other block needs a workspace, and in the end what the blocks gave is added up, the last one's first."""
    tensors, ops, last = [Tensor("x", nbytes, "input")], list[Op](), "x"

    def made(name: str, size: int) -> str:
        tensors.append(Tensor(name, size))
        return name

    for k in range(count):
        narrow = made(f"narrow{k}", nbytes // 2)
        left, right, relu = made(f"left{k}", nbytes), made(f"right{k}", nbytes), made(f"relu{k}", nbytes)
        both, next_ = made(f"both{k}", 2 * nbytes), made(f"next{k}", nbytes)
        outputs, workspace = (left,), None
        if k % 2:
            workspace = f"scratch{k}"
            tensors.append(Tensor(workspace, 256, "workspace"))
            outputs = (left, workspace)
        ops += [
            Op(f"squeeze{k}", "Conv", (last,), (narrow,), 1000),
            Op(f"a{k}", "Conv", (narrow,), outputs, 9000, workspace=workspace),
            Op(f"b{k}", "Conv", (narrow,), (right,), 9000),
            Op(f"relu{k}", "Relu", (right,), (relu,), 10, overwrites=((relu, right),)),
            Op(f"concat{k}", "Concat", (left, relu), (both,), 0, joins=((left, 0), (relu, nbytes))),
            Op(f"shrink{k}", "Conv", (both,), (next_,), 5000),
        ]
        last = next_
    for k in reversed(range(count - 1)):
        total, before = made(f"sum{k}", nbytes), last
        ops.append(Op(f"add{k}", "Add", (f"next{k}", before), (total,), 100, overwrites=((total, before),)))
        last = total
    made("y", 64)
    ops.append(Op("end", "Softmax", (last,), ("y",), 100))
    return Graph("blocks", tuple(tensors), tuple(ops), ("y",))


def wide_plans(count: int, most_ops: int = 20) -> Iterator[tuple[Graph, Plan]]:
    """So many random valid plans on random targets, with what they cost."""
    seed = 0
    while count:
        rng = random.Random(seed := seed + 1)
        graph = wide_graph(rng, rng.randint(1, most_ops))
        plan = wide_plan(rng, graph)
        if check(graph, plan, claims=False):
            continue
        metrics = simulate(graph, plan)
        yield graph, replace(plan, metrics=metrics, value=metrics.value(plan.options.objective))
        count -= 1
