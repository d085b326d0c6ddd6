"""The least traffic of tiny problems on targets where nothing is moved, by brute force.

Straight from the rules, apart from every solver: it tries every order that the options allow, every memory for every
storage, every choice of who is written over, and every offset. Exponential; for at most 5 ops and a few bytes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.problem.pins import Pin, parse_pin
from memplan.problem.problem import Problem
from tests.roles import Roles


class Row(NamedTuple):
    """Bytes that are needed in steps [start, stop) at one offset, at `at` unless that is -1."""

    start: int
    stop: int
    size: int
    alignment: int
    at: int = -1


class PlacementOracle(Roles):
    """One problem without moves, recomputation and joins, seen through the rules."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        assert self.target.queues == 0 and self.o.recompute == 1 and not self.o.join
        self.ops = [op for op in self.g.ops if not op.view]
        found = dict.fromkeys(self.root[x] for op in self.ops for x in (*op.inputs, *op.outputs))
        if self.g.ops:  # what is returned lies at home though no op may touch it
            given = (s for s in sorted(self.outs) if self.kind(s) in ("input", "constant"))
            found |= dict.fromkeys(s for s in given if self.home(s) in self.addressed)
        self.storages = [s for s in found if self.ours(s)]

    def memories(self, s: str) -> list[str]:
        """Where the storage may lie for its whole life."""
        given = self.kind(s) in ("input", "constant")
        can = [self.home(s)] if given or s in self.outs else list(self.names)
        for op in self.ops:
            if s in {self.root[x] for x in op.inputs}:
                can = [m for m in can if m in self.target.readable(op.kind, self.role(s))]
            if s in op.outputs:
                can = [m for m in can if m in self.target.writable(op.kind, self.role(s))]
        if self.kind(s) == "workspace":
            can = [m for m in can if m in self.addressed]
        if not given:
            can = [m for m in can if m in self.addressed or m == self.names[-1]]
        return [m for m in can if self.keeps_pin(s, m)]

    def pinned(self, s: str) -> tuple[bool, bool, str | None, int]:
        """What its pin says: whether it is kept, never placed, the memory that it names, the offset or -1."""
        pin = parse_pin(self.o.pins[s]) if s in self.o.pins else Pin()
        offset = -1 if pin.offset is None else pin.offset
        return pin.keep, pin.host, pin.memory or (self.names[0] if offset >= 0 else None), offset

    def keeps_pin(self, s: str, memory: str) -> bool:
        keep, host, named, _ = self.pinned(s)
        if memory not in self.addressed:
            return not keep
        if host or named in (None, memory):
            return not host
        return not keep and memory in (self.home(s), self.target.backing and self.target.backing.name)

    def cost(self, s: str, memory: str) -> float:
        reads = sum(s in {self.root[x] for x in op.inputs} for op in self.ops)
        writes = sum(s in op.outputs for op in self.ops)
        needed = reads > 0 if self.kind(s) in ("input", "constant") else s in self.outs
        least = self.target.byte_cost(self.home(s)) * needed
        return self.g.tensor[s].nbytes * (self.target.byte_cost(memory) * (reads + writes) - least)

    def orders(self) -> Iterator[tuple[int, ...]]:
        n = len(self.g.ops)
        for order in [tuple(range(n))] if self.o.order == "program" else itertools.permutations(range(n)):
            at = {i: t for t, i in enumerate(order)}
            if all(at[j] < at[i] for i, before in enumerate(self.g.preds) for j in before):
                yield order

    def least(self) -> float | None:
        """The least traffic; None where there is no plan."""
        choices = []
        for places in itertools.product(*(self.memories(s) for s in self.storages)):
            cost = sum(self.cost(s, m) for s, m in zip(self.storages, places, strict=True))
            choices.append((cost, places))
        orders = list(self.orders())
        for cost, places in sorted(choices, key=lambda c: c[0]):
            if any(self.fits(order, dict(zip(self.storages, places, strict=True))) for order in orders):
                return cost
        return None

    def fits(self, order: tuple[int, ...], places: dict[str, str]) -> bool:
        """Whether there are offsets for all that lies in memories with addresses, with some choice of pairs."""
        rows = {s: self.row(s, order, m) for s, m in places.items() if m in self.addressed}
        ways: list[list[tuple[str, str] | None]] = []
        for t, i in enumerate(order):
            pairs: list[tuple[str, str] | None] = [None]
            for out, x in self.g.ops[i].overwrites:
                a = self.root[x]
                if (out, a) not in pairs and self.may(t, out, a, rows, places):
                    pairs.append((out, a))
            ways.append(pairs)
        for way in itertools.product(*ways):
            chained = self.chained(rows, dict(p for p in way if p))
            if chained is not None and all(
                self.packs([r for s, r in chained.items() if places[s] == m], m) for m in self.addressed
            ):
                return True
        return False

    def may(self, t: int, out: str, a: str, rows: dict[str, Row], places: dict[str, str]) -> bool:
        if out not in rows or a not in rows or places[out] != places[a] or a in self.outs:
            return False
        if not (self.o.inplace or a in self.o.donate) or rows[a].stop != t + 1:
            return False
        return self.kind(a) == "activation" or (self.kind(a) == "input" and a in self.o.donate)

    def row(self, s: str, order: tuple[int, ...], memory: str) -> Row:
        touched = [
            t
            for t, i in enumerate(order)
            if not self.g.ops[i].view
            and s in {self.root[x] for x in (*self.g.ops[i].inputs, *self.g.ops[i].outputs)}
        ]
        given = self.kind(s) in ("input", "constant")
        stop = len(order) if s in self.outs else max(touched) + 1
        m, t = self.addressed[memory], self.g.tensor[s]
        return Row(
            0 if given else min(touched),
            stop,
            align_up(t.nbytes, m.alignment),
            lcm(m.alignment, t.alignment or 1),
            self.pinned(s)[3] if self.pinned(s)[2] == memory else -1,
        )

    def chained(self, rows: dict[str, Row], over: dict[str, str]) -> dict[str, Row] | None:
        """The rows with those of pairs made one; None where two pins are in each other's way."""
        rows = dict(rows)
        for out, a in sorted(
            over.items(), key=lambda p: -rows[p[0]].start
        ):  # the latest first, so chains join
            tail, head = rows.pop(out), rows[a]
            if tail.at >= 0 and head.at >= 0 and tail.at != head.at:
                return None
            rows[a] = Row(
                head.start, tail.stop, head.size, lcm(head.alignment, tail.alignment), max(head.at, tail.at)
            )
        return rows

    def packs(self, rows: list[Row], memory: str) -> bool:
        capacity = self.addressed[memory].capacity
        if capacity is None:
            if all(r.at < 0 for r in rows):
                return True
            capacity = sum(r.size + r.alignment for r in rows) + max(r.at for r in rows)
        if any(max(r.at, 0) + r.size > capacity or (r.at >= 0 and r.at % r.alignment) for r in rows):
            return False
        todo = sorted((r for r in rows if r.size), key=lambda r: (r.at < 0, -r.size, r))
        placed: list[tuple[Row, int]] = []

        def place() -> bool:
            if len(placed) == len(todo):
                return True
            row = todo[len(placed)]
            for offset in range(0, capacity - row.size + 1, row.alignment):
                apart = all(
                    row.stop <= r.start
                    or r.stop <= row.start
                    or offset + row.size <= o
                    or o + r.size <= offset
                    for r, o in placed
                )
                if apart and row.at in (-1, offset):
                    placed.append((row, offset))
                    if place():
                        return True
                    placed.pop()
            return False

        return place()
