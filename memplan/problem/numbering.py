"""The storages that solvers place, numbered, and who touches which."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain

from memplan.ir.graph import Graph
from memplan.problem.joins import lying
from memplan.problem.options import Options
from memplan.problem.placed import placed_storages, without_room
from memplan.problem.storage import Storage


@dataclass(frozen=True)
class Numbering:
    """What of a `Problem` depends on neither a capacity nor most options, so that problems share it.

    Args:
        graph: what is planned.
        options: those that decide which storages are placed; the others may be at their defaults.
        alignment: of the first memory, in bytes.
        joined, scattered: as of `Problem`.
    """

    graph: Graph
    options: Options
    alignment: int
    joined: tuple[str, ...]
    scattered: tuple[str, ...]

    @cached_property
    def lying(self) -> dict[str, tuple[str, ...]]:
        """The storages in which a root's bytes lie, of the roots whose own storage these are not alone."""
        return lying(self.graph, self.joined, self.scattered, self.options)

    @cached_property
    def touched(self) -> tuple[tuple[str, ...], ...]:
        """Per op, the storages it reads and then those it writes, placed or not (none for a view)."""
        lies = self.lying
        where = {name: lies.get(root, (root,)) for name, root in self.graph.storage_of.items()}
        return tuple(
            ()
            if op.view
            else tuple(dict.fromkeys(chain.from_iterable([where[x] for x in (*op.inputs, *op.outputs)])))
            for op in self.graph.ops
        )

    @cached_property
    def storages(self) -> tuple[Storage, ...]:
        """The placed storages."""
        found = placed_storages(self.graph, self.options, self.touched, self.joined, self.alignment)
        if self.scattered:
            found = without_room(found, self.graph, self.options, self.joined, self.scattered, self.lying)
        return tuple(found)

    @cached_property
    def number(self) -> dict[str, int]:
        """Storage number by name."""
        return {s.name: i for i, s in enumerate(self.storages)}

    @cached_property
    def reads(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the distinct placed storages it reads, or writes in part (none for a view)."""
        return self._touches(writing=False)

    @cached_property
    def writes(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the placed storages it writes, each the only one to (none for a view)."""
        return self._touches(writing=True)

    def _touches(self, writing: bool) -> tuple[tuple[int, ...], ...]:
        number, producer = self.number, [s.producer for s in self.storages]
        return tuple(
            tuple([number[x] for x in touched if x in number and (producer[number[x]] == i) == writing])
            for i, touched in enumerate(self.touched)
        )
