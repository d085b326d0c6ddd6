"""What graph, target and options say of where a storage may lie, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.problem.op_times import roles
from memplan.problem.options import Options
from memplan.problem.pins import Pin, parse_pin
from memplan.problem.placeable import Parts, Place, Placeable, Reach


class PartAccess(NamedTuple):
    """An op that writes or reads a part, and the part's first byte in what it is joined in."""

    op: int
    part: str
    first: int
    writing: bool


class Survey:
    """What graph, target and options say of storages, each question answered once."""

    def __init__(
        self, graph: Graph, target: Target, options: Options, accesses: Mapping[str, Sequence[PartAccess]]
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
