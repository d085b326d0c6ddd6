"""Answers of the step model on a scratchpad machine: orders, who leaves, addresses, each from a family of rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

from memplan.problem.plan import Plan
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.improve import Answer
from memplan_solvers.offsets.one_pass import ORDERS
from memplan_solvers.place import harder, live_bytes, one_pass, repaired
from memplan_solvers.replace import POLICIES, Rank
from memplan_solvers.replace.allocate import allocate_on_demand
from memplan_solvers.replace.evict import around_each_op, evict_on_demand, without_spills
from memplan_solvers.residency import Block, Stretch, Walk, blocks_of, stretches_of, traffic
from memplan_solvers.schedule import SCHEDULES
from memplan_solvers.schedule.orders import MANY_OPS

CROWDED = 200
"""Storages that fit at a time, of average size, beyond which a large graph that packs is not allocated step by step as
well."""

TIGHTER = (1.0, 0.97, 0.93, 0.88, 0.82, 0.75)
"""Shares of the capacity that replacement is given until its stretches pack under the whole."""

HARDER, NODES = 4, 50_000
"""How many answers that fit by bytes only are packed by exact search, and its nodes for each."""


@dataclass(frozen=True)
class Candidate:
    """A placed answer: objective value first, then packed peak, decide."""

    value: float
    peak: int
    walk: Walk
    blocks: list[Block]
    offsets: list[int]

    how: str = ""

    @property
    def key(self) -> tuple[float, int]:
        return self.value, self.peak

    @property
    def answer(self) -> Answer:
        """What others may go on from."""
        return Answer(self.walk, self.blocks, self.offsets, self.how)


class Missed(NamedTuple):
    """Blocks that fit by bytes, and no one-pass order packs them."""

    value: float
    walk: Walk
    blocks: list[Block]


@dataclass(frozen=True)
class Families:
    """The rules that are combined: each field names a member of its family, or "all"."""

    schedule: str = "all"
    replace: str = "all"
    offsets: str = "all"

    def best(self, problem: Problem, limits: Limits) -> Candidate | None:
        """The best candidate of the portfolio, None if none fits the capacity.

        With answers to start from, only their orders are looked at: they were the best elsewhere.
        """
        best = self._given(problem, limits.start)
        missed: list[Missed] = []
        enough = max(problem.free_bound, limits.bound)
        if best is not None and best.value <= enough:
            return best
        walks = list(self.walks(problem, limits.start))
        if problem.n > MANY_OPS:  # what spills least is quickest, and is looked at first
            walks.sort(key=lambda walk: live_bytes(blocks_of(walk, without_spills(walk))))
        for way, walk in product((self._without_spills, self._with_spills), walks):
            for candidate in way(walk, best, missed, limits):
                if best is None or candidate.key < best.key:
                    best = candidate
                    limits.report("greedy", best.value, problem.free_bound)
                if best.value <= enough or limits.spent():
                    return best
        return self._packed_harder(missed, best, limits)

    def _given(self, problem: Problem, start: tuple[Plan, ...]) -> Candidate | None:
        """The best of the answers to start from, as they are, that fit."""
        if problem.options.objective != "traffic":
            return None
        fitting = [p for p in start if p.options == problem.options and p.metrics.peak <= problem.byte_limit]
        answers = filter(None, (Answer.of_plan(problem, plan) for plan in fitting))
        found = [
            Candidate(a.value, p.metrics.peak, a.walk, list(a.blocks), list(a.offsets))
            for a, p in zip(answers, fitting, strict=True)
        ]
        return min(found, key=lambda candidate: candidate.key, default=None)

    def _packed_harder(
        self, missed: list[Missed], best: Candidate | None, limits: Limits
    ) -> Candidate | None:
        """The cheapest of what fits by bytes and packs after all, if it beats `best`; else that, saying so."""
        cheapest = sorted(missed, key=lambda m: m.value)
        program = [m for m in cheapest if list(m.walk.order) == list(range(m.walk.problem.n))]
        kept = {
            id(m) for m in (*cheapest[:HARDER], *program[:HARDER])
        }  # so free order is never worse than it
        for m in (m for m in cheapest if id(m) in kept):
            if limits.spent() or (best is not None and m.value >= best.value):
                break
            placed = harder(m.walk, m.blocks, m.walk.problem.byte_limit, limits, NODES)
            if placed.offsets is not None:
                limits.report("greedy", m.value, m.walk.problem.free_bound)
                return Candidate(m.value, placed.peak, m.walk, m.blocks, placed.offsets, placed.how)
        least = min((m.value for m in missed), default=None)
        if best is not None and least is not None and least < best.value:
            return replace(best, how=repaired(least, best.value, "were not packed"))
        return best

    def _without_spills(
        self, walk: Walk, best: Candidate | None, missed: list[Missed], limits: Limits
    ) -> Iterator[Candidate]:
        """The answer of one order that keeps everything, if it fits; what fits by bytes only joins `missed`."""
        kept = self._keep(walk, without_spills(walk), missed, limits.spent)
        if kept is not None:
            yield kept

    def _with_spills(
        self, walk: Walk, best: Candidate | None, missed: list[Missed], limits: Limits
    ) -> Iterator[Candidate]:
        """The answers of one order that evict; those that cannot beat `best`, or take too long, are left out.

        What fits by bytes but packs in no one-pass order joins `missed`.
        """
        problem = walk.problem
        if problem.target.direct or problem.options.objective == "peak":
            return
        floor = best is None  # cheap to find, and there wherever each op fits
        if floor and problem.n <= MANY_OPS:
            yield from self._floor(walk, missed, limits.spent)
        for name in self._policies(problem):
            found = self._evict(walk, name, best, missed, limits)
            if found is not None:
                floor = False
                yield found
        if floor and problem.n > MANY_OPS:  # to write down and to judge so many moves takes long
            yield from self._floor(walk, missed, limits.spent)

    def _floor(self, walk: Walk, missed: list[Missed], stop: Callable[[], bool]) -> Iterator[Candidate]:
        """The answer of one order that keeps nothing beyond an op, if it packs."""
        found = self._keep(walk, around_each_op(walk), missed, stop)
        if found is not None:
            yield found

    def walks(self, problem: Problem, start: tuple[Plan, ...] = ()) -> Iterator[Walk]:
        """The distinct orders of `start`, else of the chosen schedules, made one at a time."""
        names = self.schedules(problem)
        number = {op.name: i for i, op in enumerate(problem.graph.ops)}
        given = [tuple(number[name] for name in plan.schedule) for plan in start if plan.schedule]
        seen = set()
        for order in given or (SCHEDULES[name](problem) for name in names):
            if order not in seen:
                seen.add(order)
                yield Walk(problem, order)

    def schedules(self, problem: Problem) -> list[str]:
        """Names of the schedules that are looked at."""
        if problem.options.order == "program":
            return ["program"]
        if self.schedule != "all":
            return [self.schedule]
        return ["program", "least_live"] if problem.n > MANY_OPS else list(SCHEDULES)

    def _policies(self, problem: Problem) -> list[str]:
        if self.replace != "all":
            return [self.replace]
        return ["belady"] if problem.n > MANY_OPS else list(POLICIES)

    def _orders(self) -> tuple[str, ...]:
        return tuple(ORDERS) if self.offsets == "all" else (self.offsets,)

    def _keep(
        self, walk: Walk, stretches: list[list[Stretch]], missed: list[Missed], stop: Callable[[], bool]
    ) -> Candidate | None:
        """The order with exactly these stretches, if they pack."""
        problem = walk.problem
        blocks = blocks_of(walk, stretches)
        capacity = problem.capacity
        if capacity is not None and live_bytes(blocks) > capacity:
            return None
        goal = None if problem.options.objective == "peak" else capacity
        offsets, peak = one_pass(problem, blocks, goal, self._orders(), stop)
        if offsets is None:
            return None
        cost = traffic(problem, stretches) if problem.options.objective == "traffic" else peak
        if capacity is None or peak <= capacity:
            return Candidate(cost, peak, walk, blocks, offsets)
        if problem.n <= MANY_OPS and problem.options.objective == "traffic":
            missed.append(Missed(cost, walk, blocks))
        return None

    def _evict(
        self, walk: Walk, policy: str, best: Candidate | None, missed: list[Missed], limits: Limits
    ) -> Candidate | None:
        """The order under one policy: by bytes then packed, or allocated as it goes; the better one."""
        ways = [self._by_bytes, self._as_it_goes]
        many = walk.problem.n > MANY_OPS
        if many and not crowded(walk.problem):
            ways.reverse()  # the quicker one first, and what the other spills beyond that is not looked at
        found: Candidate | None = None
        most = float("inf") if best is None else best.value
        for way in ways:
            waited = many and best is None and found is None  # there is nothing else but the floor
            stop = limits.cancelled if waited else limits.spent
            other = way(walk, POLICIES[policy], most, missed, stop)
            if other is not None and (found is None or other.key < found.key):
                found, most = other, other.value
            if many and found is not None and crowded(walk.problem):
                break
        return found

    def _by_bytes(
        self, walk: Walk, rank: Rank | None, most: float, missed: list[Missed], stop: Callable[[], bool]
    ) -> Candidate | None:
        """The order under a policy that counts bytes, in so much less than the capacity that it packs; None where that
        costs more than `most`."""
        for share in TIGHTER if walk.problem.n <= MANY_OPS else TIGHTER[::2]:
            stretches = evict_on_demand(walk, int(walk.problem.byte_limit * share), rank, stop, most)
            if stretches is None:
                return None
            found = self._keep(walk, stretches, missed, stop)
            if found is not None:
                return found
        return None

    def _as_it_goes(
        self, walk: Walk, rank: Rank | None, most: float, missed: list[Missed], stop: Callable[[], bool]
    ) -> Candidate | None:
        """The order under a policy that gives each storage its address when it comes; None where that costs more than
        `most`."""
        problem = walk.problem
        found = allocate_on_demand(walk, problem.byte_limit, rank or farthest_next_use, stop, most=most)
        if found is None:
            return None
        blocks, offsets = found
        value = traffic(problem, stretches_of(problem, blocks))
        peak = max((o + b.size for o, b in zip(offsets, blocks, strict=True)), default=0)
        return Candidate(value, peak, walk, blocks, offsets)


def crowded(problem: Problem) -> bool:
    """Whether more than `CROWDED` storages of average size fit at a time."""
    return problem.byte_limit * len(problem.storages) > CROWDED * sum(s.size for s in problem.storages)


def farthest_next_use(distance: int, size: int, cost: int) -> float:
    """The farthest next use as a rank, for the allocator, which needs one."""
    return float(distance)
