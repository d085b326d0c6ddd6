"""A plan as a program over real memories.

Each memory with addresses is one byte array, in which every residency lies at its offset; without addresses each
storage has an array of its own. Moves copy bytes between them. What ends is poisoned, as is everything at the
start. A kernel is handed addresses that are multiples of 64, as onnxruntime's allocator would give it; an
operand at any other address is copied to and from an aligned bounce buffer around the call. What lies at the same
bytes shares its bounce buffer, so that an op that writes over its operand does so there too. What a tile gathers and
scatters lies in its workspace, where the plan has placed that.
"""

from __future__ import annotations

from collections.abc import Mapping

from memplan.base.units import align_up
from memplan.ir.parts import Op
from memplan.judge.actions import Copied, Executed, Finished, Given, Location, Voided
from memplan.judge.walk import walk
from memplan.onnx.values import ALIGNMENT, Bytes, Value, aligned
from memplan.problem.plan import Plan, planned_graph
from memplan.runtimes.kernels import Kernel, Kernels
from memplan.runtimes.program import COPY, FREE, LOAD, POISON, STORE, Instruction, Program, call, viewed
from memplan.runtimes.source import Source
from memplan.runtimes.tiles import tile_bytes, tile_sizes
from memplan.tiling.calls import Call, calls, renames

REREADING = frozenset({"Gelu"})
"""Operators that could work in place, but whose kernels in onnxruntime read the operand again after they have written.
"""


