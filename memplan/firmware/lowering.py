"""From a plan to its program for firmware: what happens, step by step, told in places."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import lcm

from memplan.base.errors import PlanError
from memplan.base.units import align_up
from memplan.firmware.program import (
    Address,
    Arena,
    CallerBuffer,
    FirmwareProgram,
    PlannedCopy,
    TensorAt,
    tensors_of,
)
from memplan.ir.graph import Graph
from memplan.judge import actions
from memplan.judge.plan_view import PlanView
from memplan.judge.walk import walk
from memplan.machine.parts import Memory
from memplan.problem.plan import Plan


def program_of(graph: Graph, plan: Plan) -> FirmwareProgram:
    """The plan's program; linear in operands, residencies and moves.

    Args:
        graph, plan: a valid plan of the graph.

    Raises:
        PlanError: an alignment is no power of two, which C cannot give.
    """
    return _Lowering(graph, plan).program()


Block = tuple[bool, str]
"""A block while not all are known: whether it is a buffer, and the memory, or the storage, that it belongs to."""


class _Lowering:
    """Places by number, as they are met, and where storages without planned addresses lie.

    renewed     the donated input in whose buffer an output lies in the end
    own         the first byte of each that lies for good in the backing memory's arena
    ends        by memory, the bytes in use
    alignments  by memory, what the first address of its arena is a multiple of
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.view = graph, plan, PlanView(graph, plan)
        self.renewed = {u: i for u, i in self.view.renewed.items() if not self.view.is_given(u)}
        self.places: dict[tuple[Block, int], int] = {}
        self.met: set[Block] = set()
        self.own: dict[str, int] = {}
        self.ends = dict.fromkeys(plan.target.memory, 0) | plan.peaks
        self.alignments = {m.name: m.alignment for m in plan.target.memories}
        held: dict[str, list[str]] = defaultdict(list)  # parts by the storage in which they lie
        for x, part in self.view.parts.items():
            held[part.storage].append(x)
        for r in plan.residencies:
            for s in (r.tensor, *held[r.tensor]):
                self._align(r.memory, s)

    def program(self) -> FirmwareProgram:
        at_home: dict[str, actions.Location] = {}
        copied: list[actions.Copied] = []
        operands: list[tuple[int, ...]] = []
        results: tuple[TensorAt, ...] = ()
        for action in walk(self.graph, self.plan):
            match action:
                case actions.Given(location):
                    at_home[location.storage] = location
                case actions.Copied():
                    copied.append(action)
                case actions.Executed():
                    operands.append(tuple(self._operands(action)))
                case actions.Finished(outputs):
                    results = tuple(self._results(outputs))
        copies = self._copies(copied)
        given = tuple(self._given(at_home))
        arenas = tuple(self._arena(m) for m in self.plan.target.memories if (False, m.name) in self.met)
        buffers = tuple(self._buffer(s) for s in self.view.storages if (True, s) in self.met)
        number: dict[Block, int] = {(False, arena.memory.name): k for k, arena in enumerate(arenas)}
        number |= {(True, buffer.storage): len(arenas) + k for k, buffer in enumerate(buffers)}
        places = tuple(Address(number[block], offset) for block, offset in self.places)
        return FirmwareProgram(self.view, arenas, buffers, places, tuple(operands), copies, given, results)

    def _tensor(self, name: str, location: actions.Location) -> int:
        """The number of the place where a tensor begins whose storage lies there."""
        block, start = self._block(location)
        self.met.add(block)
        return self.places.setdefault((block, start + self.graph.tensor[name].first_byte), len(self.places))

    def _storage(self, location: actions.Location) -> int:
        return self._tensor(location.storage, location)

    def _block(self, location: actions.Location) -> tuple[Block, int]:
        """The block that holds what lies there, and its first byte."""
        storage, memory, offset = location
        if memory is not None and offset is not None:
            return (False, memory), offset
        view = self.view
        kept = view.is_given(storage) or storage in view.outputs
        if memory is None or (kept and memory == view.home(storage)):
            return (True, self.renewed.get(storage, storage) if memory is not None else storage), 0
        if storage not in self.own:
            self._align(memory, storage)
            self.own[storage] = align_up(self.ends[memory], self.alignments[memory])
            self.ends[memory] = self.own[storage] + self.graph.tensor[storage].nbytes
        return (False, memory), self.own[storage]

    def _align(self, memory: str, storage: str) -> None:
        """Align the memory's arena so that offsets of the storage in it are multiples of its own alignment."""
        self.alignments[memory] = lcm(self.alignments[memory], self.graph.tensor[storage].alignment or 1)

    def _operands(self, action: actions.Executed) -> Iterator[int]:
        """The places of what is read, then of what is written."""
        names = tensors_of(self.view, action.op)
        written = len(names) - len(action.op.outputs)
        for k, x in enumerate(names):
            yield self._tensor(
                x, action.writes[x] if k >= written else action.reads[self.graph.storage_of[x]]
            )

    def _copies(self, copied: Sequence[actions.Copied]) -> tuple[PlannedCopy, ...]:
        """The moves that copy bytes, by issue."""
        position = {move: k for k, move in enumerate(self.plan.moves)}
        found = []
        for move, source, destination in sorted(copied, key=lambda c: (c.move.issue, position[c.move])):
            if nbytes := self.graph.tensor[move.tensor].nbytes:
                ends = self._storage(source), self._storage(destination)
                found.append(PlannedCopy(move.tensor, *ends, nbytes, move.issue, move.due, move.queue))
        return tuple(found)

    def _given(self, at_home: Mapping[str, actions.Location]) -> Iterator[TensorAt]:
        """What lies at home, in arenas, and in those buffers that the plan uses."""
        for s in self.view.storages:
            location = actions.Location(s, None, None) if self.view.is_callers(s) else at_home.get(s)
            if self.view.is_given(s) and location is not None:
                block, _ = self._block(location)
                if block in self.met or not block[0]:
                    yield TensorAt(s, self._storage(location))

    def _results(self, outputs: Mapping[str, actions.Location]) -> Iterator[TensorAt]:
        for name in dict.fromkeys(self.graph.outputs):
            s = self.graph.storage_of[name]
            if s not in self.view.ignored:
                yield TensorAt(name, self._tensor(name, outputs[s]))

    def _arena(self, memory: Memory) -> Arena:
        alignment = self.alignments[memory.name]
        _require_power_of_two(f"addresses in '{memory.name}'", alignment)
        return Arena(memory, max(1, self.ends[memory.name]), alignment)

    def _buffer(self, storage: str) -> CallerBuffer:
        memory = self.view.home(storage) if self.view.is_placeable(storage) else None
        held = [self.graph.tensor[storage]]
        alignment = 1
        if memory is not None:
            held += [self.graph.tensor[u] for u, i in self.renewed.items() if i == storage]
            alignment = self.plan.target.memory[memory].alignment
        alignment = lcm(alignment, *(t.alignment or 1 for t in held))
        _require_power_of_two(f"the address of '{storage}'", alignment)
        return CallerBuffer(storage, max(t.nbytes for t in held), memory, alignment)


def _require_power_of_two(what: str, alignment: int) -> None:
    if alignment & (alignment - 1):
        raise PlanError(
            f"{what} must be a multiple of {alignment}, and C aligns to powers of two alone",
            "plan with alignments of memories and tensors that are powers of two",
        )
