"""Which ops to join: an answer for each of several choices, and what no choice goes below."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

from memplan.problem.joins import places
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.freedoms import as_asked
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.restricted import value_of

Solve = Callable[[Problem, Limits], Plan]

BOUNDING = 0.3
"""Share of the time for what no choice goes below."""

APART, ONE = 0.5, 0.3
"""Shares of what is left for the plan that joins nothing, that joins all it can, and for one op more or less."""


def joining(problem: Problem, chosen: Iterable[str]) -> Problem:
    """The problem in which these ops are joined in every plan, and no others."""
    names, options = set(chosen), replace(problem.options, join=False)
    order = tuple(name for name in problem.joinable if name in names)
    return replace(problem, options=options, joined=order, scattered=())


def undecided(problem: Problem, joined: Collection[str], apart: Collection[str]) -> tuple[str, ...]:
    """The ops that can still be joined where `joined` and `apart` are what they are called, in program order."""
    conflicting, decided = conflicts(problem), {*joined, *apart}
    return tuple(x for x in problem.joinable if x not in decided and not conflicting[x] & {*joined})


def relaxed(problem: Problem, joined: Collection[str] = (), apart: Collection[str] = ()) -> Problem:
    """The problem in which `joined` and `apart` are what they are called, and each op that is undecided needs no room for
    its output: it costs no more than any choice for these.

    Nor does a joined op of whose parts some may be written over any of several operands, or over one that others touch:
    where that lies is one more choice. Where it is none, the operand's place is taken from when it is written.
    """
    fixed = joining(problem, joined)
    firm, loose = _written_over(fixed)
    able = problem.relaxed.scattered
    pinned = {*able} - {*problem.joinable}  # a plan may join them, though no solver does
    scattered = {*undecided(problem, joined, apart)} | firm | loose | pinned
    kept = tuple(x for x in fixed.joined if x not in loose)
    return replace(fixed, joined=kept, scattered=tuple(x for x in able if x in scattered))


def _written_over(problem: Problem) -> tuple[set[str], set[str]]:
    """The joined ops of whose parts some are written over operands that lie there before, and those where it is open which
    do, with all that lies in the same output."""
    graph, inside = problem.graph, places(problem.graph, problem.joined)
    hosts = {each.part: each.operand for each in problem.hosted}
    pairs = joining(problem, ()).inplace_pairs if problem.joined else {}
    firm, loose = set[str](), set[str]()
    for x, (storage, _) in inside.items():
        if graph.producer[x] in pairs:
            _, over = pairs[graph.producer[x]]
            known = len(over) == 1 and hosts.get(x) is not None
            (firm if known else loose).add(storage)
    holder = {
        op.name: inside.get(op.results[0], (op.results[0], 0))[0]
        for op in graph.ops
        if op.name in problem.joined
    }
    return (
        {name for name, storage in holder.items() if storage in firm - loose},
        {name for name, storage in holder.items() if storage in loose},
    )


def conflicts(problem: Problem) -> dict[str, set[str]]:
    """Per op that can be joined, the others that have a part in common with it: one of them at most is."""
    holders: dict[str, list[str]] = {}
    able = set(problem.joinable)
    ops = [op for op in problem.graph.ops if op.name in able]
    for op in ops:
        for x, _ in op.joins:
            holders.setdefault(x, []).append(op.name)
    return {op.name: {y for x, _ in op.joins for y in holders[x]} - {op.name} for op in ops}


def most(problem: Problem) -> tuple[str, ...]:
    """As many ops as can be joined together, those of the largest outputs first."""
    conflicting, tensor = conflicts(problem), problem.graph.tensor
    size = {op.name: tensor[op.results[0]].nbytes for op in problem.graph.ops if op.joins}
    chosen: set[str] = set()
    for name in sorted(problem.joinable, key=lambda x: (-size[x], x)):
        if not conflicting[name] & chosen:
            chosen.add(name)
    return tuple(name for name in problem.joinable if name in chosen)


def unfit(problem: Problem, limits: Limits) -> tuple[set[str], set[str]]:
    """The ops for which the capacity is too small unless they are joined, and those for which it is if they are.

    Nothing where as much as can be joined together fits; not all of them where the time is up.
    """
    capacity, found = problem.capacity, (set[str](), set[str]())
    if capacity is None or joining(problem, most(problem)).min_capacity <= capacity:
        return found
    for x in problem.joinable:
        for ops, choice in zip(found, (((), (x,)), ((x,), ())), strict=True):
            if not limits.spent() and relaxed(problem, *choice).min_capacity > capacity:
                ops.add(x)
    return found


def best_joined(
    solver: Solver, problem: Problem, limits: Limits, solve: Solve, bounds: Solve | None = None
) -> Plan:
    """The best of the plans that join nothing, as much as fits, and from the better of these on one op more or less at a
    time, as long as that pays.

    Args:
        solver: in whose name it answers.
        problem: with the option join; its objective is traffic or peak.
        limits: shared by all.
        solve: the plan of a problem in which it is decided what is joined.
        bounds: the same of one in which ops are scattered, of which the bound alone is looked at; without it the
            bound is the free one.
    """
    if problem.relaxed is problem:
        return as_asked(problem, solve(joining(problem, ()), limits))
    bound, quiet = problem.free_bound, replace(limits.quiet(), start=(), bound=0)
    if bounds is not None:
        proved = bounds(relaxed(problem), quiet.share(BOUNDING))
        if proved.status is Status.INFEASIBLE:
            return as_asked(problem, proved)
        bound = max(bound, proved.bound)
    never_apart, never_joined = unfit(problem, limits)
    if both := sorted(never_apart & never_joined):
        why = f"the capacity is too small for op '{both[0]}', whether it is joined or not"
        return solver.no_answer(problem, limits, Status.INFEASIBLE, why)
    best = _Best(problem, quiet, solve, max(bound, limits.bound))
    everything, conflicting = tuple(x for x in most(problem) if x not in never_joined), conflicts(problem)
    best.take((), APART)
    best.take(everything, APART)
    for name in everything:
        chosen = set(everything if best.plan is None else best.plan.joined)
        best.take(chosen - {name} if name in chosen else chosen - conflicting[name] | {name}, ONE)
    if best.plan is None:
        return solver.no_answer(problem, limits, Status.UNKNOWN, "no plan was found, whatever is joined")
    limits.report("joins", best.value, bound)
    return replace(as_asked(problem, best.plan), bound=min(bound, best.value))


@dataclass
class _Best:
    """The best plan so far of those of a solver."""

    problem: Problem
    limits: Limits
    solve: Solve
    enough: float
    plan: Plan | None = None
    value: float = float("inf")

    def take(self, chosen: Collection[str], share: float) -> None:
        """Look at the plan that joins these, made within a share of the remaining time, unless one is good enough."""
        less = joining(self.problem, chosen)
        done = self.value <= self.enough or (self.limits.spent() and self.plan is not None)
        if done or (less.capacity is not None and less.min_capacity > less.capacity):
            return
        found = self.solve(less, self.limits.share(share))
        cost = value_of(less, found)
        if cost < self.value:
            self.plan, self.value = found, cost
