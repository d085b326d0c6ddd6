"""`Subproblem`: a part of a problem that can be solved apart, and the numbers that its search needs.

A storage that leaves while it is still needed is charged at once: its reload, and its store unless host has it or
gets it anyway. Its return is free then. What remains is which storages are present between two steps.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import or_
from typing import Any

from memplan.problem.problem import Problem
from memplan_solvers.peak.live import LiveModel

PROHIBITIVE = 1 << 50
"""The price of evicting what may not leave: nobody pays so much."""


@dataclass(frozen=True)
class Subproblem:
    """Some ops of a problem with the storages they share, under `capacity` bytes.

    ops       op numbers of the problem, in a valid order; everything else is numbered by position here
    storages  numbers of the storages that are ever present between two steps; those that live for one step are in `extra`
    size      bytes of scratchpad; reload, store: what eviction costs, `store` only the first time
    touched   per op, the storages it writes or reads; extra: bytes that are there during its step alone
    over      per op that may work in place: bytes saved, and the storages one of which must die with it
    begun     whether the storage exists at the start; inside: whether it is present then; clean: whether host has it
    closing   whether it is needed after the last op
    """

    capacity: int
    ops: tuple[int, ...]
    storages: tuple[int, ...]
    size: tuple[int, ...]
    reload: tuple[int, ...]
    store: tuple[int, ...]
    touched: tuple[tuple[int, ...], ...]
    extra: tuple[int, ...]
    over: dict[int, tuple[int, tuple[int, ...]]]
    preds: tuple[tuple[int, ...], ...]
    begun: tuple[bool, ...]
    inside: tuple[bool, ...]
    clean: tuple[bool, ...]
    closing: tuple[bool, ...]

    @property
    def n(self) -> int:
        """Number of ops."""
        return len(self.ops)

    @cached_property
    def succs(self) -> tuple[tuple[int, ...], ...]:
        """Per op, the ops that depend on it directly."""
        found: list[list[int]] = [[] for _ in self.ops]
        for i, sources in enumerate(self.preds):
            for source in sources:
                found[source].append(i)
        return tuple(map(tuple, found))

    @cached_property
    def touches(self) -> list[list[int]]:
        """Per storage, the ops that touch it."""
        found: list[list[int]] = [[] for _ in self.size]
        for i, storages in enumerate(self.touched):
            for s in storages:
                found[s].append(i)
        return found

    @cached_property
    def unit(self) -> int:
        """The greatest common divisor of all sums of sizes that a step may need."""
        return math.gcd(*self.size, *self.extra, *(saved for saved, _ in self.over.values())) or 1

    @property
    def usable_capacity(self) -> int:
        """The capacity, rounded down to the unit."""
        return self.capacity // self.unit * self.unit

    @cached_property
    def live(self) -> LiveModel:
        """What is live without spills."""
        return LiveModel(
            self.size, self.begun, self.closing, self.touched, self.extra, self.over, self.preds, self.succs
        )

    @cached_property
    def dirty(self) -> LiveModel:
        """The same with storages that host has, or gets anyway, counted only where they are touched."""
        extra = list(self.extra)
        for s, price in enumerate(self.store):
            if not price:
                for i in self.touches[s]:
                    extra[i] += self.size[s]
        size = tuple(z if price else 0 for z, price in zip(self.size, self.store, strict=True))
        return replace(self.live, size=size, extra=tuple(extra))

    @cached_property
    def ancestors(self) -> tuple[int, ...]:
        """Per op, the ops before it under every order, as bits."""
        found: list[int] = []
        for sources in self.preds:
            found.append(reduce(or_, (found[p] | 1 << p for p in sources), 0))
        return tuple(found)

    @property
    def reversible(self) -> bool:
        """Whether `reversed` asks the same: no op works in place, and at the start all that exists is present and dirty."""
        return not self.over and self.inside == self.begun and not any(self.clean)

    @cached_property
    def reversed(self) -> Subproblem:
        """The subproblem with time reversed, which must be `reversible`: op i is op n - 1 - i there, storages keep their numbers.

        A plan is a set of gaps between touches in which a storage is absent. Read from its end it has the same gaps,
        so it needs the same bytes at each op and costs the same.
        """
        last = self.n - 1
        return replace(
            self,
            ops=self.ops[::-1],
            touched=self.touched[::-1],
            extra=self.extra[::-1],
            preds=tuple(tuple(last - j for j in ops) for ops in reversed(self.succs)),
            begun=self.closing,
            inside=self.closing,
            closing=self.begun,
        )

    def window(self, storages: Iterable[int]) -> Subproblem:
        """What becomes of the subproblem when only these storages, and those that never leave, take up room
        between two steps.

        The others still count at the ops that touch one of these. What this costs the subproblem costs at least.
        """
        pinned = {s for s, price in enumerate(self.reload) if price >= PROHIBITIVE}
        kept = sorted(set(storages) | pinned)
        ops = sorted({i for s in kept for i in self.touches[s]})
        position, number = {i: k for k, i in enumerate(ops)}, {s: k for k, s in enumerate(kept)}
        mask, preds = sum(1 << i for i in ops), []
        for i in ops:
            left, mine = self.ancestors[i] & mask, []
            while left:  # the latest one first: what comes before it needs no edge
                p = left.bit_length() - 1
                mine.append(position[p])
                left &= ~(self.ancestors[p] | 1 << p)
            preds.append(tuple(mine))
        extra = [self.extra[i] + sum(self.size[s] for s in self.touched[i] if s not in number) for i in ops]
        over = {}
        for i, (saved, sources) in self.over.items():
            if i in position:
                dying = tuple(number[s] for s in sources if s in number)
                if len(dying) == len(sources):
                    over[position[i]] = saved, dying
                else:
                    extra[position[i]] -= saved

        def pick(values: Sequence[Any]) -> tuple[Any, ...]:
            return tuple(values[s] for s in kept)

        return Subproblem(
            self.capacity,
            tuple(self.ops[i] for i in ops),
            pick(self.storages),
            pick(self.size),
            pick(self.reload),
            pick(self.store),
            tuple(tuple(number[s] for s in self.touched[i] if s in number) for i in ops),
            tuple(extra),
            over,
            tuple(preds),
            pick(self.begun),
            pick(self.inside),
            pick(self.clean),
            pick(self.closing),
        )

    @cached_property
    def rate(self) -> float:
        """The least cost of a byte of scratchpad evicted: below 1 where sizes were rounded up."""
        rates = [c / z for c, z in zip(self.reload, self.size, strict=True) if z]
        return min([1.0, *rates])


TINY = Subproblem(
    capacity=3,
    ops=(0, 1, 2, 3),
    storages=(0, 1, 2, 3),
    size=(1, 1, 1, 1),
    reload=(1, 1, 1, 1),
    store=(1, 1, 1, 1),
    touched=((0,), (0, 1), (1, 2), (0, 1, 2)),
    extra=(0, 0, 1, 0),
    over={},
    preds=((), (0,), (1,), (2,)),
    begun=(False, False, False, True),
    inside=(False, False, False, True),
    clean=(False, False, False, False),
    closing=(False, False, False, True),
)
"""One whose search calls every kernel."""


def whole(problem: Problem) -> Subproblem:
    """The problem as one subproblem; its capacity must be given."""
    return _cut_out(problem, range(problem.n), range(len(problem.storages)))


def _cut_out(problem: Problem, ops: range, lasting: Iterable[int]) -> Subproblem:
    """The subproblem of these consecutive ops (see `subproblems`), given the storages that last into it.

    What they touch and an op before them has touched is present and dirty at the start; what an op after them will
    touch must be kept to the end.
    """
    position = {i: k for k, i in enumerate(ops)}
    stream = problem.options.weights == "stream"
    extra = [0] * len(ops)
    touched: list[list[int]] = [[] for _ in ops]
    columns: list[tuple[int, int, int, int, bool, bool]] = []
    number: dict[int, int] = {}
    for k in lasting:
        s = problem.storages[k]
        mine = [position[i] for i in s.touches if i in position]
        first, last = _span(problem, k)
        opening, closing = first < ops.start, last >= ops.stop
        if not mine and not (opening and closing):
            continue
        fleeting = len(mine) == 1 and not (opening or closing) and k not in problem.overwritable
        if (s.is_constant and stream) or fleeting:
            for i in mine:
                extra[i] += s.size
            continue
        number[k] = len(columns)
        price = PROHIBITIVE if s.pinned else s.nbytes
        store = 0 if s.pinned or s.in_host or s.is_output else s.nbytes
        columns.append((k, s.size, price, store, opening, closing))
        for i in mine:
            touched[i].append(number[k])
    over = {}
    for i in filter(problem.inplace_pairs.__contains__, ops):
        written, sources = problem.inplace_pairs[i]
        dying = tuple(number[s] for s in sources if s in number and not columns[number[s]][5])
        if dying:
            over[position[i]] = problem.storages[written].size, dying
    parts = tuple(zip(*columns, strict=True)) if columns else ((),) * 6
    storages, size, reload, stores, opening_, closing_ = parts
    return Subproblem(
        problem.capacity or 0,
        tuple(ops),
        storages,
        size,
        reload,
        stores,
        tuple(map(tuple, touched)),
        tuple(extra),
        over,
        _preds(problem, ops, position),
        opening_,
        opening_,
        (False,) * len(storages),
        closing_,
    )


def _span(problem: Problem, storage: int) -> tuple[int, int]:
    """The first and the last op at which it must have a place or a copy; -1 and n beyond the ends."""
    s = problem.storages[storage]
    first = -1 if s.resident and s.is_input else min(s.touches)
    return first, problem.n if s.resident and s.is_output else max(s.touches)


def _preds(problem: Problem, ops: range, position: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    if problem.options.order == "program":
        return tuple((k - 1,) if k else () for k in range(len(ops)))
    return tuple(tuple(position[p] for p in problem.preds[i] if p in position) for i in ops)


def is_forced(problem: Problem) -> bool:
    """Whether the program's order is the only one."""
    return problem.options.order == "program" or all(i in problem.preds[i + 1] for i in range(problem.n - 1))


