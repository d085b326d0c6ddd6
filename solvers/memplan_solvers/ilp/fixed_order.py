"""`fixed_order`: the best replacement for one order, by an integer program over its gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan_solvers.greedy import Greedy
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.ilp.linear import Linear, LinearOutcome
from memplan_solvers.ilp.mathopt import BACKENDS, relax, solve_mathopt
from memplan_solvers.improve import Answer, Improver, better
from memplan_solvers.peak.search import minimum_peak_order
from memplan_solvers.place import place, repaired
from memplan_solvers.residency import Block, Stretch, Walk, traffic
from memplan_solvers.schedule import SCHEDULES

MOST_GAPS = 200_000
"""Gaps beyond which the program is not built."""

TIGHTER = (0.99, 0.97, 0.94, 0.9, 0.85)
"""Shares of the capacity tried where the best stretches have no addresses."""

ROUNDS = 30
"""Stretches without addresses that are excluded one by one before the capacity is tightened."""

WHOLE = 1e-6
"""What a variable that counts as 1 may lack."""

PART = 0.4
"""Share of the remaining time one attempt at exact addresses may take."""


@dataclass(frozen=True)
class Replacement:
    """A placed answer for an order: `value` its traffic, `bound` true for every plan with this order.

    Where the order cannot be served at all `impossible` is set; where nothing was found in time `blocks`
    is None.
    """

    walk: Walk
    blocks: list[Block] | None
    offsets: list[int]
    value: int | None
    bound: int
    impossible: bool = False
    how: str = ""
    nodes: int = 0

    @property
    def answer(self) -> Answer | None:
        """What others may go on from."""
        return None if self.blocks is None else Answer(self.walk, self.blocks, self.offsets, self.how)


def optimize_replacement(
    problem: Problem,
    order: Sequence[int],
    limits: Limits,
    backend: str = "highs",
    hint: Sequence[Sequence[Stretch]] | None = None,
) -> Replacement:
    """The best replacement for `order` found within the limits, with addresses, and a bound.

    `hint` may give stretches to start from. Each round solves the per-gap program and places its
    answer. Where that is proved impossible the kept gaps may not all stay together: a cut that holds
    for every placed plan, since keeping more only joins and adds blocks. (With in-place pairs the
    proof covers one choice of pairs, so the bound stays that of the bytes.) Where it is open, the cut
    is a guess and the bound stays. The last resort is a tightened capacity.
    """
    walk = Walk(problem, tuple(order))
    free = int(problem.free_bound)
    if problem.capacity is None:
        placed = place(walk, walk.whole, None, limits)
        if placed.offsets is not None:  # pinned places may be in each other's way
            return Replacement(walk, placed.blocks, placed.offsets, free, free)
    gaps = Gaps(walk, problem.byte_limit)
    if max(gaps.base, default=0) > problem.byte_limit:
        return Replacement(walk, None, [], None, free, impossible=True)
    if gaps.fits([1] * len(gaps.gaps)):
        placed = place(walk, walk.whole, problem.byte_limit, limits.share(PART))
        if placed.offsets is not None:
            return Replacement(walk, placed.blocks, placed.offsets, free, free, how=placed.how)
    if len(gaps.gaps) > MOST_GAPS:
        return Replacement(walk, None, [], None, free)
    rounds = _Rounds(gaps, limits, backend)
    return replace(rounds.run(hint), nodes=rounds.nodes)


def relaxed_replacement(gaps: Gaps, limits: Limits) -> tuple[list[list[Stretch]] | None, int | None]:
    """Good stretches by bytes for an order, and a bound on every plan with that order, from the relaxed program.

    Kept is what it keeps whole, and of the rest what still fits, what it keeps most of first.
    """
    program, keep, _ = gaps.linear()
    shares, bound = relax(program, limits)
    if shares is None:
        return None, bound
    whole = [shares[v] > 1 - WHOLE for v in keep]
    if not gaps.fits(whole):
        return None, bound
    ranked = sorted((k for k, kept in enumerate(whole) if not kept), key=lambda k: -shares[keep[k]])
    return gaps.stretches(gaps.filled(whole, ranked)), bound


def least_replacement(
    gaps: Gaps, limits: Limits, hint: Sequence[Sequence[Stretch]]
) -> tuple[list[list[Stretch]], int | None]:
    """The best stretches by bytes found for an order, `hint` at worst, and a bound on every plan with that order."""
    rounds = _Rounds(gaps, limits, "highs")
    found = rounds.solve(rounds.program, rounds.point(gaps.choice(hint)))
    best = (
        [list(row) for row in hint] if found.x is None else gaps.stretches([found.x[v] for v in rounds.keep])
    )
    return best, found.bound


class _Rounds:
    """The rounds for one order: solve, place, exclude what has no addresses; in the end a tightened capacity."""

    def __init__(self, gaps: Gaps, limits: Limits, backend: str) -> None:
        self.gaps, self.limits, self.backend = gaps, limits, backend
        self.program, self.keep, self.store = gaps.linear()
        self.bound = int(gaps.walk.problem.free_bound)
        self.proving, self.nodes = True, 0
        self.least: int | None = None  # traffic of the first stretches that were not packed

    def run(self, hint: Sequence[Sequence[Stretch]] | None) -> Replacement:
        start = None if hint is None else self.point(self.gaps.choice(hint))
        for k in range(ROUNDS):
            found = self.solve(self.program, start)
            if found.infeasible and self.proving:
                return Replacement(self.gaps.walk, None, [], None, self.bound, impossible=True)
            if self.proving and found.bound is not None:
                self.bound = max(self.bound, found.bound)
            if found.x is None:
                break
            kept = [found.x[v] for v in self.keep]
            placed = self._placed(kept)
            if placed is not None:
                return placed
            if k == 0 and self.proving and self._hopeless():
                return Replacement(self.gaps.walk, None, [], None, self.bound, impossible=True)
            self.program.add([(v, 1) for v, k in zip(self.keep, kept, strict=True) if k], high=sum(kept) - 1)
            start = None
            if self.limits.spent():
                break
        return self._tightened()

    def solve(self, program: Linear, start: list[int] | None) -> LinearOutcome:
        hint = start if start is not None and program.holds(start) else None
        found = solve_mathopt(program, self.limits, self.backend, hint)
        self.nodes += found.nodes
        return found

    def point(self, kept: list[int]) -> list[int]:
        """The program's variables for these kept gaps."""
        x = [0] * len(self.program.lower)
        for v, k, gap in zip(self.keep, kept, self.gaps.gaps, strict=True):
            x[v] = k
            if not k and gap.storage in self.store:
                x[self.store[gap.storage]] = 1
        return x

    def _placed(self, kept: Sequence[int]) -> Replacement | None:
        """The answer with these gaps kept, if it has addresses; else note what its lack of them proves."""
        walk = self.gaps.walk
        stretches = self.gaps.stretches(kept)
        placed = place(walk, stretches, walk.problem.capacity, self.limits.share(PART))
        value = traffic(walk.problem, stretches)
        if placed.offsets is None:
            self.proving = self.proving and placed.impossible and not walk.inplace
            self.least = value if self.least is None else self.least
            return None
        how = placed.how
        if self.least is not None and self.least < value:
            how = repaired(self.least, value, "have no addresses" if self.proving else "were not packed")
            how += ", the least that this order allows" if self.proving and value <= self.bound else ""
        return Replacement(walk, placed.blocks, placed.offsets, value, min(self.bound, value), how=how)

    def _hopeless(self) -> bool:
        """Whether not even the ops alone have addresses, with no gap kept: then nothing has, where no op
        works in place.
        """
        walk = self.gaps.walk
        least = place(
            walk,
            self.gaps.stretches([0] * len(self.gaps.gaps)),
            walk.problem.capacity,
            self.limits.share(PART),
        )
        return least.impossible

    def _tightened(self) -> Replacement:
        walk, capacity = self.gaps.walk, self.gaps.capacity
        for part in TIGHTER:
            tight = Gaps(walk, int(capacity * part))
            if self.limits.spent() or max(tight.base, default=0) > tight.capacity:
                break
            program, keep, _ = tight.linear()
            found = self.solve(program, None)
            placed = self._placed([found.x[v] for v in keep]) if found.x is not None else None
            if placed is not None:
                return placed
        return Replacement(walk, None, [], None, self.bound)


