"""What a solver sees: graph, target and options, with ops and storages numbered."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from memplan.base.units import align_up
from memplan.ir.graph import Graph
from memplan.ir.parts import Op
from memplan.machine.target import Target
from memplan.problem.fixed_places import least_top
from memplan.problem.kept import certainly_kept
from memplan.problem.op_times import latency_ends, roles
from memplan.problem.options import Options
from memplan.problem.pins import Pin, parse_pin
from memplan.problem.places import Placeable, is_free, least_cost, placeables
from memplan.problem.plan import Move, Residency, is_load
from memplan.problem.storage import Storage


@dataclass(frozen=True)
class Problem:
    """One graph to be planned for one target under one set of options; solvers know only this.

    Ops are numbered in program order, storages in order of first touch; storages that no
    non-view op touches, constants under weights=ignore, the caller's under io=external and those pinned
    to host are not placed and have no number. Whatever is derived is computed when first asked for, and kept.

    Args:
        graph: what is planned.
        target: the machine, whose capacity is the one to keep to.
        options: what is asked; its pins are by storage, as `make_problem` resolves them.
    """

    graph: Graph
    target: Target
    options: Options

    @property
    def n(self) -> int:
        """Number of ops, and so of steps."""
        return len(self.graph.ops)

    @property
    def capacity(self) -> int | None:
        """Bytes of scratchpad, None without a limit."""
        return self.target.scratchpad.capacity

    @cached_property
    def byte_limit(self) -> int:
        """The capacity; without a limit, bytes in which everything has its place beside all else."""
        if self.capacity is not None:
            return self.capacity
        return sum(s.size for s in self.storages) + max((s.end for s in self.storages), default=0)

    @cached_property
    def pins(self) -> dict[str, Pin]:
        """The pins by storage."""
        return {name: parse_pin(word) for name, word in self.options.pins.items()}

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """The placed storages."""
        graph, root = self.graph, self.graph.storage_of
        outputs = graph.output_storages
        uses: dict[str, list[int]] = {}
        if (
            graph.ops and self.options.io == "resident"
        ):  # a returned input lies there though no op may touch it
            uses |= {t.name: [] for t in graph.tensors if t.kind == "input" and t.name in outputs}
        for i, op in enumerate(graph.ops):
            if op.view:
                continue
            for name in _distinct(op, root):
                tensor = graph.tensor[name]
                ignored = tensor.kind == "constant" and self.options.weights == "ignore"
                io = tensor.kind == "input" or (tensor.kind == "activation" and name in outputs)
                callers = io and self.options.io == "external"
                if not (ignored or callers or (name in self.pins and self.pins[name].host)):
                    seen = uses.setdefault(name, [])
                    if graph.producer.get(name) != i:
                        seen.append(i)
        align = self.target.scratchpad.alignment
        return tuple(
            Storage(
                name=name,
                nbytes=graph.tensor[name].nbytes,
                size=align_up(graph.tensor[name].nbytes, align),
                producer=graph.producer.get(name, -1),
                uses=tuple(readers),
                is_input=graph.tensor[name].kind == "input",
                is_constant=graph.tensor[name].kind == "constant",
                is_output=name in outputs,
                resident=self.options.io == "resident"
                and graph.tensor[name].kind != "constant"
                and (graph.tensor[name].kind == "input" or name in outputs),
                keep=graph.tensor[name].kind == "workspace" or (name in self.pins and self.pins[name].keep),
                offset=self.pins[name].offset if name in self.pins and not self.pins[name].memory else None,
            )
            for name, readers in uses.items()
        )

    @cached_property
    def number(self) -> dict[str, int]:
        """Storage number by name."""
        return {s.name: i for i, s in enumerate(self.storages)}

    @cached_property
    def placeables(self) -> tuple[Placeable, ...]:
        """The storages of which a plan says where they lie, with the memories in which each may: for any target."""
        return placeables(self.graph, self.target, self.options)

    def residency(self, storage: int, start: int, stop: int, offset: int) -> Residency:
        """The storage in the scratchpad in steps `[start, stop)`, from byte `offset` on."""
        s = self.storages[storage]
        return Residency(s.name, self.target.scratchpad.name, start, stop, offset, s.size)

    def load(self, storage: int, issue: int, due: int) -> Move:
        """A copy of the storage from host memory to the scratchpad, between these boundaries."""
        return self._move(storage, self.target.host.name, self.target.scratchpad.name, issue, due)

    def store(self, storage: int, issue: int, due: int) -> Move:
        """A copy of the storage from the scratchpad to host memory, between these boundaries."""
        return self._move(storage, self.target.scratchpad.name, self.target.host.name, issue, due)

    def _move(self, storage: int, source: str, destination: str, issue: int, due: int) -> Move:
        queue = self.target.copying_queues(source, destination)[0]
        return Move(self.storages[storage].name, source, destination, issue, due, queue)

    def is_load(self, move: Move) -> bool:
        """Whether the move copies to the scratchpad."""
        return is_load(self.target, move)

    def turn(self, move: Move) -> tuple[int, bool]:
        """What moves are listed by: their issue, and at one boundary stores before the loads into what they leave."""
        return move.issue, self.is_load(move)

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the distinct placed storages it reads (none for a view)."""
        root, number = self.graph.storage_of, self.number
        return tuple(
            () if op.view else tuple(dict.fromkeys(number[root[n]] for n in op.inputs if root[n] in number))
            for op in self.graph.ops
        )

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the placed storages it writes (none for a view)."""
        number = self.number
        return tuple(
            () if op.view else tuple(number[n] for n in op.outputs if n in number) for op in self.graph.ops
        )

    @property
    def preds(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the ops it depends on directly, or is to come after; views included."""
        return self.graph.preds

    @cached_property
    def succs(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the ops that depend on it directly."""
        out: list[list[int]] = [[] for _ in range(self.n)]
        for i, sources in enumerate(self.preds):
            for source in sources:
                out[source].append(i)
        return tuple(map(tuple, out))

    @cached_property
    def inplace_pairs(self) -> dict[int, tuple[int, tuple[int, ...]]]:
        """Per op that may work in place: the storage it writes and those it could write over at their last use, of
        `overwriting` all but outputs of the graph.
        """
        pairs = {}
        for i, (written, over) in self.overwriting.items():
            if dying := tuple(s for s in over if not self.storages[s].is_output):
                pairs[i] = (written, dying)
        return pairs

    @cached_property
    def overwriting(self) -> dict[int, tuple[int, tuple[int, ...]]]:
        """Per op, the storage it writes and those that rule 8 lets it write over in some plan.

        With in-place on, these are all but the caller's buffers; a donated input is written over by its next value alone.
        """
        if not (self.options.inplace or self.options.donate):
            return {}
        found = {}
        for i, op in enumerate(self.graph.ops):
            if op.overwrites and (written := self.number.get(op.overwrites[0][0])) is not None:
                operands = (self.number.get(self.graph.storage_of[x]) for _, x in op.overwrites)
                over = [s for s in operands if s is not None and self._may_overwrite(written, s)]
                if over:
                    found[i] = (written, tuple(dict.fromkeys(over)))
        return found

    def _may_overwrite(self, written: int, over: int) -> bool:
        new, old = self.storages[written], self.storages[over]
        if None not in (new.offset, old.offset) and new.offset != old.offset:
            return False
        donated = old.is_input and old.name in self.options.donate and not old.is_output
        mine = donated and self.renewed.get(old.name, new.name) == new.name
        return mine or (self.options.inplace and not old.resident)

    @cached_property
    def roles(self) -> dict[str, str]:
        """What each storage is to the ops that touch it, by its name, as targets call it."""
        return roles(self.graph)

    @cached_property
    def renewed(self) -> dict[str, str]:
        """The storage that holds an input's next value, by the input's name."""
        return {old: self.graph.storage_of[new] for new, old in self.graph.updates}

    @cached_property
    def overwritable(self) -> frozenset[int]:
        """The storages that some op might write over."""
        return frozenset(s for _, sources in self.inplace_pairs.values() for s in sources)

    @cached_property
    def present(self) -> tuple[tuple[int, ...], ...]:
        """Per op, storages that are in the first memory at its step under every plan: operands, and what is kept."""
        across = certainly_kept(self.storages, self.preds, self.succs, self.options.order == "program")
        joined = [self.options.join and bool(op.joins) for op in self.graph.ops]  # these may read nothing
        return tuple(
            tuple(
                dict.fromkeys(
                    (
                        *(s for s in (() if joined[i] else self.reads[i]) if self._is_fast(i, s, False)),
                        *(s for s in self.writes[i] if self._is_fast(i, s, True)),
                        *(s for s in across[i] if self._fast_alone(s)),
                    )
                )
            )
            for i in range(self.n)
        )

    def _is_fast(self, i: int, s: int, writing: bool) -> bool:
        """Whether op `i` finds the storage, or writes it, in the first memory alone."""
        storage = self.storages[s]
        if storage.pinned:
            return self._fast_alone(s)
        key = writing, self.graph.ops[i].kind, self.roles[storage.name]
        if key not in self._reached:
            self._reached[key] = (self.target.writable if writing else self.target.readable)(*key[1:])
        return self._reached[key] == (self.target.scratchpad.name,)

    def _fast_alone(self, s: int) -> bool:
        """Whether a storage that may not leave can have its residency in the first memory alone."""
        storage = self.storages[s]
        pin = self.pins.get(storage.name)
        named = pin is not None and pin.memory is not None
        return storage.resident or (
            not named and (storage.offset is not None or len(self.target.addressed) == 1)
        )

    @cached_property
    def _reached(self) -> dict[tuple[bool, str, str], tuple[str, ...]]:
        """The memories that ops of a kind reach, filled as they are asked for."""
        return {}

    @cached_property
    def need(self) -> tuple[int, ...]:
        """Per op, the bytes of scratchpad it cannot do without."""
        sizes = [s.size for s in self.storages]
        total = [sum(sizes[s] for s in present) for present in self.present]
        for i, (written, over) in self.overwriting.items():
            if written in self.present[i] and any(s in self.present[i] for s in over):
                total[i] -= sizes[written]
        return tuple(total)

    @cached_property
    def min_capacity(self) -> int:
        """A capacity below which no plan exists, under every order."""
        least = max(self.need, default=0)
        fixed = {s for present in self.present for s in present if self.storages[s].offset is not None}
        fixed |= {k for k, s in enumerate(self.storages) if s.resident and s.offset is not None}
        least = max(
            [
                least,
                *(self.storages[s].end for s in fixed),
                *(self._beside_pinned(i) for i in range(self.n) if fixed),
            ]
        )
        if self.options.io == "resident":
            inputs = sum(s.size for s in self.storages if s.is_input)
            outputs = sum(s.size for s in self.storages if s.is_output and not s.is_constant)
            least = max(least, inputs, outputs)
        return least

    def _beside_pinned(self, i: int) -> int:
        """The capacity below which what op `i` touches has no place beside what is pinned to an offset."""
        written, over = self.overwriting.get(i, (-1, ()))
        shared = {written} if written < 0 or self.storages[written].offset is None else {*over}
        present = [(k, self.storages[k]) for k in self.present[i]]
        pinned = [(s.offset, s.end) for _, s in present if s.offset is not None and s.size]
        free = [s.size for k, s in present if s.offset is None and k not in shared]
        return least_top(pinned, free, self.target.scratchpad.alignment) if pinned else 0

    @cached_property
    def free_bound(self) -> float:
        """A lower bound on the objective that costs nothing to compute and holds for every plan."""
        if self.options.objective == "peak":
            return self.min_capacity
        if self.options.objective == "traffic":
            if is_free(self.target, self.options):
                return 0
            return least_cost(self.target, self.options, self.placeables)
        if self.options.objective == "compute":
            return 0
        return latency_ends(self.graph, self.target, self.options)[1]


def _distinct(op: Op, root: dict[str, str]) -> dict[str, None]:
    return dict.fromkeys(root[n] for n in (*op.inputs, *op.outputs))
