"""A plan seen from its storages: which execution writes and reads which, and where each is at home."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.problem.op_times import role_of
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
        root = graph.storage_of
        self.steps: dict[str, list[int]] = defaultdict(list)  # of each op, the steps that execute it
        self.reads: list[tuple[str, ...]] = []  # per step, the storages that its op reads
        self.writes: list[tuple[str, ...]] = []  # and those that it writes
        self.uses: dict[str, list[int]] = defaultdict(list)  # per storage, the steps that read it
        self.written: dict[str, list[int]] = defaultdict(list)  # and those that write it
        for t, op in enumerate(self.ops):
            self.steps[op.name].append(t)
            idle = op.view or op.name in self.joined
            reads = () if idle else tuple(dict.fromkeys(root[x] for x in op.inputs))
            self.reads.append(tuple(s for s in reads if self.is_placeable(s)))
            self.writes.append(() if op.view else op.outputs)
            for s in self.reads[-1]:
                self.uses[s].append(t)
            for s in self.writes[-1]:
                self.written[s].append(t)

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
        return self.graph.tensor[storage].kind in ("input", "constant")

    def is_io(self, storage: str) -> bool:
        """Whether the option io says where it is at home: an input, or an output that is no constant."""
        kind = self.graph.tensor[storage].kind
        return kind == "input" or (kind == "activation" and storage in self.outputs)

    def is_callers(self, storage: str) -> bool:
        """Whether it lies in a buffer of the caller's, where ops read and write it (io external)."""
        return self.options.io == "external" and self.is_io(storage)

    def is_placeable(self, storage: str) -> bool:
        """Whether the plan says where it lies: all but constants that the options ignore, and what is the caller's."""
        ignored = self.options.weights == "ignore" and self.graph.tensor[storage].kind == "constant"
        return not ignored and not self.is_callers(storage)

    def role(self, storage: str) -> str:
        """What it is to the ops that touch it, as targets call it."""
        return self._roles[storage]

    @cached_property
    def _roles(self) -> dict[str, str]:
        return {s: role_of(self.graph, s) for s in set(self.graph.storage_of.values())}

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
        arrivals |= {
            (s, name, t) for s, begins in self.begins.items() for t in begins for name in self.addressed
        }
        found: dict[tuple[str, str], list[Residency]] = defaultdict(list)
        for r in sorted(self.plan.residencies, key=lambda r: (r.start, r.stop)):
            rows = found[r.tensor, r.memory]
            last = rows[-1] if rows else None
            whole = last is not None and (last.stop, last.offset) == (r.start, r.offset)
            if last is not None and whole and (r.tensor, r.memory, r.start) not in arrivals:
                rows[-1] = last._replace(stop=r.stop)
            else:
                rows.append(r)
        return found
