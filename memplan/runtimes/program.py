"""Straight-line programs over fixed addresses: copies, kernel calls and poisoning, ready to be timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from memplan.base.errors import ExecutionError
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.onnx.values import Bytes, Value, aligned, elem_type
from memplan.runtimes.kernels import Kernel, Kernels
from memplan.runtimes.sessions import bind
from memplan.runtimes.source import Source

POISON = 0xFF
"""Freed bytes are set to this: NaN in every floating type, -1 or the largest number in integers."""

LOAD, STORE, COPY, CALL, FREE = range(5)


class Instruction(NamedTuple):
    """One action at a step: CALL runs `target` with the binding `source`, FREE poisons `target`,
    LOAD, STORE and COPY copy the bytes `source` to `target`.
    """

    kind: int
    step: int
    target: Any
    source: Any = None


@dataclass
class Program:
    """Instructions in order, the memory they work on, and where the outputs are afterwards; the schedule says which
    op a step executes."""

    graph: Graph
    schedule: tuple[str, ...]
    code: list[Instruction] = field(default_factory=list)
    outputs: dict[str, Value] = field(default_factory=dict)
    keep: list[Bytes] = field(default_factory=list)

    def execute(self) -> float:
        """Run every instruction once; seconds. ExecutionError names the op that failed."""
        begin = time.perf_counter()
        now = None
        try:
            for now in self.code:
                if now.kind == CALL:
                    now.target.run_with_iobinding(now.source)
                elif now.kind == FREE:
                    now.target.fill(POISON)
                else:
                    now.target[:] = now.source
        except Exception as error:
            at = now.step if now else 0
            words = " ".join(str(error).split())[:400]
            raise ExecutionError(
                f"op '{self.schedule[at]}' failed at step {at}: {words}",
                "is the plan valid, and does no shape depend on data?",
            ) from error
        return time.perf_counter() - begin

    def moved(self, kind: int) -> int:
        """Bytes that one execution copies by LOAD or by STORE."""
        return sum(i.target.nbytes for i in self.code if i.kind == kind)


def viewed(graph: Graph, name: str, data: Bytes) -> Value:
    """Tensor `name` over the leading bytes of its storage: a view op's output is its root's bytes."""
    tensor = graph.tensor[name]
    return Value(elem_type(tensor.dtype, name), tensor.shape or (), data[: tensor.nbytes])


def call(
    program: Program, step: int, kernel: Kernel, reads: dict[str, Value], writes: dict[str, Value]
) -> None:
    """Append the kernel's run, from and to the values by graph name."""
    sources = {local: reads[name] for local, name in kernel.reads}
    targets = {local: writes[name] for local, name in kernel.writes}
    binding = bind(kernel.session, sources, targets)
    program.code.append(Instruction(CALL, step, kernel.session, binding))


def plain_program(source: Source, kernels: Kernels, ops: list[Op], inputs: dict[str, Value]) -> Program:
    """The same kernels in the same order, each storage in a host buffer of its own: no arena, no copies.

    A buffer is used again for a later storage of the same size once nobody reads it.
    """
    graph, root = source.graph, source.graph.storage_of
    program, pool = Program(graph, tuple(op.name for op in ops)), BufferPool()
    last = {root[n]: i for i, op in enumerate(ops) for n in (*op.inputs, *op.results)}
    kept = graph.output_storages
    place: dict[str, Bytes] = {name: v.data for name, v in {**source.constants, **inputs}.items()}
    for step, op in enumerate(ops):
        if not op.view:
            kernel = kernels.kernel(op)
            for name in op.results:
                place[name] = pool.take(graph.tensor[name].nbytes)
            reads = {n: viewed(graph, n, place[root.get(n, n)]) for _, n in kernel.reads if n in root}
            reads |= {n: source.constants[n] for _, n in kernel.reads if n not in root}
            writes = {n: viewed(graph, n, place[n]) for _, n in kernel.writes}
            call(program, step, kernel, reads, writes)
        for name in dict.fromkeys(root[n] for n in (*op.inputs, *op.results)):
            if last[name] == step and name in graph.producer and name not in kept:
                pool.give(place.pop(name))
    program.keep += [*pool.buffers, *place.values()]
    for name in graph.outputs:
        program.outputs[name] = viewed(graph, name, place[root[name]])
    return program


class BufferPool:
    """Host buffers that are handed out again by size."""

    def __init__(self) -> None:
        self.free: dict[int, list[Bytes]] = {}
        self.buffers: list[Bytes] = []

    def take(self, nbytes: int) -> Bytes:
        """A buffer of exactly `nbytes`."""
        if waiting := self.free.get(nbytes):
            return waiting.pop()
        self.buffers.append(aligned(nbytes))
        return self.buffers[-1]

    def give(self, buffer: Bytes) -> None:
        """Take a buffer back."""
        self.free.setdefault(buffer.nbytes, []).append(buffer)
