"""A plan as a program over real memories.

Each memory with addresses is one byte array, in which every residency lies at its offset; without addresses each
storage has an array of its own. Moves copy bytes between them. What ends is poisoned, as is everything at the
start. A kernel is handed addresses that are multiples of 64, as onnxruntime's allocator would give it; an
operand at any other address is copied to and from an aligned bounce buffer around the call. What lies at the same
bytes shares its bounce buffer, so that an op that writes over its operand does so there too.
"""

from __future__ import annotations

from collections.abc import Mapping

from memplan.base.units import align_up
from memplan.ir.parts import Op
from memplan.judge.actions import Copied, Executed, Finished, Given, Location, Voided
from memplan.judge.walk import walk
from memplan.onnx.values import ALIGNMENT, Bytes, Value, aligned
from memplan.problem.plan import Plan
from memplan.runtimes.kernels import Kernels
from memplan.runtimes.program import COPY, FREE, LOAD, POISON, STORE, Instruction, Program, call, viewed
from memplan.runtimes.source import Source

REREADING = frozenset({"Gelu"})
"""Operators that could work in place, but whose kernels in onnxruntime read the operand again after they have written.
"""


class ArenaBuilder:
    """Writes down what happens as a plan is obeyed; linear in operands, residencies and moves.

    ExecutionError where an operand is nowhere.
    """

    def __init__(self, source: Source, kernels: Kernels, plan: Plan, inputs: Mapping[str, Value]) -> None:
        self.source, self.kernels, self.plan, self.graph = source, kernels, plan, source.graph
        self.program = Program(source.graph, plan.schedule)
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
                    if not action.op.view and action.op.name not in self.plan.joined:
                        self._call(action)
                case Finished(outputs):
                    for name in self.graph.outputs:
                        self._return(name, outputs[self.graph.storage_of[name]])
        self.program.keep += [self.bounce, *self.memories.values(), *self.given.values(), *self.own.values()]
        return self.program

    def _bounce_bytes(self) -> int:
        def room(op: Op) -> int:
            names = dict.fromkeys((*op.inputs, *op.results))
            return sum(align_up(self.graph.tensor[n].nbytes, ALIGNMENT) for n in names)

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
        bounced: dict[tuple[int, int], Bytes] = {}
        room = 0

        def aside(data: Bytes) -> Bytes:
            nonlocal room
            free = self.bounce[room : room + data.nbytes]
            room += align_up(data.nbytes, ALIGNMENT)
            return free

        reads: dict[str, Value] = {}
        for _, name in kernel.reads:
            data = self._operand(name, execution)
            if data.ctypes.data % ALIGNMENT and data.size:
                copy = aside(data)
                self._emit(COPY, copy, data)
                bounced[data.ctypes.data, data.nbytes] = copy
                data = copy
            reads[name] = self._value(name, data)
        writes: dict[str, Value] = {}
        after: list[tuple[Bytes, Bytes]] = []
        for _, name in kernel.writes:
            data = self._bytes(execution.writes[name])
            rereading = execution.op.kind in REREADING
            if (data.ctypes.data % ALIGNMENT or rereading) and data.size:
                shared = None if rereading else bounced.get((data.ctypes.data, data.nbytes))
                copy = aside(data) if shared is None else shared
                after.append((data, copy))
                data = copy
            writes[name] = self._value(name, data)
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
