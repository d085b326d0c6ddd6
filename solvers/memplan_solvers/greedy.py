"""`greedy`: the best of a deterministic portfolio of schedules, replacement policies and packings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.base.garbage import collection_paused
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.freedoms import lifted
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.candidates import Candidate, Families
from memplan_solvers.improve import Answer
from memplan_solvers.joins import best_joined, joining
from memplan_solvers.moving import ANYWHERE, best_moving, beyond_scratchpad
from memplan_solvers.offsets.one_pass import ORDERS
from memplan_solvers.prefetch import TimedAnswer, prefetched
from memplan_solvers.replace import POLICIES
from memplan_solvers.residency import Walk, materialise
from memplan_solvers.restricted import less_in_place, value_of
from memplan_solvers.schedule import SCHEDULES

NOTHING = "no heuristic found a plan that fits"

SHARES = (1.0, 0.75, 0.5)
"""Shares of the capacity that the answers which are put in time spend on residencies; the rest is for loads ahead."""


@dataclass(frozen=True)
class Greedy(Solver):
    """Best of the chosen families; each field names one member, or "all"."""

    name: ClassVar[str] = "greedy"
    summary: ClassVar[str] = "best of a portfolio of list schedules, eviction policies and one-pass packings"
    supports: ClassVar[Capabilities] = Capabilities(("traffic", "peak", "latency"), join=True)

    schedule: str = "all"
    replace: str = "all"
    offsets: str = "all"

    def __post_init__(self) -> None:
        for field, known in (("schedule", SCHEDULES), ("replace", POLICIES), ("offsets", ORDERS)):
            word = getattr(self, field)
            if word != "all" and word not in known:
                raise OptionError(f"solver 'greedy': {field} = '{word}'", nearest(word, {*known, "all"}))

    def lacks(self, problem: Problem) -> list[str]:
        """What of the problem is beyond it: traffic and latency it plans for on any target, all else on scratchpad machines."""
        return (ANYWHERE if beyond_scratchpad(problem) else self.supports).lacks(problem)

    @collection_paused()
    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best candidate, with some ops joined or none, in place or less so.

        Joins are left out of latencies on scratchpad machines.
        """
        timed = problem.options.objective == "latency"
        if problem.options.join and timed and not beyond_scratchpad(problem):
            return lifted(problem, self._in_place(joining(problem, ()), limits))
        if problem.options.join:
            return best_joined(self, problem, limits, self._in_place)
        return self._in_place(problem, limits)

    def _in_place(self, problem: Problem, limits: Limits) -> Plan:
        """The best candidate, in place or less so.

        The least free problem comes first: who may do more has done by any time what others have done by then. The
        program's order, which is less freedom too, is among the schedules.
        """
        if beyond_scratchpad(problem):
            moving = best_moving(self, problem, limits)
            return moving or self.no_answer(problem, limits, Status.UNKNOWN, NOTHING)
        best, value = None, float("inf")
        for less in less_in_place(problem):
            found = lifted(problem, self._solve(less, replace(limits.quiet(), start=(), bound=0)))
            if (cost := value_of(problem, found)) < value:
                best, value = found, cost
                limits.report("greedy", value, problem.free_bound)
            if best is not None and limits.spent():
                return best
        found = self._solve(problem, limits)
        return found if best is None or value_of(problem, found) <= value else best

    def _solve(self, problem: Problem, limits: Limits) -> Plan:
        if problem.options.objective == "latency":
            return self._solve_timed(problem, limits)
        return self._solve_stepped(problem, limits)

    def _solve_stepped(self, problem: Problem, limits: Limits) -> Plan:
        best = self.best(problem, limits)
        if best is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, NOTHING)
        residencies, moves, inplace = materialise(best.walk, best.blocks, best.offsets)
        plan = self.answer(
            problem, limits, order=best.walk.order, residencies=residencies, moves=moves, inplace=inplace
        )
        return replace(plan, reason=best.how)

    def _solve_timed(self, problem: Problem, limits: Limits) -> Plan:
        """The fastest of: only what must be placed (where operands may be in host), and traffic plans, with loads early."""
        bound = problem.free_bound
        if not problem.target.direct:
            from memplan_solvers.latency.prefix import loaded_bound  # numpy is not needed elsewhere

            bound = loaded_bound(problem)
        best, least = None, float("inf")
        for found in self._timed_answers(problem, limits):
            plan = self.answer(
                problem,
                limits,
                order=found.order,
                residencies=found.residencies,
                moves=found.moves,
                inplace=found.inplace,
                bound=bound,
            )
            if best is None and limits.spent():
                return plan  # nothing to compare it with: whoever judges it finds its seconds
            seconds = timeline(problem.graph, plan).latency_s
            if seconds < least:
                best, least = plan, seconds
                limits.report("greedy", least, bound)
            if least <= max(bound, limits.bound) or limits.spent():
                break
        if best is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, NOTHING)
        return replace(best, bound=bound, value=least)

    def _timed_answers(self, problem: Problem, limits: Limits) -> Iterator[TimedAnswer]:
        """What may be fast: answers to the step model, of every order, and within less space, put in time."""
        stepped = replace(problem, options=replace(problem.options, objective="traffic"))
        variants = [stepped]
        if problem.target.direct:
            variants += [replace(stepped, target=replace(stepped.target, operands={}))]
        steps = replace(limits.quiet(), start=(), bound=0)
        for variant, share in product(variants, SHARES):
            capacity = int(problem.byte_limit * share) // problem.target.scratchpad.alignment
            capacity = max(1, capacity * problem.target.scratchpad.alignment)  # where nothing is placed
            if variant.min_capacity > capacity:
                continue
            tight = replace(variant, target=variant.target.with_scratchpad(capacity))
            for schedule in self._families.schedules(problem):
                found = replace(self, schedule=schedule).best(tight, steps)
                if found is not None:
                    yield from prefetched(
                        replace(found.answer, walk=Walk(variant, found.walk.order)), limits.spent
                    )
                if limits.spent():
                    return

    def best(self, problem: Problem, limits: Limits) -> Candidate | None:
        """The best candidate of the families, None if none fits the capacity; see `Families.best`."""
        return self._families.best(problem, limits)

    @property
    def _families(self) -> Families:
        return Families(self.schedule, self.replace, self.offsets)


def greedy_start(problem: Problem, limits: Limits) -> Answer | None:
    """What a solver begins with that is given nothing: the greedy answer, within half its time."""
    found = Greedy().solve(problem, limits.share(0.5).quiet())
    answer = Answer.of_plan(problem, found)
    if answer is None:
        return None
    limits.report("greedy", answer.value, problem.free_bound)
    return replace(answer, how=found.reason)
