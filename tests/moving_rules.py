"""What the rules say of one problem on a target of any memories: who touches which storage, and where each may lie."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import lcm

from memplan.base.units import align_up
from memplan.problem.problem import Problem
from tests.roles import Roles

Copy = tuple[str, str, int]
"""A storage, a memory and an offset there; -1 where the memory has no addresses or no limit."""


class MovingRules(Roles):
    """One problem without recomputation, pins and donation, seen apart from every solver.

    Args:
        problem: the problem; with joins there is no in-place.
        joined: numbers of the ops that are joined.
    """

    def __init__(self, problem: Problem, joined: tuple[int, ...] = ()) -> None:
        self.problem, self.joined = problem, frozenset(joined)
        super().__init__(problem)
        assert self.o.recompute == 1 and not self.o.pins and not self.o.donate
        assert not (self.o.join and self.o.inplace)
        self.tight = {name for name, m in self.addressed.items() if m.capacity is not None}
        self.inside: dict[str, tuple[str, int]] = {}
        for i in sorted(joined, reverse=True):
            op = self.g.ops[i]
            whole, begin = self.inside.get(op.results[0], (op.results[0], 0))
            self.inside |= {x: (whole, begin + first) for x, first in op.joins}

    def may_lie(self, s: str, m: str) -> bool:
        if self.resident(s):
            return m == self.names[0]
        given = self.kind(s) in ("input", "constant")
        backing = self.target.backing
        return (given and m == self.home(s)) or m in self.addressed or (backing and m == backing.name) is True

    @cache  # noqa: B019
    def reads(self, i: int) -> tuple[str, ...]:
        op = self.g.ops[i]
        found = () if op.view or i in self.joined else dict.fromkeys(self.root[x] for x in op.inputs)
        return tuple(s for s in found if self.ours(s))

    @cache  # noqa: B019
    def writes(self, i: int) -> tuple[str, ...]:
        op = self.g.ops[i]
        return () if op.view or i in self.joined else tuple(s for s in op.outputs if self.ours(s))

    @cache  # noqa: B019
    def users(self, s: str) -> frozenset[int]:
        """The ops before which a storage must last: its readers, and those that are joined in it or read its parts."""
        mine = {i for i in range(len(self.g.ops)) if s in {self.lies(x) for x in self.reads(i)}}
        return frozenset(mine | self.locks(s))

    @cache  # noqa: B019
    def locks(self, s: str) -> frozenset[int]:
        """The ops that are joined in a storage or read parts of it, before which it is not moved."""
        joins = {i for i in self.joined if s == self.lies(self.g.ops[i].results[0])}
        parts = {x for x in self.inside if self.lies(x) == s}
        return frozenset(joins | {i for i in range(len(self.g.ops)) if parts & {*self.reads(i)}})

    def lies(self, s: str) -> str:
        return self.inside.get(s, (s, 0))[0]

    def price(self, s: str, *memories: str) -> float:
        return self.g.tensor[s].nbytes * sum(self.target.byte_cost(m) for m in memories)

    @property
    def compulsory(self) -> float:
        total = 0.0
        for s in dict.fromkeys(self.root.values()):
            if not self.ours(s):
                continue
            read = any(s in {self.root[x] for x in op.inputs} for op in self.g.ops if not op.view)
            written = any(s in op.outputs for op in self.g.ops if not op.view)
            given = self.kind(s) in ("input", "constant")
            total += self.price(s, self.home(s)) * (read if given else written and s in self.outs)
        return total

    def spots(self, s: str, m: str) -> Iterator[int]:
        """Offsets of a storage in a memory."""
        if m not in self.tight:
            yield -1
            return
        memory, tensor = self.addressed[m], self.g.tensor[s]
        step, size = lcm(memory.alignment, tensor.alignment or 1), self.size(s, m)
        yield from range(0, (memory.capacity or 0) - size + 1, step) if size else (0,)

    def size(self, s: str, m: str) -> int:
        return align_up(self.g.tensor[s].nbytes, self.addressed[m].alignment)

    def in_the_way(self, copies: frozenset[Copy], s: str, m: str, at: int) -> frozenset[Copy]:
        """The copies whose bytes a storage would take."""
        if m not in self.tight:
            return frozenset(c for c in copies if c[:2] == (s, m))
        size = self.size(s, m)
        return frozenset(
            c
            for c in copies
            if c[1] == m
            and (
                c[0] == s
                or (size and self.size(c[0], m) and at < c[2] + self.size(c[0], m) and c[2] < at + size)
            )
        )

    @cache  # noqa: B019
    def rest_of(self, i: int) -> float:
        """What an op costs at least."""
        kind = self.g.ops[i].kind
        total = 0.0
        for writing, storages in ((False, self.reads(i)), (True, self.writes(i))):
            for s in storages:
                reach = (self.target.writable if writing else self.target.readable)(kind, self.role(s))
                total += min((self.price(s, m) for m in reach), default=0.0)
        return total
