"""What a solver sees: graph, target and options, with ops and storages numbered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from memplan.ir.graph import Graph
from memplan.machine.target import Target
from memplan.machine.two_level import beyond_two_level
from memplan.problem.crowding import crowding
from memplan.problem.first_memory import FirstMemory
from memplan.problem.joins import Hosted, hosted, joinable, places
from memplan.problem.kept import certainly_kept
from memplan.problem.need import fixed_end, needed
from memplan.problem.numbering import Numbering
from memplan.problem.op_times import latency_ends, roles
from memplan.problem.options import Options
from memplan.problem.overwriting import overwritten
from memplan.problem.pins import Pin, parse_pin
from memplan.problem.placeable import Placeable
from memplan.problem.places import is_free, least_cost, placeables
from memplan.problem.plan import Move, Residency, is_load
from memplan.problem.storage import Storage

NUMBERINGS = 4
"""Numberings that problems made of one another share, the latest: with each choice of what is joined there is another."""


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
        joined: of `joinable`, ops that every plan joins: their parts are no storages, the joined one is written by several ops
            and kept from the first of them until it is joined.
        scattered: of `joinable`, ops that need no room for their output, whose bytes are those of their parts wherever
            these lie. No machine does that: what such a problem costs at least, it costs whether they are joined or not.
            Of one that is joined too, the place of an operand that is `hosted` is taken from when that is written,
            and no more than that.
        _numberings: the latest of this problem and of those that `replace` makes of it, or that it was made of.
    """

    graph: Graph
    target: Target
    options: Options
    joined: tuple[str, ...] = ()
    scattered: tuple[str, ...] = ()
    _numberings: list[Numbering] = field(default_factory=list, compare=False, repr=False)

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
    def joinable(self) -> tuple[str, ...]:
        """The ops that a plan may join, in program order, not all together: what is a part of two lies in one of them."""
        return joinable(self.graph, self.target, self.options)

    @cached_property
    def relaxed(self) -> Problem:
        """The problem with all ops scattered that can be joined, where the options allow that; else itself.

        It has the same storages by number, and what it costs at least this problem does too.
        """
        if not self.options.join or beyond_two_level(self.target):
            return self
        able = joinable(
            self.graph, self.target, replace(self.options, pins={})
        )  # solvers join nothing that is pinned
        return replace(self, options=replace(self.options, join=False), scattered=able) if able else self

    @cached_property
    def hosted(self) -> tuple[Hosted, ...]:
        """The operands that lie in a joined output until a part is written over them."""
        return hosted(self.graph, self.joined, self.options)

    @cached_property
    def writers(self) -> dict[int, tuple[int, ...]]:
        """Per storage in which ops are joined, those that write its parts."""
        found: dict[int, list[int]] = {}
        for x, (storage, _) in places(self.graph, self.joined).items():
            if self.graph.ops[self.graph.producer[x]].name not in self.joined:
                found.setdefault(self.number[storage], []).append(self.graph.producer[x])
        return {s: tuple(ops) for s, ops in found.items()}

    @cached_property
    def _numbering(self) -> Numbering:
        """The placed storages by number: one of those that are known, so that a solve numbers a large graph once."""
        options, alignment = self.options, self.target.scratchpad.alignment
        if not (self.joined or self.scattered):  # then these alone decide
            options = Options(weights=options.weights, io=options.io, pins=options.pins)
        mine = Numbering(self.graph, options, alignment, self.joined, self.scattered)
        known = next((one for one in self._numberings if one == mine), None)
        if known is None:
            self._numberings[:] = [*self._numberings[1 - NUMBERINGS :], mine]
        return known or mine

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """The placed storages."""
        return self._numbering.storages

    @cached_property
    def number(self) -> dict[str, int]:
        """Storage number by name."""
        return self._numbering.number

    @cached_property
    def placeables(self) -> tuple[Placeable, ...]:
        """The storages of which a plan says where they lie, with the memories in which each may: for any target."""
        return placeables(self.graph, self.target, self.options, self.joined)

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
        """Per op, the distinct placed storages it reads, or writes in part (none for a view)."""
        return self._numbering.reads

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the placed storages it writes, each the only one to (none for a view)."""
        return self._numbering.writes

    @property
    def preds(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the ops it depends on directly, or is to come after; views included."""
        return self.graph.preds

    @property
    def succs(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the ops that depend on it directly."""
        return self.graph.succs

    @cached_property
    def inplace_pairs(self) -> dict[int, tuple[int, tuple[int, ...]]]:
        """Per op that may work in place: the storage it writes and those it could write over at their last use, of
        `overwriting` all but outputs of the graph.
        """
        pairs = {}
        for i, (written, over) in self.overwriting.items():
            outputs = self.graph.output_storages
            if dying := tuple(s for s in over if self.storages[s].name not in outputs):
                pairs[i] = (written, dying)
        return pairs

    @cached_property
    def overwriting(self) -> dict[int, tuple[int, tuple[int, ...]]]:
        """Per op, the storage it writes and those that rule 8 lets it write over in some plan.

        With in-place on, these are all but the caller's buffers; a donated input is written over by its next value alone.
        """
        return overwritten(self.graph, self.options, self.storages, self.number)

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
        """Per op, storages that are in the first memory at its step under every plan: operands, and what is kept.

        Of what an op joins, its parts are, wherever they lie.
        """
        if self.relaxed is not self:
            return self.relaxed.present
        storages, fast = self.storages, FirstMemory(self.target, self.pins, self.roles)
        across = certainly_kept(storages, self.preds, self.succs, self.options.order == "program")
        # There what is joined may read nothing.
        unknown = self.options.join and bool(beyond_two_level(self.target))
        if fast.serves_all and not unknown:
            return tuple([(*r, *w, *a) for r, w, a in zip(self.reads, self.writes, across, strict=True)])
        joined = [unknown and bool(op.joins) for op in self.graph.ops]
        return tuple(
            tuple(
                dict.fromkeys(
                    (
                        *(
                            s
                            for s in (() if joined[i] else self.reads[i])
                            if fast.serves(op.kind, storages[s], False)
                        ),
                        *(s for s in self.writes[i] if fast.serves(op.kind, storages[s], True)),
                        *(s for s in across[i] if fast.keeps(storages[s])),
                    )
                )
            )
            for i, op in enumerate(self.graph.ops)
        )

    @cached_property
    def need(self) -> tuple[int, ...]:
        """Per op, the bytes of scratchpad it cannot do without."""
        if self.relaxed is not self:
            return self.relaxed.need
        return needed(self.storages, self.present, self.overwriting)

    @cached_property
    def min_capacity(self) -> int:
        """A capacity below which no plan exists, under every order."""
        if self.relaxed is not self:
            return self.relaxed.min_capacity
        alignment = self.target.scratchpad.alignment
        least = max(*self.need, fixed_end(self.storages, self.present, self.overwriting, alignment), 0)
        if self.options.io == "resident":
            inputs = sum(s.size for s in self.storages if s.is_input)
            outputs = sum(s.size for s in self.storages if s.is_output and not s.is_constant)
            least = max(least, inputs, outputs)
        return least

    @cached_property
    def free_bound(self) -> float:
        """A lower bound on the objective that costs nothing to compute and holds for every plan."""
        if self.options.objective == "peak":
            return self.min_capacity
        target, found = self.target, self.placeables if self.target.direct else ()
        if self.options.objective == "traffic":
            least = 0 if is_free(target, self.options) else least_cost(target, self.options, self.placeables)
            if target.queues:
                price = {m.name: target.byte_cost(m.name) for m in target.memories}
                # What inputs, constants and outputs cost is partly compulsory: they count where they cannot lie elsewhere.
                inner = [s for s in found if self._is_resident(s) or not (s.is_given or s.is_output)]
                least += sum(self._crowding(inner, price).values())
            return int(least) if float(least).is_integer() else least
        if self.options.objective == "compute":
            return 0
        price = {m.name: 1 / (m.bandwidth or 1.0) for m in target.memories}
        placed = [s for s in found if not self.pins.get(s.name, Pin()).host]  # the others' seconds are known
        # What is joined takes its overhead alone, as what may be joined is taken to do.
        options = replace(self.options, join=True) if self.joined else self.options
        return latency_ends(self.graph, target, options, self._crowding(placed, price))[1]

    def _crowding(self, found: Sequence[Placeable], price: Mapping[str, float]) -> dict[int, float]:
        """`crowding`, where each storage takes bytes of its own and ops use the backing memory directly."""
        if not self.target.direct or self.joined or self.scattered:
            return {}
        return crowding(self.graph, self.target, self.options, found, price)

    def _is_resident(self, s: Placeable) -> bool:
        return self.options.io == "resident" and self.roles[s.name] in ("inputs", "outputs")
