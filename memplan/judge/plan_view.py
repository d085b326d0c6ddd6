"""A plan seen from its storages: which execution writes and reads which, and where each is at home."""

from __future__ import annotations

from collections import defaultdict
from functools import cache, cached_property
from operator import attrgetter
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.problem.op_times import roles
from memplan.problem.plan import Plan, Residency


class Part(NamedTuple):
    """Where a joined op's operand lies: in `storage`, which is no part itself, from its byte `first` on."""

    storage: str
    first: int


class PlanView:
    """The facts that graph, target, options and schedule decide, of a plan whose names are known.

    Args:
        graph: the graph that was planned.
        plan: the plan; each name of its schedule is an op's, each name of `joined` that of an op with `joins`.
    """

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.target, self.options = graph, plan, plan.target, plan.options
        self.n = len(plan.schedule)
        by_name = {op.name: op for op in graph.ops}
        self.ops: list[Op] = [by_name[name] for name in plan.schedule]
        self.joined = set(plan.joined)
        self._readable, self._writable = cache(self.target.readable), cache(self.target.writable)
        root = graph.storage_of.__getitem__
        self.uses: dict[str, list[int]] = defaultdict(list)  # per storage, the steps that read it
        self.written: dict[str, list[int]] = defaultdict(list)  # and those that write it
        for t, op in enumerate(self.ops):
            if op.view:
                continue
            for s in op.outputs:
                self.written[s].append(t)
            if op.name not in self.joined:
                for s in dict.fromkeys(map(root, op.inputs)):
                    self.uses[s].append(t)

    @cached_property
    def storages(self) -> tuple[str, ...]:
        """The storages of the graph, in the order of its tensors."""
        root = self.graph.storage_of
        return tuple(t.name for t in self.graph.tensors if root[t.name] == t.name)

    @cached_property
    def nbytes(self) -> dict[str, int]:
        """The bytes of each tensor."""
        return {t.name: t.nbytes for t in self.graph.tensors}

    @cached_property
    def steps(self) -> dict[str, list[int]]:
        """Per op, the steps that execute it."""
        found: dict[str, list[int]] = defaultdict(list)
        for t, name in enumerate(self.plan.schedule):
            found[name].append(t)
        return found

    @cached_property
    def moved(self) -> frozenset[str]:
        """The storages that some move copies."""
        return frozenset(m.tensor for m in self.plan.moves)

    @cached_property
    def parts(self) -> dict[str, Part]:
        """The operands of joined ops, which lie in the outputs of these."""
        inside: dict[str, Part] = {}
        for op in self.graph.ops:
            if op.name in self.joined:
                inside |= {x: Part(op.results[0], first) for x, first in op.joins}
        for op in reversed(self.graph.ops):  # a joined output may be a part: outermost first
            for x, _ in op.joins if op.name in self.joined else ():
                outer = inside.get(inside[x].storage)
                if outer is not None:
                    inside[x] = Part(outer.storage, outer.first + inside[x].first)
        return inside

    @cached_property
    def begins(self) -> dict[str, dict[int, int]]:
        """Per storage that ops write, the boundary from which it is ready by the step at which its residency begins.

        A joined storage begins with the first writer of a part and is ready once the joined op was executed.
        """
        found = {s: {t: t + 1 for t in steps} for s, steps in self.written.items() if s not in self.parts}
        first: dict[str, int] = {}
        for x, part in self.parts.items():
            maker = self.graph.ops[self.graph.producer[x]]
            if maker.name not in self.joined:
                step = self.written[x][0]
                first[part.storage] = min(step, first.get(part.storage, step))
        return found | {s: {step: self.written[s][0] + 1} for s, step in first.items()}

    @cached_property
    def outputs(self) -> frozenset[str]:
        """The storages that hold an output."""
        return self.graph.output_storages

    def is_given(self, storage: str) -> bool:
        """Whether it is there before step 0: an input or a constant."""
        return storage in self._given

    @cached_property
    def _given(self) -> frozenset[str]:
        return frozenset(t.name for t in self.graph.tensors if t.kind in ("input", "constant"))

    def is_io(self, storage: str) -> bool:
        """Whether the option io says where it is at home: an input, or an output that is no constant."""
        kind = self.graph.tensor[storage].kind
        return kind == "input" or (kind == "activation" and storage in self.outputs)

    def is_callers(self, storage: str) -> bool:
        """Whether it lies in a buffer of the caller's, where ops read and write it (io external)."""
        return self.options.io == "external" and self.is_io(storage)

    @cached_property
    def ignored(self) -> frozenset[str]:
        """The storages of which the plan says nothing, and which no access counts: constants with weights `ignore`."""
        if self.options.weights != "ignore":
            return frozenset()
        return frozenset(t.name for t in self.graph.tensors if t.kind == "constant")

    def is_placeable(self, storage: str) -> bool:
        """Whether the plan says where it lies: all but what is ignored, and what is the caller's."""
        return storage in self._placeable

    @cached_property
    def _placeable(self) -> frozenset[str]:
        outside = filter(self.is_callers, self.storages) if self.options.io == "external" else ()
        return frozenset(self.storages) - self.ignored - frozenset(outside)

    def role(self, storage: str) -> str:
        """What it is to the ops that touch it, as targets call it."""
        return self._roles[storage]

    @cached_property
    def _roles(self) -> dict[str, str]:
        return roles(self.graph)

    def readable(self, step: int, storage: str) -> tuple[str, ...]:
        """The memories from which the execution may read the storage, fastest first."""
        return self._readable(self.ops[step].kind, self._roles[storage])

    def writable(self, step: int, storage: str) -> tuple[str, ...]:
        """The memories to which the execution may write the storage, fastest first."""
        return self._writable(self.ops[step].kind, self._roles[storage])

    def home(self, storage: str) -> str:
        """The memory where it lies before step 0, or must lie at the end; not of what is the caller's."""
        if self.options.io == "resident" and self.is_io(storage):
            return self.target.memories[0].name
        return self._homes[self.role(storage)]

    @cached_property
    def _homes(self) -> dict[str, str]:
        return {role: self.target.home_of(role) for role in set(self._roles.values())}

    @cached_property
    def renewed(self) -> dict[str, str]:
        """The donated input in whose home buffer an output lies at the end, by the output's storage."""
        root, donated = self.graph.storage_of, self.options.donate
        return {root[u]: i for u, i in self.graph.updates if i in donated}

    @cached_property
    def addressed(self) -> frozenset[str]:
        """Names of the memories in which residencies lie."""
        return frozenset(m.name for m in self.target.addressed)

    @cached_property
    def residencies(self) -> dict[tuple[str, str], list[Residency]]:
        """Residencies by storage and memory, by start; those that adjoin at one offset with neither a move nor a
        write between them are one."""
        arrivals = {(m.tensor, m.destination, m.issue) for m in self.plan.moves}
        found: dict[tuple[str, str], list[Residency]] = defaultdict(list)
        for r in sorted(self.plan.residencies, key=attrgetter("start", "stop")):
            rows = found[r.tensor, r.memory]
            last = rows[-1] if rows else None
            whole = last is not None and (last.stop, last.offset) == (r.start, r.offset)
            if (
                last is not None
                and whole
                and not (
                    r.start in self.begins.get(r.tensor, ()) or (r.tensor, r.memory, r.start) in arrivals
                )
            ):
                rows[-1] = last._replace(stop=r.stop)
            else:
                rows.append(r)
        return found