def subproblems(problem: Problem) -> list[Subproblem]:
    """The problem cut at every op that is ancestor or descendant of all others and leaves nothing live but
    what it wrote.

    There the state is the same whatever came before, so the subproblems are solved apart and their costs add
    up. Buffers of
    the caller may lie across a cut: they never leave. O(ops x edges / 64).
    """
    n = problem.n
    before, after = [0] * n, [0] * n
    program = problem.options.order == "program"
    for i in range(n):
        for p in problem.preds[i]:
            before[i] |= before[p] | 1 << p
    for i in reversed(range(n)):
        for j in problem.succs[i]:
            after[i] |= after[j] | 1 << j
    stream = problem.options.weights == "stream"
    change = [0] * (n + 1)  # storages across the boundary behind op i that may leave
    for s in problem.storages:
        if not s.pinned and len(s.touches) > 1 and not (s.is_constant and stream):
            change[min(s.touches)] += 1
            change[max(s.touches)] -= 1
    cuts, live = [0], 0
    for i in range(n - 1):
        live += change[i]
        written = [problem.storages[s] for s in problem.writes[i]]
        mine = sum(1 for s in written if len(s.touches) > 1 and not s.pinned)
        comparable = program or (before[i] | after[i]).bit_count() == n - 1
        if comparable and (live == 0 or (live == 1 and mine == 1)):
            cuts.append(i + 1)
    lasting: list[list[int]] = [[] for _ in cuts]
    for k in range(len(problem.storages)):
        first, last = _span(problem, k)
        for subproblem in range(bisect_right(cuts, max(0, first)) - 1, bisect_right(cuts, min(last, n - 1))):
            lasting[subproblem].append(k)
    ranges = map(range, cuts, [*cuts[1:], n])
    return [_cut_out(problem, ops, ks) for ops, ks in zip(ranges, lasting, strict=True)]
