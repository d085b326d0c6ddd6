"""A plan as a program over one real scratchpad.

Every residency lies at its offset in one buffer. Loads and stores copy bytes between it and host
memory, where an activation exists only once it was stored (or written there by an op that may). What
ends is poisoned, as is the whole buffer at the start. Two things are not done in place:

- A kernel is handed addresses that are multiples of 64, as onnxruntime's allocator would give it;
  an operand at any other address is copied to and from an aligned bounce buffer around the call.
- The output of an in-place pair goes through a bounce buffer too, since a kernel need not bear that
  its output is its input.
"""

from __future__ import annotations

from collections.abc import Mapping

from memplan.base.errors import ExecutionError
from memplan.base.units import align_up
from memplan.ir.parts import Op
from memplan.onnx.values import ALIGNMENT, Bytes, Value, aligned
from memplan.problem.plan import Move, Plan, Residency
from memplan.runtimes.kernels import Kernels
from memplan.runtimes.program import COPY, FREE, LOAD, POISON, STORE, Instruction, Program, call, viewed
from memplan.runtimes.source import Source


class ArenaBuilder:
    """Walks a plan's steps once and writes down what happens; linear in ops, residencies and moves.

    ExecutionError where an operand is nowhere: not resident, and without a host copy that the
    rules allow.
    """

    def __init__(self, source: Source, kernels: Kernels, plan: Plan, inputs: Mapping[str, Value]) -> None:
        self.source, self.kernels, self.plan, self.graph = source, kernels, plan, source.graph
        self.program = Program(source.graph)
        self.resident: dict[str, Residency] = {}
        self.host: dict[str, Bytes] = {n: v.data for n, v in {**source.constants, **inputs}.items()}
        self.arena = self._allocate()
        self.bounce = aligned(self._bounce_bytes())
        self.program.keep += [self.arena, self.bounce, *self.host.values()]

    def build(self) -> Program:
        """The program; the arena is poisoned and resident inputs are in it."""
        plan = self.plan
        ops = {op.name: op for op in self.graph.ops}
        steps = len(plan.schedule)
        starting: list[list[Residency]] = [[] for _ in range(steps)]
        stopping: list[list[Residency]] = [[] for _ in range(steps)]
        for r in plan.residencies:
            starting[r.start].append(r)
            stopping[r.stop - 1].append(r)
        loads: list[list[Move]] = [[] for _ in range(steps)]
        stores: list[list[Move]] = [[] for _ in range(steps)]
        timed = plan.options.objective == "latency"
        for move in plan.moves:
            if move.kind == "load":
                loads[move.due].append(move)
            else:  # as late as the residency must last: it covers [issue, due) in the timed model
                stores[max(move.issue, move.due - timed)].append(move)
        self.arena.fill(POISON)
        if not steps:
            self._outputs()
        for step, name in enumerate(plan.schedule):
            for r in starting[step]:
                self._begin(r, step)
            for move in loads[step]:
                self._load(move.tensor, step)
            if not ops[name].view:
                self._call(ops[name], step)
            overwritten = self._overwritten(ops[name])
            for move in stores[step]:
                self._store(move.tensor, step)
            if step == steps - 1:
                self._outputs()
            for r in stopping[step]:
                if self.resident.get(r.tensor) is r:
                    del self.resident[r.tensor]
                if (r.offset, r.tensor) not in overwritten:
                    self._emit(FREE, step, self.arena[r.offset : r.offset + r.size])
        return self.program

    def _allocate(self) -> Bytes:
        """The buffer: as much of the scratchpad as the plan uses (bytes above its peak are never touched)."""
        used = 0
        steps = len(self.plan.schedule)
        for r in self.plan.residencies:
            if r.tensor not in self.graph.tensor:
                raise ExecutionError(f"the plan places '{r.tensor}', which the graph does not have")
            if (
                r.offset < 0
                or r.size < self.graph.tensor[r.tensor].nbytes
                or not 0 <= r.start < r.stop <= steps
            ):
                raise ExecutionError(
                    f"residency {tuple(r)} is too small or out of range", "run `check` first"
                )
            used = max(used, r.offset + r.size)
        capacity = self.plan.target.scratchpad.capacity
        if capacity is not None and used > capacity:
            raise ExecutionError(
                f"the plan uses {used} bytes of a scratchpad of {capacity}", "run `check` first"
            )
        return aligned(used)

    def _bounce_bytes(self) -> int:
        def room(op: Op) -> int:
            names = dict.fromkeys((*op.inputs, *op.results))
            return sum(align_up(self.graph.tensor[n].nbytes, ALIGNMENT) for n in names)

        return max((room(op) for op in self.graph.ops), default=0)

    def _emit(self, kind: int, step: int, target: Bytes, source: Bytes | None = None) -> None:
        if target.size:
            self.program.code.append(Instruction(kind, step, target, source))

    def _bytes(self, r: Residency) -> Bytes:
        return self.arena[r.offset : r.offset + self.graph.tensor[r.tensor].nbytes]

    def _begin(self, r: Residency, step: int) -> None:
        self.resident[r.tensor] = r
        kind = self.graph.tensor[r.tensor].kind
        if step == 0 and kind == "input" and self.plan.options.io == "resident":
            self._emit(COPY, 0, self._bytes(r), self.host[r.tensor])

    def _load(self, name: str, step: int) -> None:
        if name not in self.resident:
            raise ExecutionError(f"step {step} loads '{name}', which has no residency", "run `check` first")
        self._emit(LOAD, step, self._bytes(self.resident[name]), self._host_copy(name, step, "loads"))

    def _store(self, name: str, step: int) -> None:
        if name not in self.resident:
            raise ExecutionError(f"step {step} stores '{name}', which has no residency", "run `check` first")
        copy = aligned(self.graph.tensor[name].nbytes)
        self._emit(STORE, step, copy, self._bytes(self.resident[name]))
        self.host[name] = copy
        self.program.keep.append(copy)

    def _host_copy(self, name: str, step: int, verb: str) -> Bytes:
        if name not in self.host:
            raise ExecutionError(f"step {step} {verb} '{name}', which has no host copy", "run `check` first")
        return self.host[name]

    def _call(self, op: Op, step: int) -> None:
        kernel = self.kernels.kernel(op)
        room = 0
        reads: dict[str, Value] = {}
        writes: dict[str, Value] = {}
        after: list[tuple[Bytes, Bytes]] = []

        def aside(data: Bytes) -> Bytes:
            nonlocal room
            free = self.bounce[room : room + data.nbytes]
            room += align_up(data.nbytes, ALIGNMENT)
            return free

        for _, name in kernel.reads:
            data = self._operand(name, step, op)
            if data.ctypes.data % ALIGNMENT and data.size:
                copy = aside(data)
                self._emit(COPY, step, copy, data)
                data = copy
            reads[name] = self._value(name, data)
        for _, name in kernel.writes:
            data = self._result(name, step, op)
            if (data.ctypes.data % ALIGNMENT or name in self.plan.inplace) and data.size:
                copy = aside(data)
                after.append((data, copy))
                data = copy
            writes[name] = self._value(name, data)
        call(self.program, step, kernel, reads, writes)
        for target, copy in after:
            self._emit(COPY, step, target, copy)

    def _value(self, name: str, data: Bytes) -> Value:
        if name in self.graph.tensor:
            return viewed(self.graph, name, data)
        return self.source.constants[name]

    def _overwritten(self, op: Op) -> set[tuple[int, str]]:
        """Offset and name of the storages that op's in-place output has taken the place of."""
        pairs = ((name, self.plan.inplace[name]) for name in op.outputs if name in self.plan.inplace)
        return {(self.resident[written].offset, read) for written, read in pairs if written in self.resident}

    def _operand(self, name: str, step: int, op: Op) -> Bytes:
        """Where op finds the storage of `name`: in the arena, or in host memory if it may."""
        storage = self.graph.storage_of.get(name, name)
        tensor = self.graph.tensor.get(storage)
        if storage in self.resident:
            return self._bytes(self.resident[storage])[: self.graph.tensor[name].nbytes]
        ignored = storage in self.source.constants and self.plan.options.weights == "ignore"
        if tensor is None or ignored or self.plan.target.direct:
            data = self._host_copy(storage, step, f"(op '{op.name}') reads")
            return data if tensor is None else data[: self.graph.tensor[name].nbytes]
        if not tensor.nbytes:
            return aligned(0)
        raise ExecutionError(
            f"op '{op.name}' at step {step} reads '{name}', which is not in the scratchpad",
            "run `check` first",
        )

    def _result(self, name: str, step: int, op: Op) -> Bytes:
        """Where op writes `name`."""
        if name in self.resident:
            return self._bytes(self.resident[name])
        nbytes = self.graph.tensor[name].nbytes
        if self.plan.target.direct or not nbytes:
            self.host[name] = aligned(nbytes)
            self.program.keep.append(self.host[name])  # bindings hold addresses alone
            return self.host[name]
        raise ExecutionError(
            f"op '{op.name}' at step {step} writes '{name}', which is not in the scratchpad",
            "run `check` first",
        )

    def _outputs(self) -> None:
        """Where the caller finds the outputs: in host memory, or in the arena when it holds them to the end."""
        step = len(self.plan.schedule) - 1
        for name in self.graph.outputs:
            storage, nbytes = self.graph.storage_of[name], self.graph.tensor[name].nbytes
            if self.plan.options.io == "resident" and storage in self.resident:
                copy = aligned(nbytes)
                self._emit(COPY, step, copy, self._bytes(self.resident[storage])[:nbytes])
            else:
                copy = self._host_copy(storage, step + 1, "ends without a stored copy of output")
            self.program.outputs[name] = viewed(self.graph, name, copy)
