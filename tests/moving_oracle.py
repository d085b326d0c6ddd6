"""The least traffic, or peak, of tiny problems on targets of any memories where copies may be moved, by brute force.

Straight from the rules, apart from every solver: a search by cost over all orders, places, moves, in-place pairs and
choices of what is joined. Two things alone are left out, since no plan needs them: a copy stays until its bytes are
wanted, and a move is made when what it makes is used, or what it reads is about to go. For at most 5 ops, a few bytes
and memories of a few bytes.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from math import lcm
from typing import NamedTuple

from memplan.base.units import align_up
from memplan.judge.evaluate import evaluate
from memplan.problem.plan import InPlace, Move, Plan, Residency
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan.solving.registry import parse_spec

Copy = tuple[str, str, int]
"""A storage, a memory and an offset there; -1 where the memory has no addresses or no limit."""


class Node(NamedTuple):
    """What was executed and what lies where; where the next op is chosen, what was moved for it.

    Args:
        done: the ops that were executed.
        op: the one that comes next, -1 where that is open.
        copies: what lies where.
        fresh: copies that began at this boundary, so that they last beyond it.
        owed: moves that nothing has justified so far: storage, destination and source.
    """

    done: frozenset[int]
    op: int
    copies: frozenset[Copy]
    fresh: frozenset[tuple[str, str]]
    owed: frozenset[tuple[str, str, str]]


class Event(NamedTuple):
    """How a node came about.

    Args:
        move: of which storage, from where to where.
        execution: the op that was executed, -1 for none.
        pairs: what it wrote over: output, operand and memory.
        made: copies that began with the move or the execution.
        ended: copies that ended before either.
    """

    move: tuple[str, str, str] | None = None
    execution: int = -1
    pairs: tuple[tuple[str, str, str], ...] = ()
    made: frozenset[Copy] = frozenset()
    ended: frozenset[Copy] = frozenset()


class TooMany(Exception):
    """There are more nodes than the search may look at."""


class MovingOracle:
    """One problem without recomputation, pins and donation, seen through the rules.

    Args:
        problem: the problem.
        most: how many nodes are looked at before `TooMany` is raised.
    """

    def __init__(self, problem: Problem, most: int = 30_000) -> None:
        self.problem, self.most = problem, most
        self.g, self.o, self.target = problem.graph, problem.options, problem.target
        assert self.o.recompute == 1 and not self.o.pins and not self.o.donate
        assert not (self.o.join and self.o.inplace)
        self.root, self.outs = self.g.storage_of, self.g.output_storages
        self.names = [m.name for m in self.target.memories]
        self.addressed = {m.name: m for m in self.target.addressed}
        self.tight = {name for name, m in self.addressed.items() if m.capacity is not None}
        self.joined: frozenset[int] = frozenset()
        self.inside: dict[str, tuple[str, int]] = {}
        self.found: tuple[tuple[int, ...], Node, dict[Node, tuple[Node, Event]]] | None = None

    # What the problem says

    def kind(self, s: str) -> str:
        return self.g.tensor[s].kind

    def io(self, s: str) -> bool:
        return self.kind(s) == "input" or (self.kind(s) == "activation" and s in self.outs)

    @cache  # noqa: B019 - an oracle lives for one problem
    def role(self, s: str) -> str:
        return "outputs" if self.kind(s) == "activation" and s in self.outs else f"{self.kind(s)}s"

    def ours(self, s: str) -> bool:
        if self.kind(s) == "constant":
            return self.o.weights != "ignore"
        return not (self.o.io == "external" and self.io(s))

    def resident(self, s: str) -> bool:
        return self.o.io == "resident" and self.io(s)

    def home(self, s: str) -> str:
        return self.names[0] if self.resident(s) else self.target.home_of(self.role(s))

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

    # Space

    def spots(self, s: str, m: str, whole: bool = True) -> Iterator[int]:
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

    def may_go(self, node: Node, copy: Copy) -> bool:
        s, m, _ = copy
        if (s, m) in node.fresh or self.locks(s) - node.done:
            return False
        return not (self.resident(s) and (s in self.outs or self.users(s) - node.done))

    # The search

    def least(self) -> float | None:
        """The least traffic beyond the compulsory, or under objective peak the least peak; None where there is no plan."""
        best = None
        if self.o.objective == "peak":
            return self._least_peak()
        for joined in self._joins():
            cost = self._search(joined, best)
            best = cost if cost is not None else best
        return None if best is None else best - self.compulsory

    def _least_peak(self) -> float | None:
        first = self.target.scratchpad
        most = sum(align_up(t.nbytes, first.alignment) + (t.alignment or 1) for t in self.g.tensors)
        most = most if first.capacity is None else min(first.capacity, most)
        for capacity in range(0, most + 1, first.alignment):
            target = self.target.with_scratchpad(capacity or 1)  # in one byte nothing has room
            inner = MovingOracle(replace(self.problem, target=target), self.most)
            if any(inner._search(joined, None) is not None for joined in inner._joins()):
                self.found = inner.found
                return capacity
        return None

    def _joins(self) -> list[tuple[int, ...]]:
        """Every choice of ops that may be joined together, the fewest first."""
        able = []
        for i, op in enumerate(self.g.ops if self.o.join else ()):
            parts = all(self.kind(x) == "activation" and x not in self.outs for x, _ in op.joins)
            if op.joins and parts and self.ours(op.results[0]):
                able.append(i)
        ways = [w for n in range(len(able) + 1) for w in itertools.combinations(able, n)]
        return [
            w
            for w in ways
            if len({x for i in w for x, _ in self.g.ops[i].joins}) == sum(len(self.g.ops[i].joins) for i in w)
        ]

    def _decide(self, joined: tuple[int, ...]) -> None:
        self.joined, self.inside = frozenset(joined), {}
        for i in sorted(joined, reverse=True):
            op = self.g.ops[i]
            whole, begin = self.inside.get(op.results[0], (op.results[0], 0))
            self.inside |= {x: (whole, begin + first) for x, first in op.joins}
        for each in (self.reads, self.writes, self.users, self.locks, self.rest_of):
            each.cache_clear()

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

    def _search(self, joined: tuple[int, ...], below: float | None) -> float | None:
        """The least cost, the compulsory included, if it is below the one that is known; None else."""
        self._decide(joined)
        ahead = {i: self.rest_of(i) for i in range(len(self.g.ops))}
        way: dict[Node, tuple[Node, Event]] = {}
        known: dict[Node, float] = {}
        heap: list[tuple[float, int, int, float, Node]] = []
        count = itertools.count()

        def push(cost: float, node: Node) -> bool:
            if cost >= known.get(node, float("inf")):
                return False
            known[node] = cost
            left = sum(c for i, c in ahead.items() if i not in node.done)
            if below is None or cost + left < below:
                heapq.heappush(heap, (cost + left, -len(node.done), next(count), cost, node))
            return True

        for node in self._starts():
            push(0.0, node)
        seen = 0
        while heap:
            _, _, _, cost, node = heapq.heappop(heap)
            if cost > known[node]:
                continue
            seen += 1
            if seen > self.most:
                raise TooMany
            if node.op == -2:
                self.found = joined, node, way
                return cost
            for paid, after, event in self._next(node):
                if push(cost + paid, after):
                    way[after] = node, event
        return None

    def _starts(self) -> Iterator[Node]:
        given = [
            s
            for s in dict.fromkeys(self.root.values())
            if self.kind(s) in ("input", "constant") and self.ours(s)
        ]
        loose, placed = list[Copy](), list[str]()
        for s in given:
            if self.home(s) not in self.addressed:
                loose.append((s, self.home(s), -1))
            elif self.g.ops and (self.users(s) or s in self.outs):
                placed.append(s)

        def lay(k: int, copies: frozenset[Copy]) -> Iterator[frozenset[Copy]]:
            if k == len(placed):
                yield copies
                return
            s, m = placed[k], self.home(placed[k])
            for at in self.spots(s, m):
                if not self.in_the_way(copies, s, m, at):
                    yield from lay(k + 1, copies | {(s, m, at)})

        for copies in lay(0, frozenset(loose)):
            fresh = frozenset((s, self.home(s)) for s in placed)
            yield Node(frozenset(), -1, copies, fresh, frozenset())

    def _next(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
        if node.op >= 0:
            yield from self._moves(node)
            yield from self._executions(node)
            return
        if len(node.done) == len(self.g.ops):
            yield from self._end(node)
        for i, before in enumerate(self.g.preds):
            if (
                i not in node.done
                and {*before} <= node.done
                and (self.o.order == "free" or i == len(node.done))
            ):
                yield 0.0, node._replace(op=i), Event()

    def _end(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
        """Store what is not at home; the goal, if all is."""
        for s in sorted(self.outs):
            if self.ours(s) and not any(c[:2] == (s, self.home(s)) for c in node.copies):
                if self.home(s) in self.addressed:
                    return
                for _, m, _ in (c for c in node.copies if c[0] == s):
                    if self.target.copying_queues(m, self.home(s)):
                        after = node._replace(copies=node.copies | {(s, self.home(s), -1)})
                        yield self.price(s, m, self.home(s)), after, Event((s, m, self.home(s)))
                return
        yield 0.0, node._replace(op=-2), Event()

    def _moves(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
        operands = {self.lies(s) for s in self.reads(node.op)}
        for s, a, _ in node.copies:
            if self.resident(s) or self.locks(s) - node.done:
                continue
            for b in self.names:
                stored = s in self.outs and b == self.home(s) and b in self.addressed  # in time for the end
                if (
                    a not in self.tight and s not in operands and not stored
                ):  # nobody drives it out or asks for it
                    continue
                if not (self.may_lie(s, b) and self.target.copying_queues(a, b)):
                    continue
                there = any(c[:2] == (s, b) for c in node.copies)
                if (there and b not in self.tight) or not self._compulsory(node, s, a, b):
                    continue
                for at in self.spots(s, b):
                    gone = self.in_the_way(node.copies, s, b, at)
                    if (s, b, at) in gone or not all(self.may_go(node, c) for c in gone):
                        continue
                    owed = frozenset(x for x in node.owed if x[:2] != (s, a))
                    owed |= set() if stored else {(s, b, a)}
                    after = node._replace(
                        copies=(node.copies - gone) | {(s, b, at)}, fresh=node.fresh | {(s, b)}, owed=owed
                    )
                    yield (
                        self.price(s, a, b),
                        after,
                        Event((s, a, b), made=frozenset({(s, b, at)}), ended=gone),
                    )

    def _compulsory(self, node: Node, s: str, a: str, b: str) -> bool:
        """Whether the objective allows the move: under peak, what is given comes once, and outputs go home once."""
        if self.o.objective != "peak":
            return True
        if self.kind(s) in ("input", "constant"):
            first = all(i not in node.done for i in self.users(s)) or self.o.weights == "stream"
            return a == self.home(s) and first and s in self.reads(node.op)
        return s in self.outs and b == self.home(s)

    def _executions(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
        i = node.op
        done = node.done | {i}
        for paid, read, kept in self._read(node, self.reads(i), frozenset(), node.copies):
            for cost, copies, pairs in self._write(
                node._replace(copies=kept), self.writes(i), read, kept, ()
            ):
                lost = node.copies - copies  # before what is read by nobody is let go
                if any((s, b) not in read and any(c[:2] == (s, a) for c in copies) for s, b, a in node.owed):
                    continue
                over = frozenset(c for c in lost if c[:2] in {(a, m) for _, a, m in pairs})
                left = frozenset(c for c in copies if self._lasts(c, copies, done))
                after = Node(done, -1, left, frozenset(), frozenset())
                yield paid + cost, after, Event(None, i, pairs, copies - node.copies, lost - over)

    def _lasts(self, copy: Copy, copies: frozenset[Copy], done: frozenset[int]) -> bool:
        s, m, _ = copy
        if self.kind(s) == "workspace":
            return False
        if self.kind(s) == "constant" and self.o.weights == "stream" and m != self.home(s):
            return False
        if self.users(s) - done:
            return True
        return s in self.outs and (m == self.home(s) or not any(c[:2] == (s, self.home(s)) for c in copies))

    def _read(
        self, node: Node, storages: tuple[str, ...], read: frozenset[tuple[str, str]], copies: frozenset[Copy]
    ) -> Iterator[tuple[float, frozenset[tuple[str, str]], frozenset[Copy]]]:
        """Every choice of where the operands are read: each from the fastest memory that has it, after some went."""
        if not storages:
            yield 0.0, read, copies
            return
        s, *rest = storages
        faster = frozenset[Copy]()
        for m in self.target.readable(self.g.ops[node.op].kind, self.role(s)):
            for c in (c for c in copies if c[:2] == (self.lies(s), m)):
                for paid, where, kept in self._read(
                    node, tuple(rest), read | {(self.lies(s), m)}, copies - faster
                ):
                    yield self.price(s, m) + paid, where, kept
                if not self.may_go(node, c) or m not in self.addressed:
                    return
                faster |= {c}

    def _write(
        self,
        node: Node,
        storages: tuple[str, ...],
        busy: frozenset[tuple[str, str]],
        copies: frozenset[Copy],
        pairs: tuple[tuple[str, str, str], ...],
    ) -> Iterator[tuple[float, frozenset[Copy], tuple[tuple[str, str, str], ...]]]:
        """Every choice of where the outputs are written: what lies there and is not `busy` goes."""
        if not storages:
            yield 0.0, copies, pairs
            return
        s, *rest = storages
        whole, op = self.lies(s), self.g.ops[node.op]
        for m in self.target.writable(op.kind, self.role(s)):
            if not self._may_write(whole, m, s):
                continue
            for copied, made in self._written(node, s, whole, m, busy, copies, pairs):
                more = self._write(node, tuple(rest), busy | {(whole, m)}, copied, made)
                yield from ((self.price(s, m) + paid, kept, pairs) for paid, kept, pairs in more)

    def _may_write(self, whole: str, m: str, s: str) -> bool:
        if not self.may_lie(whole, m):
            return False
        if m not in self.addressed:
            return s == whole and self.kind(s) != "workspace"
        inside = [(x, first) for x, (w, first) in self.inside.items() if w == whole]
        align = self.addressed[m].alignment
        return all(first % lcm(align, self.g.tensor[x].alignment or 1) == 0 for x, first in inside)

    def _written(
        self,
        node: Node,
        s: str,
        whole: str,
        m: str,
        busy: frozenset[tuple[str, str]],
        copies: frozenset[Copy],
        pairs: tuple[tuple[str, str, str], ...],
    ) -> Iterator[tuple[frozenset[Copy], tuple[tuple[str, str, str], ...]]]:
        there = [c for c in copies if c[0] == whole]
        if there:  # a part of what another op began
            if [c[1] for c in there] == [m]:
                yield copies, pairs
            return
        for at in self.spots(whole, m):
            gone = self.in_the_way(copies, whole, m, at)
            if all(c[:2] not in busy and self.may_go(node, c) for c in gone):
                yield (copies - gone) | {(whole, m, at)}, pairs
        if not self.o.inplace or m not in self.tight:
            return
        for out, x in self.g.ops[node.op].overwrites:
            a = self.root[x]
            for c in [c for c in copies if c[:2] == (a, m)] if out == s else ():
                given = self.kind(a) in ("input", "constant") and m == self.home(a)
                if given or (a in self.outs and m == self.home(a)) or any(a == y for _, y, _ in pairs):
                    continue
                if self.kind(a) == "constant" and self.o.weights == "stream":
                    continue
                step = lcm(self.addressed[m].alignment, self.g.tensor[s].alignment or 1)
                if self.size(s, m) == self.size(a, m) and c[2] % step == 0 and not self.resident(a):
                    yield (copies - {c}) | {(s, m, c[2])}, (*pairs, (s, a, m))

    # The plan that was found

    def plan(self) -> Plan:
        """The plan of the least cost, checked and simulated; one must have been found."""
        assert self.found is not None
        joined, node, way = self.found
        self._decide(joined)
        path: list[tuple[Node, Event]] = []
        while node in way:
            before, event = way[node]
            path.append((node, event))
            node = before
        began = {c: 0 for c in node.copies if c[1] in self.addressed}
        order, rows, moves, inplace = list[int](), list[Residency](), list[Move](), list[InPlace]()

        def end(gone: frozenset[Copy], t: int) -> None:
            for s, m, at in sorted(gone & began.keys()):
                offset = self._apart(s) if at < 0 else at
                rows.append(Residency(s, m, began.pop((s, m, at)), t, offset, self.size(s, m)))

        for node, event in reversed(path):
            t = len(order)
            end(event.ended, t)
            began |= {c: t for c in event.made if c[1] in self.addressed}
            if event.move:
                s, a, b = event.move
                moves.append(Move(s, a, b, t, t, self.target.copying_queues(a, b)[0]))
            elif event.execution >= 0:
                order.append(event.execution)
                inplace += [InPlace(t, out, over) for out, over, _ in event.pairs]
                end(frozenset(began) - node.copies, t + 1)
        end(frozenset(began), len(order))
        found = parse_spec("placement").answer(
            self.problem, Limits(60), order=order, residencies=rows, moves=moves, inplace=inplace
        )
        return evaluate(self.g, replace(found, joined=tuple(self.g.ops[i].name for i in joined)))

    def _apart(self, s: str) -> int:
        """An offset of its own for each storage, in memories without a limit."""
        step = lcm(
            *(m.alignment for m in self.addressed.values()), *(t.alignment or 1 for t in self.g.tensors)
        )
        widest = align_up(max(t.nbytes for t in self.g.tensors), step)
        return widest * sorted(set(self.root.values())).index(s)