@dataclass(frozen=True)
class FixedOrder(Improver):
    """Schedule by a heuristic (the program's where the options say so), replacement by the program.

    schedule  a schedule's name; peak: the order of least live bytes; best: that of the answer it begins with
    backend   highs, scip or gurobi
    """

    name: ClassVar[str] = "fixed_order"
    summary: ClassVar[str] = (
        "one order, its replacement by an integer program over gaps: optimal or with a bound"
    )
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))

    schedule: str = "best"
    backend: str = "highs"

    def __post_init__(self) -> None:
        for field, known in (("schedule", {"best", "peak", *SCHEDULES}), ("backend", set(BACKENDS))):
            word = getattr(self, field)
            if word not in known:
                raise OptionError(f"solver 'fixed_order': {field} = '{word}'", nearest(word, known))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The better of the greedy plan of the order and the best replacement found for it."""
        named = self.schedule in SCHEDULES and problem.options.order == "free"
        greedy = Greedy(schedule=self.schedule if named else "all").best(problem, limits.quiet())
        if greedy is not None:
            limits.report("greedy", greedy.value, problem.free_bound)
        return self.improve(problem, limits, None if greedy is None else greedy.answer)

    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """The better of `start` and the best replacement found for the order chosen, the program's without a start."""
        if start is not None and start.value <= problem.free_bound:
            return self.plan_of(problem, limits, start, problem.free_bound, "")
        order = tuple(range(problem.n)) if start is None else start.walk.order
        if problem.options.order == "free" and self.schedule == "peak":
            order = minimum_peak_order(problem, limits.share(0.3).quiet()).order
        elif problem.options.order == "free" and self.schedule != "best":
            order = SCHEDULES[self.schedule](problem)
        return self._optimized(problem, limits, order, start)

    def _optimized(
        self, problem: Problem, limits: Limits, order: tuple[int, ...], start: Answer | None
    ) -> Plan:
        """The bound is the order's own only under order=program."""
        program = problem.options.order == "program"
        hint = start.stretches if start is not None and start.walk.order == order else None
        found = optimize_replacement(problem, order, limits, self.backend, hint)
        bound = found.bound if program else problem.free_bound
        if found.impossible and start is None and program and not found.walk.inplace:
            return self.no_answer(problem, limits, Status.INFEASIBLE, "the program's order cannot be served")
        best = better(found.answer, start)
        if best is not None:
            limits.report("replacement", best.value, bound, found.nodes)
        return self.plan_of(problem, limits, best, bound, "no plan with this order was found")
