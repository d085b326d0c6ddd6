"""Valid plans of real models with features forced into them that no solver makes: what executors must bear.

From a plan's order: cheap ops executed again just before a later use, every op joined that can be, storages spread
over all memories and moved between any two, operands read where they lie, results written over operands.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.model import Model
from memplan.ir.parts import Op
from memplan.judge.check.check import check
from memplan.judge.plan_view import PlanView
from memplan.machine.parts import Compute, Memory
from memplan.machine.target import Target
from memplan.problem.options import Options
from memplan.problem.plan import InPlace, Move, Plan, Residency, Status

WIDE = Target(
    "wide",
    (
        Memory("near", bandwidth=8e9),
        Memory("far", alignment=16, bandwidth=4e9),
        Memory("flash", bandwidth=2e9, readonly=True),
        Memory("backing", bandwidth=1e9),
    ),
    {"default": ("near", "far", "backing"), "constants": ("near", "far", "flash", "backing")},
    {"constants": "flash"},
    compute=Compute(1e9),
)
"""Ops use every memory."""
STRICT = replace(WIDE, name="strict", operands={"default": ("near", "far")})
"""Nothing is read or written in the memories without addresses."""
LISTED = replace(
    WIDE, name="listed", memories=(*WIDE.memories[:3], replace(WIDE.memories[3], addresses=True))
)
"""The backing memory has addresses too."""


WAYS = [
    (target, io, objective)
    for target, io, objective in product(
        (WIDE, STRICT, LISTED), ("host", "external", "resident"), ("traffic", "latency")
    )
    if target is not STRICT or objective == "traffic"
]


@dataclass
class _Copy:
    """A storage in an addressed memory: its steps, whether it stays there whatever is copied elsewhere, whether a move
    due at its stop reads it, and the chain that shares its offset."""

    storage: str
    memory: str
    start: int
    stop: int
    stays: bool = False
    read_last: bool = False
    chain: list[_Copy] = field(default_factory=list)


def forced(
    rng: random.Random, graph: Graph, order: tuple[str, ...], target: Target, options: Options
) -> Plan:
    """A valid plan that executes the ops in this order; `options` say what is forced: inplace, join, recompute, io,
    and with objective latency moves that take time."""
    return _Forcing(rng, graph, order, target, options).plan()


def forced_plan(model: Model, seed: int, target: Target, io: str, objective: str, **more: Any) -> Plan:
    """A valid plan into which everything is forced."""
    options = {
        "weights": "tensor",
        "inplace": True,
        "join": True,
        "recompute": 2,
        "compute_limit": 10.0,
    } | more
    order = tuple(op.name for op in model.graph.ops)
    plan = forced(random.Random(seed), model.graph, order, target, Options(objective, io=io, **options))
    assert check(model.graph, plan, claims=False) == []
    return plan


class _Forcing:
    def __init__(
        self, rng: random.Random, graph: Graph, order: tuple[str, ...], target: Target, options: Options
    ) -> None:
        self.rng, self.graph, self.target, self.options = rng, graph, target, options
        ops = {op.name: op for op in graph.ops}
        joined = self._joinable(options) if options.join else ()
        schedule = tuple(order)
        if options.recompute != 1:
            inside = {x for name in joined for x in (*ops[name].inputs, *ops[name].outputs)}
            schedule = self._repeated([ops[name] for name in order], inside)
        self.bare = Plan(
            graph.name, graph.sha256, target, options, "forced", Status.FEASIBLE, schedule, aliases=graph.aliases, joined=joined, value=0
        )  # fmt: skip
        self.view = PlanView(graph, self.bare)
        self.copies: list[_Copy] = []
        self.moves: list[Move] = []
        self.pairs: list[InPlace] = []
        self.unaddressed: dict[str, set[str]] = defaultdict(
            set
        )  # memories without addresses that hold a storage

    def _joinable(self, options: Options) -> tuple[str, ...]:
        outputs, held, found = self.graph.output_storages, Counter[str](), []
        for op in self.graph.ops:
            parts = [x for x, _ in op.joins]
            late = op.outputs[0] in outputs and (options.io == "external" or options.objective == "latency")
            made = all(self.graph.tensor[x].kind == "activation" for x in parts)
            if parts and made and not late and not any(x in outputs or held[x] for x in parts):
                held.update(parts)
                found.append(op.name)
        return tuple(found)

    def _repeated(self, ops: list[Op], inside: set[str]) -> tuple[str, ...]:
        """The schedule with ops executed again just before a later op that reads what they write."""
        root, again = self.graph.storage_of, defaultdict[int, list[str]](list)
        readers: dict[str, list[int]] = defaultdict(list)
        for t, op in enumerate(ops):
            for x in () if op.view else op.inputs:
                readers[root[x]].append(t)
        for t, op in enumerate(ops):
            later = [u for x in op.outputs for u in readers[x] if u > t + 1]
            fixed = any(x in inside or x in self.graph.output_storages for x in op.outputs)
            if later and not (op.view or op.once or fixed) and self.rng.random() < 0.4:
                again[self.rng.choice(later)].append(op.name)
        return tuple(name for t, op in enumerate(ops) for name in (*again[t], op.name))

    def plan(self) -> Plan:
        view, n = self.view, self.view.n
        uses: dict[str, list[int]] = defaultdict(list)
        for s, steps in view.uses.items():
            uses[view.parts[s].storage if s in view.parts else s] += steps
        for t in self.graph.tensors:
            if (
                view.is_given(t.name)
                and view.is_placeable(t.name)
                and self.graph.storage_of[t.name] == t.name
            ):
                self._given(t.name, sorted(uses[t.name]))
        born = sorted((t, s) for s, begins in view.begins.items() for t in begins if view.is_placeable(s))
        for t, s in born:
            later = [u for u in view.begins[s] if u > t]
            end = min(later, default=n)
            self._written(s, t, sorted(u for u in set(uses[s]) if t < u < end), not later)
        self.moves.sort(key=lambda m: m.issue)
        rows = self._placed()
        return replace(
            self.bare, residencies=tuple(rows), moves=tuple(self.moves), inplace=tuple(sorted(self.pairs))
        )

    def _given(self, s: str, uses: list[int]) -> None:
        view, home = self.view, self.view.home(s)
        kept = s in view.outputs
        if home not in view.addressed:
            self.unaddressed[s].add(home)
            self._wander(s, None, 0, uses)
        elif uses or kept:
            stop = view.n if kept or home != self.target.memories[0].name else uses[-1] + 1
            copy = self._lay(s, home, 0, stop, stays=True)
            if home != self.target.memories[0].name:
                self._wander(s, copy, 0, uses)

    def _written(self, s: str, t: int, uses: list[int], last: bool) -> None:
        """One value of a storage: where it is written at step t, and where it goes until its last use."""
        view, op, home = self.view, self.view.ops[t], self.view.home(s)
        ready, wanted = view.begins[s][t], last and s in view.outputs
        if view.is_io(s) and self.options.io == "resident":
            self._lay(s, home, t, view.n)
            return
        whole = s not in op.outputs  # a joined storage begins with its first part
        over = None
        if wanted and (home in view.addressed or (self.timed and ready == view.n)):
            memory = home
        elif whole:
            memory = self.target.memories[0].name
        elif (over := self._overwritable(s, t, op)) is not None:
            memory = over.memory
        else:
            reach = self.target.writable(op.kind, view.role(s))
            backing = () if s == op.workspace else (self.target.host.name,)
            memory = self.rng.choice([m for m in reach if m in view.addressed or m in backing])
        copy = None
        if memory in view.addressed:
            stays = wanted and memory == home
            stop = view.n if stays else max([ready, *(u + 1 for u in uses)])
            copy = self._lay(s, memory, t, stop, over, stays)
        else:
            self.unaddressed[s].add(memory)
        final = self._wander(s, copy, ready, [u for u in uses if u >= ready])
        if wanted and home not in view.addressed and home not in self.unaddressed[s] and final is not None:
            self._store(s, home, final, ready)

    def _store(self, s: str, home: str, final: _Copy, ready: int) -> None:
        """Copy an output home from the copy that is left of it, which ends then."""
        if self.timed and final.stop - 1 < max(ready, self._ready(final)):
            final.stop = self.view.n
        final.read_last = True
        self.moves.append(Move(s, final.memory, home, final.stop - self.timed, final.stop))

    @property
    def timed(self) -> bool:
        return self.options.objective == "latency"

    def _ready(self, copy: _Copy) -> int:
        moved = [
            m.due
            for m in self.moves
            if (m.tensor, m.destination, m.issue) == (copy.storage, copy.memory, copy.start)
        ]
        return moved[0] if moved else copy.start + 1

    def _wander(self, s: str, copy: _Copy | None, ready: int, uses: list[int]) -> _Copy | None:
        """Copy a storage to another memory before some of its uses; the copy that is left at the end, if any."""
        view, role = self.view, self.view.role(s)
        parts = {x for x, p in view.parts.items() if p.storage == s}
        for k, u in enumerate(uses):
            op = view.ops[u]
            reach = self.target.readable(op.kind, role)
            reach = tuple(m for m in reach if not parts or m in view.addressed)
            there = self.unaddressed[s] | ({copy.memory} if copy else set())
            must = not there & set(reach)
            free = [
                m for m in reach if m not in there and (m in view.addressed or m == self.target.host.name)
            ]
            if not free or not (must or self.rng.random() < 0.35):
                continue
            to = self.rng.choice(free)
            source = copy.memory if copy else self.rng.choice(sorted(self.unaddressed[s]))
            left = [c.stop for c in self.copies if (c.storage, c.memory) == (s, to)]
            issue = u
            if self.timed:
                earliest = max([ready, *left])
                if earliest >= u:
                    continue
                issue = self.rng.randint(earliest, u - 1)
            elif max(left, default=0) > u:
                continue
            if copy is not None and not copy.stays:
                copy.stop = u + self.rng.randint(0, 1) if u > copy.start else u + 1
                copy.read_last |= copy.stop == u
            self.moves.append(Move(s, source, to, issue, u))
            ready = u
            if to in view.addressed:
                copy = self._lay(s, to, issue, max(v + 1 for v in uses[k:]))
            else:
                self.unaddressed[s].add(to)
                copy = None
        return copy

    def _overwritable(self, s: str, t: int, op: Op) -> _Copy | None:
        """A copy that the execution may write s over: of an operand, read here for the last time, in a memory of its own."""
        if not self.options.inplace:
            return None
        parts = {x: p.storage for x, p in self.view.parts.items()}
        wholes = set(parts.values())
        for out, x in op.overwrites:
            a = self.graph.storage_of[x]
            if out != s or a in parts or a in wholes or s in wholes or not self.view.is_placeable(a):
                continue
            for c in self.copies:
                held = (c.storage, c.stop) == (a, t + 1) and c.start <= t and not c.stays and not c.read_last
                if held and not any(p.step == t for p in self.pairs) and self._ready(c) <= t:
                    if c.memory in self.target.writable(op.kind, self.view.role(s)):
                        self.pairs.append(InPlace(t, s, a))
                        return c
        return None

    def _lay(
        self, s: str, memory: str, start: int, stop: int, over: _Copy | None = None, stays: bool = False
    ) -> _Copy:
        copy = _Copy(s, memory, start, stop, stays, chain=over.chain if over else [])
        copy.chain.append(copy)
        self.copies.append(copy)
        return copy

    def _placed(self) -> list[Residency]:
        """First fits in a random order; what is written over something shares its offset."""
        chains = list({id(c.chain): c.chain for c in self.copies}.values())
        self.rng.shuffle(chains)
        done: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
        rows = []
        for chain in chains:
            memory = self.target.memory[chain[0].memory]
            size = align_up(self.graph.tensor[chain[0].storage].nbytes, memory.alignment)
            start, stop = min(c.start for c in chain), max(c.stop + c.read_last for c in chain)
            offset = 0
            for _, _, low, high in sorted(
                (d for d in done[memory.name] if d[0] < stop and start < d[1]), key=lambda d: d[2]
            ):
                if low >= offset + size:
                    break
                offset = max(offset, high)
            done[memory.name].append((start, stop, offset, offset + size))
            rows += [Residency(c.storage, memory.name, c.start, c.stop, offset, size) for c in chain]
        return sorted(rows, key=lambda r: (r.start, r.memory, r.offset, r.tensor))
