"""How one state follows another when tiny problems on targets of any memories are solved by brute force.

Two things alone are left out, since no plan needs them: a copy stays until its bytes are wanted, and a move is made when
what it makes is used, or what it reads is about to go.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import lcm
from typing import NamedTuple

from tests.moving_rules import Copy, MovingRules

GOAL = -2
"""The op of a node in which all is done, and every output at home."""


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


class MovingSteps(MovingRules):
    """The nodes of a problem whose joined ops are decided: where they begin, and what follows each."""

    def starts(self) -> Iterator[Node]:
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

    def following(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
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
        yield 0.0, node._replace(op=GOAL), Event()

    def _moves(self, node: Node) -> Iterator[tuple[float, Node, Event]]:
        operands = {self.lies(s) for s in self.reads(node.op)}
        for s, a, _ in node.copies:
            if self.resident(s) or self.locks(s) - node.done:
                continue
            for b in self.names:
                stored = s in self.outs and b == self.home(s) and b in self.addressed  # in time for the end
                if a not in self.tight and s not in operands and not stored:
                    continue  # nobody drives it out or asks for it
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
        alone = s == whole and self.kind(s) != "workspace"
        return self.may_lie(whole, m) and (m in self.addressed or alone)

    def _aligned(self, whole: str, m: str, at: int) -> bool:
        """Whether the parts of a storage at this offset lie where the memory and they themselves ask for."""
        align, begin = self.addressed[m].alignment, max(at, 0)
        inside = ((self.g.tensor[x], first) for x, (w, first) in self.inside.items() if w == whole)
        return all((begin + first) % lcm(align, part.alignment or 1) == 0 for part, first in inside)

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
            free = all(c[:2] not in busy and self.may_go(node, c) for c in gone)
            if free and (m not in self.addressed or self._aligned(whole, m, at)):
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

    def may_go(self, node: Node, copy: Copy) -> bool:
        s, m, _ = copy
        if (s, m) in node.fresh or self.locks(s) - node.done:
            return False
        return not (self.resident(s) and (s in self.outs or self.users(s) - node.done))