class ArenaBuilder:
    """Writes down what happens as a plan is obeyed; linear in operands, residencies and moves.

    ExecutionError where an operand is nowhere.
    """

    def __init__(self, source: Source, kernels: Kernels, plan: Plan, inputs: Mapping[str, Value]) -> None:
        self.source, self.kernels, self.plan = source, kernels, plan
        self.graph = planned_graph(source.graph, plan)
        self.tiles = calls(source.graph, self.graph)
        self.program = Program(self.graph, plan.schedule)
        self.given: dict[str, Bytes] = {n: v.data for n, v in {**source.constants, **inputs}.items()}
        self.memories: dict[str, Bytes] = {}
        self.own: dict[tuple[str, str | None], Bytes] = {}
        self.bounce = aligned(self._bounce_bytes())
        self.step = 0

    def build(self) -> Program:
        """The program; its memories are poisoned."""
        happening = walk(self.graph, self.plan)
        self.memories = {name: _poisoned(nbytes) for name, nbytes in self.plan.peaks.items()}
        for action in happening:
            match action:
                case Given(location):
                    self._give(location)
                case Copied(move, source, destination):
                    kind = LOAD if self.plan.is_load(move) else STORE
                    self._emit(kind, self._bytes(destination), self._bytes(source))
                case Voided(_, location, size):
                    self._emit(FREE, self._buffer(location, size))
                case Executed():
                    self.step = action.step
                    if action.op.view or action.op.name in self.plan.joined:
                        continue
                    if (tile := self.tiles.get(action.op.name)) is None:
                        self._call(action)
                    else:
                        self._tile(action, tile)
                case Finished(outputs):
                    for name in self.graph.outputs:
                        self._return(name, outputs[self.graph.storage_of[name]])
        self.program.keep += [self.bounce, *self.memories.values(), *self.given.values(), *self.own.values()]
        return self.program

    def _bounce_bytes(self) -> int:
        def room(op: Op) -> int:
            if (tile := self.tiles.get(op.name)) is not None:
                sizes = tile_sizes(self.source.graph, tile)
            else:
                sizes = [self.graph.tensor[n].nbytes for n in dict.fromkeys((*op.inputs, *op.results))]
            return sum(align_up(size, ALIGNMENT) for size in sizes)

        return max((room(op) for op in self.graph.ops), default=0)

    def _emit(self, kind: int, target: Bytes, source: Bytes | None = None) -> None:
        if target.size:
            self.program.code.append(Instruction(kind, self.step, target, source))

    def _bytes(self, location: Location) -> Bytes:
        """The bytes of what lies there."""
        return self._buffer(location, self.graph.tensor[location.storage].nbytes)

    def _buffer(self, location: Location, size: int) -> Bytes:
        if location.memory is not None and location.offset is not None:
            return self.memories[location.memory][location.offset : location.offset + size]
        key = location.storage, location.memory
        if key not in self.own:
            given = self.given.get(location.storage) if location.memory is None else None
            self.own[key] = _poisoned(size) if given is None else given
        return self.own[key]

    def _give(self, location: Location) -> None:
        """Put an input or a constant where it lies before step 0."""
        if location.offset is None:
            self.own[location.storage, location.memory] = self.given[location.storage]
        else:
            self._emit(COPY, self._bytes(location), self.given[location.storage])

    def _call(self, execution: Executed) -> None:
        kernel = self.kernels.kernel(execution.op)
        reads = {name: self._value(name, self._operand(name, execution)) for _, name in kernel.reads}
        writes = {name: self._value(name, self._bytes(execution.writes[name])) for _, name in kernel.writes}
        self._run(execution.op, kernel, reads, writes)

    def _tile(self, execution: Executed, tile: Call) -> None:
        """Gather, run the kernel, scatter; a tile that only renames bytes has no kernel."""
        original = self.source.graph
        kernel = None if renames(original, tile.op) else self.kernels.tile(tile)
        found = tile_bytes(
            original,
            tile,
            {slot for slot, _ in kernel.reads} if kernel else (),
            lambda name: self._operand(name, execution),
            lambda name: self._bytes(execution.writes[name]),
            self._workspace(execution),
        )
        for target, source in found.before:
            self._emit(COPY, target, source)
        if kernel is not None:
            self._run(execution.op, kernel, found.reads, found.writes)
        for target, source in found.after:
            self._emit(COPY, target, source)

    def _workspace(self, execution: Executed) -> Bytes:
        name = execution.op.workspace
        return self.bounce[:0] if name is None else self._bytes(execution.writes[name])

    def _run(self, op: Op, kernel: Kernel, reads: dict[str, Value], writes: dict[str, Value]) -> None:
        """Run a kernel on these operands, aside where they are not aligned."""
        bounced: dict[tuple[int, int], Bytes] = {}
        room = 0

        def aside(data: Bytes) -> Bytes:
            nonlocal room
            free = self.bounce[room : room + data.nbytes]
            room += align_up(data.nbytes, ALIGNMENT)
            return free

        for name, value in reads.items():
            data = value.data
            if data.ctypes.data % ALIGNMENT and data.size:
                copy = aside(data)
                self._emit(COPY, copy, data)
                bounced[data.ctypes.data, data.nbytes] = copy
                reads[name] = value._replace(data=copy)
        after: list[tuple[Bytes, Bytes]] = []
        rereading = op.kind in REREADING
        for name, value in writes.items():
            data = value.data
            if (data.ctypes.data % ALIGNMENT or rereading) and data.size:
                shared = None if rereading else bounced.get((data.ctypes.data, data.nbytes))
                copy = aside(data) if shared is None else shared
                after.append((data, copy))
                writes[name] = value._replace(data=copy)
        call(self.program, self.step, kernel, reads, writes)
        for target, copy in after:
            self._emit(COPY, target, copy)

    def _operand(self, name: str, execution: Executed) -> Bytes:
        """The bytes of an operand; a constant that is computed before the run is no tensor of the graph."""
        tensor = self.graph.tensor.get(name)
        if tensor is None:
            return self.given[name]
        whole = self._bytes(execution.reads[self.graph.storage_of[name]])
        return whole[tensor.first_byte : tensor.first_byte + tensor.nbytes]

    def _value(self, name: str, data: Bytes) -> Value:
        return viewed(self.graph, name, data) if name in self.graph.tensor else self.source.constants[name]

    def _return(self, name: str, location: Location) -> None:
        """Where the caller finds an output: where it lies at the end, in a copy where later runs write over it."""
        tensor, data = self.graph.tensor[name], self._bytes(location)
        if location.offset is not None:
            copy = aligned(data.nbytes)
            self._emit(COPY, copy, data)
            self.program.keep.append(copy)
            data = copy
        self.program.outputs[name] = viewed(self.graph, name, data[tensor.first_byte :])


def _poisoned(nbytes: int) -> Bytes:
    room = aligned(nbytes)
    room.fill(POISON)
    return room
