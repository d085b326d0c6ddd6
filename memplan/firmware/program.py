"""A plan as firmware carries it out: blocks of memory, places in them, operands of each step, and copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import lcm
from typing import NamedTuple

from memplan.base.errors import PlanError
from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
from memplan.judge.copies import HOME, Copies
from memplan.judge.plan_view import PlanView
from memplan.machine.parts import Memory
from memplan.problem.plan import Plan


class Arena(NamedTuple):
    """The bytes of a memory that the plan uses, from its first byte on.

    Args:
        memory: whose bytes they are.
        nbytes: how many, 1 at least.
        alignment: their first address is a multiple of it, a power of two.
    """

    memory: Memory
    nbytes: int
    alignment: int


class Buffer(NamedTuple):
    """A block that the user of the plan has, of what has no planned address.

    Args:
        storage: what lies there; of an input that is donated, its next value too.
        nbytes: how large it is.
        memory: the name of the memory in which the plan has it, None where it does not say.
        alignment: the address is to be a multiple of it, a power of two.
    """

    storage: str
    nbytes: int
    memory: str | None
    alignment: int


class Place(NamedTuple):
    """Byte `offset` of a block: block `k` is arena k, or, behind the arenas, buffer `k` less the number of arenas."""

    block: int
    offset: int


class Copy(NamedTuple):
    """A move of `nbytes` bytes from place `source` to place `destination`, both numbers; else as `Move`."""

    storage: str
    source: int
    destination: int
    nbytes: int
    issue: int
    due: int
    queue: int

    @property
    def beside(self) -> bool:
        """Whether it may run beside ops: a step later than the one before which it starts waits for it."""
        return self.issue < self.due


class Given(NamedTuple):
    """Tensor `tensor` lies at place `place` before step 0, or at the end."""

    tensor: str
    place: int


@dataclass(frozen=True)
class Program:
    """All that the emitted C says of a plan.

    Args:
        view: the plan.
        arenas: used memories, fastest first.
        buffers: by the order of the graph's tensors.
        places: each once.
        operands: by step the places of what its op reads and then of what it writes, as the op lists them, constants
            that the plan ignores left out; none where the op need not run: a view, or joined.
        copies: by issue; at one boundary in the plan's order.
        given: inputs and constants, where the plan has them before step 0.
        results: the graph's outputs, where they are at the end.
    """

    view: PlanView
    arenas: tuple[Arena, ...]
    buffers: tuple[Buffer, ...]
    places: tuple[Place, ...]
    operands: tuple[tuple[int, ...], ...]
    copies: tuple[Copy, ...]
    given: tuple[Given, ...]
    results: tuple[Given, ...]

    @property
    def graph(self) -> Graph:
        """The graph that was planned."""
        return self.view.graph

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.view.plan

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """What the plan knows of: all but constants that it ignores, in the graph's order."""
        root = self.graph.storage_of
        return tuple(t for t in self.graph.tensors if not _is_ignored(self.view, root[t.name]))


def tensors_of(view: PlanView, op: Op) -> tuple[str, ...]:
    """What the op reads and then what it writes, as it lists them, where the plan knows of it; nothing where it need
    not run."""
    if op.view or op.name in view.joined:
        return ()
    read = [x for x in op.inputs if not _is_ignored(view, view.graph.storage_of[x])]
    return (*read, *op.outputs)


def _is_ignored(view: PlanView, storage: str) -> bool:
    return view.options.weights == "ignore" and view.graph.tensor[storage].kind == "constant"


def program_of(graph: Graph, plan: Plan) -> Program:
    """The plan's program; linear in operands and moves but for looking up copies.

    Args:
        graph, plan: a valid plan of the graph, with steps.

    Raises:
        PlanError: an alignment is no power of two, which C cannot give.
    """
    return _Lowering(graph, plan).program()


Block = tuple[bool, str]
"""A block while not all are known: whether it is a buffer, and the memory, or the storage, that it belongs to."""


