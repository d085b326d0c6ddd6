"""A plan as firmware carries it out: blocks of memory, places in them, operands of each step, and copies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op, Tensor
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


class CallerBuffer(NamedTuple):
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


class Address(NamedTuple):
    """Byte `offset` of a block: block `k` is arena k, or, behind the arenas, buffer `k` less the number of arenas."""

    block: int
    offset: int


class PlannedCopy(NamedTuple):
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


class TensorAt(NamedTuple):
    """Tensor `tensor` lies at place `place`."""

    tensor: str
    place: int


@dataclass(frozen=True)
class FirmwareProgram:
    """All that the emitted C says of a plan.

    Args:
        view: the plan.
        arenas: used memories, fastest first.
        buffers: by the order of the graph's tensors.
        places: each once.
        operands: by step the places of what its op reads and then of what it writes, as the op lists them, constants
            that the plan ignores left out; none where the op need not run: a view, or joined.
        copies: by issue; at one boundary in the plan's order.
        given: where the plan has inputs and constants before step 0.
        results: where it has the graph's outputs at the end.
    """

    view: PlanView
    arenas: tuple[Arena, ...]
    buffers: tuple[CallerBuffer, ...]
    places: tuple[Address, ...]
    operands: tuple[tuple[int, ...], ...]
    copies: tuple[PlannedCopy, ...]
    given: tuple[TensorAt, ...]
    results: tuple[TensorAt, ...]

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
        return tuple(t for t in self.graph.tensors if root[t.name] not in self.view.ignored)


def tensors_of(view: PlanView, op: Op) -> tuple[str, ...]:
    """What the op reads and then what it writes, as it lists them, where the plan knows of it; nothing where it need
    not run."""
    if op.view or op.name in view.joined:
        return ()
    return (*(x for x in op.inputs if view.graph.storage_of[x] not in view.ignored), *op.outputs)
