"""Where each storage may lie over its whole life, on a target of any memories, and what that costs."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.problem import joins
from memplan.problem.op_times import roles
from memplan.problem.options import Options
from memplan.problem.pins import Pin, parse_pin

Reach = tuple[str, ...]
"""The memories in which an op may read or write a storage, fastest first."""


class Place(NamedTuple):
    """A memory in which a storage may lie from its first touch to its last.

    Args:
        memory: its name.
        cost: byte costs of all that reads and writes the storage, each op executed once, and of its moves.
        size: the bytes it takes there, 0 in a memory without addresses.
        alignment: its offset is a multiple of so many bytes.
        offset: the byte where it is pinned, None where it may lie anywhere.
        moved: whether a move brings it there from its home, or takes it home once it is written.
    """

    memory: str
    cost: float
    size: int = 0
    alignment: int = 1
    offset: int | None = None
    moved: bool = False


class Parts(NamedTuple):
    """The parts that ops lay side by side in a storage, in which ops are joined.

    Args:
        ops: numbers of those that write or read parts, ascending: until the last of them is done, and the storage's
            writer, which copies nothing, it stays where it is.
        memories: those in which all of them may, fastest first; its parts keep to the alignment there.
        accessed: bytes of parts that these ops write and read.
    """

    ops: tuple[int, ...]
    memories: Reach
    accessed: int


@dataclass(frozen=True, slots=True)
class Placeable:
    """A storage of which a plan says where it lies.

    Args:
        name: that of its root tensor.
        nbytes: its bytes.
        home: the memory where it lies before the first step, or must lie at the end.
        writer: number of the op that writes it, -1 for inputs and constants.
        readers: numbers of the ops that read it, ascending.
        is_output: whether it must be at home at the end.
        is_workspace: whether it is needed while its op runs alone.
        is_streamed: whether it is a constant that is loaded for each use and dropped, where it is loaded.
        at_home_cost: what no plan can do without: the byte cost of reading it from its home, or writing it there, once.
        access_cost: the byte costs of all that reads and writes it, each in the cheapest memory that serves it.
        places: where it may lie, in the order of the target's memories.
        parts: what is joined in it, None where nothing is.
    """

    name: str
    nbytes: int
    home: str
    writer: int
    readers: tuple[int, ...]
    is_output: bool
    is_workspace: bool
    is_streamed: bool
    at_home_cost: float
    access_cost: float
    places: tuple[Place, ...]
    parts: Parts | None = None

    @property
    def is_given(self) -> bool:
        """Whether it is there before the first step: an input or a constant."""
        return self.writer < 0

    @property
    def touches(self) -> tuple[int, ...]:
        """Numbers of the ops that write or read it, the writer first, and of those that its parts are for."""
        inside = self.parts.ops if self.parts else ()
        return self.readers if self.is_given else (self.writer, *inside, *self.readers)


def placeables(
    graph: Graph, target: Target, options: Options, joined: Collection[str] = ()
) -> tuple[Placeable, ...]:
    """All storages of which a plan says where they lie, in order of first touch, where these ops are joined.

    Left out are constants that the options ignore, what is the caller's (io external), and parts of what is joined.
    What no memory can hold has no places; a storage whose home has addresses lies there though nothing may touch it,
    if it is an output.
    """
    writer: dict[str, int] = {}
    readers: dict[str, list[int]] = {}
    inside = joins.places(graph, joined)
    parts: dict[str, list[_PartAccess]] = {}
    for i, op in enumerate(graph.ops):
        idle = op.view or op.name in joined
        reads = [] if idle else [*dict.fromkeys(graph.storage_of[x] for x in op.inputs)]
        for x, writing in (
            *((x, False) for x in reads),
            *((x, True) for x in (() if op.view else op.outputs)),
        ):
            if x in inside:
                whole, first = inside[x]
                readers.setdefault(whole, [])
                if not idle:
                    parts.setdefault(whole, []).append(_PartAccess(i, x, first, writing))
                continue
            of = readers.setdefault(x, [])
            if writing:
                writer[x] = i
            else:
                of.append(i)
    survey = _Survey(graph, target, options, parts)
    if graph.ops:
        given = (t.name for t in graph.tensors if t.kind in ("input", "constant"))
        lying = (s for s in given if s in graph.output_storages and survey.is_addressed(survey.home(s)))
        readers |= {s: readers.get(s, []) for s in lying}
    return tuple(
        survey.placeable(s, writer.get(s, -1), tuple(reading))
        for s, reading in readers.items()
        if survey.is_placeable(s)
    )


def compulsory(found: Sequence[Placeable]) -> float:
    """What every plan pays, and what traffic therefore does not count."""
    return sum(s.at_home_cost for s in found)


def is_free(target: Target, options: Options) -> bool:
    """Whether all ops reach memory in which a byte costs nothing, and all can be brought there, so that
    `least_cost` is 0.
    """
    usual = (target.scratchpad.name,)
    reached = [target.operands.get("default", usual), *target.operands.values()]
    costless = {m.name for m in target.addressed if target.byte_cost(m.name) == 0}
    return target.queues > 0 and options.weights != "stream" and all(costless & {*names} for names in reached)


def least_cost(target: Target, options: Options, found: Sequence[Placeable]) -> float:
    """A lower bound on the traffic of every plan, whatever its order: what is beyond the compulsory even so.

    Where nothing is moved, nothing is executed again and nothing is joined, each storage lies in one place.
    """
    still = target.queues == 0 and options.recompute == 1 and not options.join
    total = 0.0
    for s in found:
        cost = max(s.at_home_cost, s.access_cost)
        if still:
            cost = min((p.cost for p in s.places), default=cost)
        elif s.is_streamed and len(target.memories) == 2:
            cost = max(cost, s.at_home_cost * len(s.readers))  # a copy serves one use, made from home
        total += cost - s.at_home_cost
    return int(total) if total.is_integer() else total


class _PartAccess(NamedTuple):
    """An op that writes or reads a part, and the part's first byte in what it is joined in."""

    op: int
    part: str
    first: int
    writing: bool


