"""COSMA's time-indexed integer program (arXiv 2311.18246, eq. 1-17), as a linear program over integers.

One step an op that is no view; views follow what they rename. For storage a and step t the binaries
are C (created: the variable x of its producer at t, so that outputs of one op come together, eq. 6),
P (preserved), S (stored before t) and R (retrieved at t). What differs from the paper, and why:

- Each step runs exactly one op, and each op has an ASAP-ALAP window; the paper's eq. 1-7 alone let two
  ops share a step. P and S have no variables at the first step.
- C + P + R <= 1 and C + P + S <= 1: a storage may be stored, leave, and come back in the next step.
- A host copy of an input, constant or output costs no store: only eq. 4's right side changes.
- P and R after the last use are forbidden, and R is only at a use: both lose no optimum, since a
  presence that serves no later use can be cut off and a reload can be postponed to its use.
- Twin ops (same reads, neighbours and outputs alike) run in program order: swapping them maps plans to
  plans of the same value.
- What is pinned to stay is brought in at most once and never stored to make room; two storages pinned to
  overlapping places are never present at once.
- In place, y[i, j, t] says that op i writes over j at t, and takes the size of its output off the row.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from memplan.problem.contradictions import fixed_clashes
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.ilp.linear import Linear, Term
from memplan_solvers.ilp.steps import Steps

Window = tuple[int, int]
"""First and last step, both included, at which an op may run."""


class OutOfTimeError(Exception):
    """The time ran out while the program was being built."""


@dataclass
class Formulation:
    """The program of a problem whose ops run within `windows` (in order of `steps.ops`).

    x[k][t], preserved[s][t], retrieved[s][t], stored[s][t] are variable numbers; `resident(s, t)` the
    terms of storage s's presence at t. Capacities count in `unit` bytes, the sizes' common divisor.
    """

    problem: Problem
    steps: Steps
    windows: Sequence[Window]
    limits: Limits
    linear: Linear = field(default_factory=Linear)
    x: list[dict[int, int]] = field(default_factory=list)
    preserved: dict[int, dict[int, int]] = field(default_factory=dict)
    retrieved: dict[int, dict[int, int]] = field(default_factory=dict)
    stored: dict[int, dict[int, int]] = field(default_factory=dict)
    lying: dict[int, dict[int, int]] = field(default_factory=dict)
    peak: int | None = None

    def __post_init__(self) -> None:
        problem = self.problem
        anywhere = problem.target.direct  # then only what must lie in the scratchpad takes bytes
        self.sizes = [0 if anywhere and not s.pinned else s.size for s in problem.storages]
        self.unit = math.gcd(*self.sizes, *(s.offset or 0 for s in problem.storages)) or 1
        self.n = len(self.steps.ops)
        self.objective_peak = problem.options.objective == "peak"
        self.capacity = problem.byte_limit // self.unit
        if self.objective_peak:
            least = min(self.capacity, -(-problem.min_capacity // self.unit))
            self.peak = self.linear.integer(least, self.capacity, self.unit)
        else:
            self.linear.constant = int(problem.free_bound)
        self._order()
        for s in range(len(problem.storages)):
            self._storage(s)
        self._capacity()
        self._clashes()

    def ran(self, k: int, t: int) -> list[Term]:
        """Terms that are 1 once op k has run at a step <= t."""
        return [(v, 1) for step, v in self.x[k].items() if step <= t]

    def ahead(self, k: int, t: int) -> list[Term]:
        """Terms that are 1 while op k runs at a step >= t."""
        return [(v, 1) for step, v in self.x[k].items() if step >= t]

    def is_pinned(self, s: int) -> bool:
        """Whether the storage is the caller's buffer in the arena."""
        return self.problem.storages[s].resident

    @property
    def anywhere(self) -> bool:
        """Whether operands may be served from host, so that only what must stay needs a place."""
        return self.problem.target.direct

    def is_streamed(self, s: int) -> bool:
        """Whether the storage is a constant that comes for each use and goes."""
        return self.problem.options.weights == "stream" and self.problem.storages[s].is_constant

    def resident(self, s: int, t: int) -> list[Term]:
        """Terms whose sum is 1 where storage s is in the scratchpad at step t."""
        if self.anywhere and not self.problem.storages[s].pinned:
            return []
        if self.is_streamed(s):
            return [(self.x[k][t], 1) for k in self.steps.uses[s] if t in self.x[k]]
        if self.is_pinned(s):
            producer = self.steps.producer[s]
            if producer >= 0 and self.problem.storages[s].is_output:
                return self.ran(producer, t)
            return [(self.lying[s][t], 1)]
        terms = [(v[t], 1) for v in (self.preserved[s], self.retrieved[s]) if t in v]
        return terms + self.created(s, t)

    def created(self, s: int, t: int) -> list[Term]:
        """Terms of C."""
        producer = self.steps.producer[s]
        return [(self.x[producer][t], 1)] if producer >= 0 and t in self.x[producer] else []

    def freeze(self, x: list[int], within: Window) -> None:
        """Fix what is preserved, stored and retrieved outside the steps `within` to the point x."""
        for table in (self.preserved, self.retrieved, self.stored):
            for row in table.values():
                for t, v in row.items():
                    if not within[0] <= t <= within[1] + 1:
                        self.linear.lower[v] = self.linear.upper[v] = x[v]

    def _order(self) -> None:
        add, binary = self.linear.add, self.linear.binary
        self.x = [{t: binary() for t in range(lo, hi + 1)} for lo, hi in self.windows]
        at: list[list[Term]] = [[] for _ in range(self.n)]
        for row in self.x:
            add([(v, 1) for v in row.values()], 1, 1)
            for t, v in row.items():
                at[t].append((v, 1))
        for terms in at:
            add(terms, 1, 1)
        pairs = [(p, k) for k, preds in enumerate(self.steps.preds) for p in preds]
        for before, after in [*pairs, *self.steps.twins]:
            self._check_time()
            for t in range(self.windows[after][0], self.windows[after][1] + 1):
                if self.windows[before][1] >= t:
                    late = [(v, -c) for v, c in self.ran(before, t - 1)]
                    add([*self.ran(after, t), *late], high=0)

    def _storage(self, s: int) -> None:
        self._check_time()
        storage, uses, producer = self.problem.storages[s], self.steps.uses[s], self.steps.producer[s]
        if self.is_streamed(s) or (self.anywhere and not storage.pinned):
            return
        if self.is_pinned(s):
            if producer < 0:
                self._pinned_input(s)
            return
        add, binary = self.linear.add, self.linear.binary
        charge = 0 if self.objective_peak else storage.nbytes
        lows = [self.windows[u][0] for u in uses]
        first = self.windows[producer][0] if producer >= 0 else min(lows)
        last = max((self.windows[u][1] for u in uses), default=-1)
        dirty = not (storage.in_host or storage.is_output)
        once = self.objective_peak or storage.keep
        comes = storage.in_host or not once
        start = max(min(lows, default=0), first + (producer >= 0))
        self.preserved[s] = kept = {t: binary() for t in range(first + 1, last + 1)}
        self.retrieved[s] = back = {t: binary(charge) for t in range(start, last + 1)} if comes else {}
        self.stored[s] = put = (
            {t: binary(charge) for t in range(first + 1, last + 1)} if dirty and comes else {}
        )
        if storage.in_host:
            self.linear.constant -= charge
            if once:
                add([(v, 1) for v in back.values()], 1, 1)
        for t in range(first, last + 1):
            here = self.created(s, t)
            p = [(kept[t], 1)] if t in kept else []
            r = [(back[t], 1)] if t in back else []
            add([*here, *p, *r], high=1)  # eq. 1
            if p:
                add([*p, *((v, -1) for v, _ in self.resident(s, t - 1))], high=0)  # eq. 2
            if t in put:
                add([*here, *p, (put[t], 1)], high=1)
                before = [*self.created(s, t - 1), *([(kept[t - 1], 1)] if t - 1 in kept else [])]
                add([(put[t], 1), *((v, -1) for v, _ in before)], high=0)  # eq. 3
            if r and dirty:
                add([*r, *((v, -1) for k, v in put.items() if k <= t)], high=0)  # eq. 4
            elif r and not storage.in_host:
                add([*r, *((v, -1) for v, _ in self.ran(producer, t - 1))], high=0)
            later = [(v, -1) for u in uses for v, _ in self.ahead(u, t)]
            if p:
                add([*p, *later], high=0)
            if r:
                add([*r, *((self.x[u][t], -1) for u in uses if t in self.x[u])], high=0)
            for u in uses:
                if t in self.x[u]:
                    add([(self.x[u][t], 1), *((v, -1) for v, _ in p + r)], high=0)  # eq. 5
        add([(v, 1) for v in put.values()], high=1)  # eq. 8

    def _pinned_input(self, s: int) -> None:
        """A resident input lies there from the first step to its last use, to the end if an output."""
        self.lying[s] = {t: self.linear.binary() for t in range(self.n)}
        for t, v in self.lying[s].items():
            if self.problem.storages[s].is_output:
                self.linear.lower[v] = 1
            for u in self.steps.uses[s]:
                self.linear.add([(v, -1), *self.ahead(u, t)], high=0)

    def _capacity(self) -> None:
        over = self._overwritten()
        for t in range(self.n):
            self._check_time()
            terms = [
                (v, c * self.sizes[s] // self.unit)
                for s in range(len(self.sizes))
                for v, c in (self.resident(s, t))
            ]
            terms += over.get(t, [])
            if self.peak is None:
                self.linear.add(terms, high=self.capacity)
            else:
                self.linear.add([*terms, (self.peak, -1)], high=0)

    def _overwritten(self) -> dict[int, list[Term]]:
        """Per step, what in-place pairs take off its bytes."""
        terms: dict[int, list[Term]] = {}
        storages = self.problem.storages
        for i, (written, sources) in self.problem.inplace_pairs.items():
            if self.anywhere:  # only what must lie in the scratchpad does so in this program
                sources = tuple(s for s in sources if storages[s].pinned and storages[written].pinned)
            k = self.steps.number[i]
            for t, v in self.x[k].items():
                pairs = []
                for source in (s for s in sources if self.sizes[s]):
                    y = self.linear.binary()
                    pairs.append((y, 1))
                    for u in self.steps.uses[source]:
                        if u != k:
                            self.linear.add([(y, 1), *((w, -1) for w, _ in self.ran(u, t - 1))], high=0)
                    terms.setdefault(t, []).append((y, -self.sizes[written] // self.unit))
                self.linear.add([*pairs, (v, -1)], high=0)
        return terms

    def _clashes(self) -> None:
        """Pairs that may share their place in place are left to the addresses."""
        for a, b in fixed_clashes(self.problem, range(len(self.sizes))):
            pairs = self.problem.inplace_pairs.values()
            if any({written, source} == {a, b} for written, sources in pairs for source in sources):
                continue
            for t in range(self.n) if self.sizes[a] and self.sizes[b] else ():
                self.linear.add([*self.resident(a, t), *self.resident(b, t)], high=1)

    def _check_time(self) -> None:
        if self.limits.spent():
            raise OutOfTimeError
