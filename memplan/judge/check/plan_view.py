"""What the rules look at: a plan seen from its storages; and what is said where one is broken."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.problem.plan import Move, Plan, Residency


class Violation(NamedTuple):
    """One broken rule, and where.

    Args:
        rule: its word; docs/rules.md has a section for each.
        message: what is wrong, for people.
        step: of the schedule, None where it is about no single one.
        tensors: names of those concerned.
        addresses: bytes of the scratchpad concerned.
    """

    rule: str
    message: str
    step: int | None = None
    tensors: tuple[str, ...] = ()
    addresses: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = "" if self.step is None else f" (step {self.step})"
        return f"{self.rule}: {self.message}{where}"


class PlanView:
    """The plan seen from the storages: joined residencies, moves, who produces and uses what, when."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self.graph, self.plan, self.n = graph, plan, len(plan.schedule)
        self.timed = plan.options.objective == "latency"
        by_name = {op.name: op for op in graph.ops}
        self.ops: list[Op] = [by_name[name] for name in plan.schedule]
        root = graph.storage_of
        self.outputs = graph.output_storages
        self.placeable = {
            t.name
            for t in graph.tensors
            if root[t.name] == t.name and not (t.kind == "constant" and plan.options.weights == "ignore")
        }
        self.produced: dict[str, int] = {}
        self.uses: dict[str, list[int]] = {}
        for t, op in enumerate(self.ops):
            if op.view:
                continue
            self.produced.update(dict.fromkeys(op.outputs, t))
            for name in dict.fromkeys(root[x] for x in op.inputs):
                self.uses.setdefault(name, []).append(t)
        self.loads: dict[str, list[Move]] = {}
        self.stores: dict[str, list[Move]] = {}
        for move in sorted(plan.moves, key=lambda m: (m.issue, m.due)):
            (self.loads if plan.is_load(move) else self.stores).setdefault(move.tensor, []).append(move)
        self.stored = {name: min(m.due for m in stores) for name, stores in self.stores.items()}
        self.inplace = {pair.output: pair.operand for pair in plan.inplace}
        self.residencies = self._joined()

    def _joined(self) -> dict[str, list[Residency]]:
        joined: dict[str, list[Residency]] = {}
        loaded = {(m.tensor, m.issue) for moves in self.loads.values() for m in moves}
        for r in sorted(self.plan.residencies, key=lambda r: (r.start, r.stop)):
            parts = joined.setdefault(r.tensor, [])
            last = parts[-1] if parts else None
            joins = last and last.stop == r.start and last.offset == r.offset
            if last and joins and (r.tensor, r.start) not in loaded:
                parts[-1] = last._replace(stop=r.stop)
            else:
                parts.append(r)
        return joined

    def in_host_at_start(self, name: str) -> bool:
        return self.graph.tensor[name].kind in ("input", "constant")

    def at(self, name: str, t: int) -> Residency | None:
        """Where the storage lies in step t; the one that began last where a wrong plan has two."""
        parts = self.residencies.get(name, [])
        k = bisect_right(parts, t, key=lambda r: r.start)
        return parts[k - 1] if k and t < parts[k - 1].stop else None

    def resident_io(self, name: str) -> bool:
        """Whether the caller's own buffer is the storage's place."""
        kind = self.graph.tensor[name].kind
        io = self.plan.options.io == "resident"
        return io and kind != "constant" and (kind == "input" or name in self.outputs)

    def host_copy(self, name: str, t: int, inclusive: bool = True) -> bool:
        """Whether host holds a valid copy at boundary t, a store due at it counting if `inclusive`."""
        if self.resident_io(name):
            return False
        if self.in_host_at_start(name):
            return True
        at = self.produced.get(name)
        if at is not None and at < t and self.at(name, at) is None:
            return True
        return name in self.stored and self.stored[name] < t + inclusive