class _Survey:
    """What graph, target and options say of storages, each question answered once."""

    def __init__(
        self, graph: Graph, target: Target, options: Options, accesses: Mapping[str, Sequence[_PartAccess]]
    ) -> None:
        self.graph, self.target, self.options, self.accesses = graph, target, options, accesses
        self.role = roles(graph)
        self.order = [m.name for m in target.memories]
        self.addressed = {m.name for m in target.addressed}
        self.byte_cost = {name: target.byte_cost(name) for name in self.order}
        self.pins = {name: parse_pin(word) for name, word in options.pins.items()}
        self.reached: dict[tuple[bool, str, str], Reach] = {}
        # Where ops may be joined they read and write for nothing, and a part may be written where the whole is at home.
        self.joining = {i for i, op in enumerate(graph.ops) if options.join and op.joins}
        self.parts = {x for i in self.joining for x, _ in graph.ops[i].joins}

    def is_addressed(self, memory: str) -> bool:
        return memory in self.addressed

    def is_io(self, s: str) -> bool:
        return self.graph.tensor[s].kind == "input" or self.role[s] == "outputs"

    def is_placeable(self, s: str) -> bool:
        if self.graph.tensor[s].kind == "constant":
            return self.options.weights != "ignore"
        return not (self.options.io == "external" and self.is_io(s))

    def home(self, s: str) -> str:
        if self.options.io == "resident" and self.is_io(s):
            return self.order[0]
        return self.target.home_of(self.role[s])

    def placeable(self, s: str, writer: int, readers: tuple[int, ...]) -> Placeable:
        tensor, home, is_output = self.graph.tensor[s], self.home(s), s in self.graph.output_storages
        reads = [self._reach(False, i, s) for i in readers]
        parts = self._parts(s)
        writes = [self._reach(True, writer, s)] if writer >= 0 and not parts else []
        free = self.joining | ({writer} if s in self.parts else set())
        accesses = zip([*reads, *writes], [*readers, writer], strict=False)
        least = sum(min(self.byte_cost[m] for m in reach) for reach, i in accesses if i not in free)
        if writer < 0:
            places = self._given_places(s, reads)
        elif parts:
            places = self._joined_places(s, reads, parts)
        else:
            places = self._written_places(s, reads, writes[0])
        inside = (
            parts.accessed * min((self.byte_cost[m] for m in parts.memories), default=0.0) if parts else 0.0
        )
        return Placeable(
            name=s,
            nbytes=tensor.nbytes,
            home=home,
            writer=writer,
            readers=readers,
            is_output=is_output,
            is_workspace=tensor.kind == "workspace",
            is_streamed=self._is_streamed(s),
            at_home_cost=tensor.nbytes * self.byte_cost[home] * (bool(readers) if writer < 0 else is_output),
            access_cost=tensor.nbytes * least + inside,
            places=tuple(p for p in places if self._keeps_pin(s, p)),
            parts=parts,
        )

    def _parts(self, s: str) -> Parts | None:
        """What is joined in the storage."""
        if (inside := self.accesses.get(s)) is None:
            return None
        tensor = self.graph.tensor
        reaches = [self._reach(x.writing, x.op, x.part) for x in inside]
        memories = tuple(
            m.name
            for m in self.target.addressed
            if all(m.name in reach for reach in reaches)
            and all(x.first % lcm(m.alignment, tensor[x.part].alignment or 1) == 0 for x in inside)
        )
        ops = tuple(sorted({x.op for x in inside}))
        return Parts(ops, memories, sum(tensor[x.part].nbytes for x in inside))

    def _joined_places(self, s: str, reads: Sequence[Reach], parts: Parts) -> Iterator[Place]:
        """Where a storage may lie in which ops are joined: written and paid for part by part, its whole life long aligned
        as they ask.
        """
        inside = {x.part for x in self.accesses[s]}
        alignment = lcm(*(self.graph.tensor[x].alignment or 1 for x in inside))
        for place in self._written_places(s, reads, parts.memories):
            paid = (parts.accessed - self.graph.tensor[s].nbytes) * self.byte_cost[place.memory]
            yield place._replace(cost=place.cost + paid, alignment=lcm(place.alignment, alignment))

    def _given_places(self, s: str, reads: Sequence[Reach]) -> Iterator[Place]:
        """Where an input or a constant may lie: at home, or where it is loaded to from a home that has it all along."""
        home, streamed = self.home(s), self._is_streamed(s)
        for m in self.order:
            if m == home and all(m in reach for reach in reads):
                yield self._place(s, m, [m] * len(reads))
            elif m != home and self._may_leave_home(s) and self.target.copying_queues(home, m):
                served = self._served(reads, m, home)
                uses = served.count(m)
                whole = len(served) == len(reads) and (not streamed or uses == len(reads))
                if m in self.addressed and uses and whole:
                    copies = [m, home] * (uses if streamed else 1)
                    yield self._place(s, m, served + copies, moved=True)

    def _written_places(self, s: str, reads: Sequence[Reach], writes: Reach) -> Iterator[Place]:
        """Where what an op writes may lie: of an output its home, or where it is stored from at once."""
        home, is_output = self.home(s), s in self.graph.output_storages
        workspace = self.graph.tensor[s].kind == "workspace"
        for m in writes:
            if is_output and m != home:
                served = self._served(reads, m, home)
                copied = self._may_leave_home(s) and self.target.copying_queues(m, home)
                if copied and m in self.addressed and len(served) == len(reads):
                    yield self._place(s, m, [m, *served, m, home], moved=True)
            elif all(m in reach for reach in reads) and (m in self.addressed or not workspace):
                yield self._place(s, m, [m] * (1 + len(reads)))

    def _served(self, reads: Sequence[Reach], *memories: str) -> list[str]:
        """The fastest of the memories in which each of the ops may read, left out where it may in none."""
        return [
            next(m for m in reach if m in memories) for reach in reads if not set(memories).isdisjoint(reach)
        ]

    def _may_leave_home(self, s: str) -> bool:
        """Whether it may lie elsewhere besides: its home needs no address for it, and is not the first memory's own."""
        return self.home(s) not in self.addressed

    def _place(self, s: str, m: str, touched: Sequence[str], moved: bool = False) -> Place:
        """The place in memory `m`, where reading, writing and moving the storage costs what it does in `touched`."""
        tensor, memory = self.graph.tensor[s], self.target.memory[m]
        cost = tensor.nbytes * sum(self.byte_cost[x] for x in touched)
        if m not in self.addressed:
            return Place(m, cost)
        pin, alignment = self.pins.get(s, Pin()), lcm(memory.alignment, tensor.alignment or 1)
        offset = pin.offset if m == pin.place(self.order[0]) else None
        return Place(m, cost, align_up(tensor.nbytes, memory.alignment), alignment, offset, moved)

    def _keeps_pin(self, s: str, place: Place) -> bool:
        """Whether the place is one that the storage's pin allows: a pin to a memory leaves it its home, and
        the backing one.
        """
        pin, backing = self.pins.get(s, Pin()), self.target.backing
        if place.memory not in self.addressed:
            return not pin.keep
        if place.offset is not None and place.offset % place.alignment:
            return False
        pinned = pin.place(self.order[0])
        retreats = {self.home(s), backing.name if backing else None}
        return not pin.host and (
            pinned in (None, place.memory) or (place.memory in retreats and not pin.keep)
        )

    def _is_streamed(self, s: str) -> bool:
        return self.graph.tensor[s].kind == "constant" and self.options.weights == "stream"

    def _reach(self, writing: bool, i: int, s: str) -> Reach:
        """The memories in which op `i` may write or read the storage, fastest first."""
        kind, role = self.graph.ops[i].kind, self.role[s]
        key = writing, kind, role
        if key not in self.reached:
            self.reached[key] = (self.target.writable if writing else self.target.readable)(kind, role)
        return self.reached[key]