class _Lowering:
    """Places by number, as they are met, and where storages without planned addresses lie."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan = graph, plan
        self.view = PlanView(graph, plan)
        self.copies = Copies(self.view)
        self.places: dict[tuple[Block, int], int] = {}
        self.own: dict[str, int] = {}  # storages that lie for good in the backing memory: their first bytes
        self.met: set[Block] = set()
        self.ends = dict.fromkeys(plan.target.memory, 0)
        for r in plan.residencies:
            self.ends[r.memory] = max(self.ends[r.memory], r.offset + r.size)
        self.alignments = {m.name: m.alignment for m in plan.target.memories}
        parts: dict[str, list[str]] = defaultdict(list)
        for x, part in self.view.parts.items():
            parts[part.storage].append(x)
        for r in plan.residencies:
            for s in (r.tensor, *parts[r.tensor]):
                self._align(r.memory, s)

    def program(self) -> Program:
        copies = tuple(self._copies())
        operands = tuple(self._operands(t, op) for t, op in enumerate(self.view.ops))
        results = tuple(self._results())
        given = tuple(self._given())
        arenas = tuple(self._arena(m) for m in self.plan.target.memories if (False, m.name) in self.met)
        buffers = tuple(self._buffer(t.name) for t in self.graph.tensors if (True, t.name) in self.met)
        number: dict[Block, int] = {(False, arena.memory.name): k for k, arena in enumerate(arenas)}
        number |= {(True, buffer.storage): len(arenas) + k for k, buffer in enumerate(buffers)}
        places = tuple(Place(number[block], offset) for block, offset in self.places)
        return Program(self.view, arenas, buffers, places, operands, copies, given, results)

    def _place(self, storage: str, memory: str | None, offset: int | None, first_byte: int = 0) -> int:
        """The number of the place where a tensor begins, `first_byte` within its storage."""
        block, start = self._found(storage, memory, offset)
        self.met.add(block)
        return self.places.setdefault((block, start + first_byte), len(self.places))

    def _found(self, storage: str, memory: str | None, offset: int | None) -> tuple[Block, int]:
        if memory is not None and offset is not None and memory in self.view.addressed:
            return (False, memory), offset
        part = self.view.parts.get(storage)
        whole, first = (storage, 0) if part is None else part
        if memory is None or self.view.is_given(whole):
            return (True, whole), first
        if whole in self.view.outputs:
            return (True, self.view.renewed.get(whole, whole)), first
        return (False, memory), self._own(whole, memory) + first

    def _own(self, storage: str, memory: str) -> int:
        """The first byte of a storage that lies for good in the backing memory, one behind the other."""
        if storage not in self.own:
            self._align(memory, storage)
            self.own[storage] = align_up(self.ends[memory], self.alignments[memory])
            self.ends[memory] = self.own[storage] + self.graph.tensor[storage].nbytes
        return self.own[storage]

    def _align(self, memory: str, storage: str) -> None:
        """Align the memory's arena so that offsets of the storage in it are multiples of its own alignment."""
        self.alignments[memory] = lcm(self.alignments[memory], self.graph.tensor[storage].alignment or 1)

    def _operands(self, step: int, op: Op) -> tuple[int, ...]:
        names = tensors_of(self.view, op)
        written = len(names) - len(op.outputs)
        return tuple(self._operand(step, op, x, k >= written) for k, x in enumerate(names))

    def _operand(self, step: int, op: Op, name: str, written: bool) -> int:
        s, view = self.graph.storage_of[name], self.view
        memory = None
        if view.is_placeable(s):
            readable = view.target.readable(op.kind, view.role(s))
            memory = self.copies.destination(s, step) if written else self.copies.serving(s, readable, step)
        copy = self.copies.at(s, memory, step) if memory is not None else None
        return self._place(s, memory, copy and copy.offset, self.graph.tensor[name].first_byte)

    def _copies(self) -> Iterable[Copy]:
        """The moves that copy bytes."""
        moves = self.plan.moves
        for k in sorted(range(len(moves)), key=lambda k: moves[k].issue):
            m = moves[k]
            nbytes = self.graph.tensor[m.tensor].nbytes
            if nbytes:
                read, made = self.copies.source(k), self.copies.at(m.tensor, m.destination, m.issue)
                source = self._place(m.tensor, m.source, read and read.offset)
                destination = self._place(m.tensor, m.destination, made and made.offset)
                yield Copy(m.tensor, source, destination, nbytes, m.issue, m.due, m.queue)

    def _given(self) -> Iterable[Given]:
        """Inputs and constants in arenas, and those in buffers that the plan uses."""
        for t in self.graph.tensors:
            if not self.view.is_given(t.name) or _is_ignored(self.view, t.name):
                continue
            memory, offset = None, None
            if self.view.is_placeable(t.name):
                memory = self.view.home(t.name)
                rows = self.copies.found.get((t.name, memory), [])
                if memory in self.view.addressed and not (rows and HOME in rows[0].makers):
                    continue
                offset = rows[0].offset
            block, _ = self._found(t.name, memory, offset)
            if not block[0] or block in self.met:
                yield Given(t.name, self._place(t.name, memory, offset))

    def _results(self) -> Iterable[Given]:
        for name in dict.fromkeys(self.graph.outputs):
            s = self.graph.storage_of[name]
            memory, offset = None, None
            if self.view.is_placeable(s):
                memory = self.view.home(s)
                offset = self.copies.found[s, memory][-1].offset
            elif _is_ignored(self.view, s):
                continue
            yield Given(name, self._place(s, memory, offset, self.graph.tensor[name].first_byte))

    def _arena(self, memory: Memory) -> Arena:
        alignment = self.alignments[memory.name]
        _require_power_of_two(f"addresses in '{memory.name}'", alignment)
        return Arena(memory, max(1, self.ends[memory.name]), alignment)

    def _buffer(self, storage: str) -> Buffer:
        memory = self.view.home(storage) if self.view.is_placeable(storage) else None
        held = [self.graph.tensor[storage]]
        alignment = 1
        if memory is not None:
            renewing = (u for u, i in self.view.renewed.items() if i == storage)
            held += [self.graph.tensor[u] for u in renewing if not self.view.is_given(u)]
            alignment = self.plan.target.memory[memory].alignment
        alignment = lcm(alignment, *(t.alignment or 1 for t in held))
        _require_power_of_two(f"the address of '{storage}'", alignment)
        return Buffer(storage, max(t.nbytes for t in held), memory, alignment)


def _require_power_of_two(what: str, alignment: int) -> None:
    if alignment & (alignment - 1):
        raise PlanError(
            f"{what} must be a multiple of {alignment}, and C aligns to powers of two alone",
            "plan with alignments of memories and tensors that are powers of two",
        )
