"""`greedy`: the best of a deterministic portfolio of schedules, replacement policies and packings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar, NamedTuple

from memplan.base.errors import OptionError, nearest
from memplan.judge.timeline import timeline
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.freedoms import lifted
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.improve import Answer
from memplan_solvers.joins import best_joined, joining
from memplan_solvers.offsets.one_pass import ORDERS
from memplan_solvers.place import harder, live_bytes, one_pass, repaired
from memplan_solvers.prefetch import TimedAnswer, prefetched
from memplan_solvers.replace import POLICIES
from memplan_solvers.replace.allocate import allocate_on_demand
from memplan_solvers.replace.evict import around_each_op, evict_on_demand, without_spills
from memplan_solvers.residency import Block, Stretch, Walk, blocks_of, materialise, stretches_of, traffic
from memplan_solvers.restricted import less_in_place, value_of
from memplan_solvers.schedule import SCHEDULES

LARGE = 10_000
"""Ops beyond which only the near-linear members of the portfolio run."""

CROWDED = 200
"""Storages present at a time, on average, beyond which a large graph that packs is not allocated step by step as well."""

TIGHTER = (1.0, 0.97, 0.93, 0.88, 0.82, 0.75)
"""Shares of the capacity that replacement is given until its stretches pack under the whole."""

ROOM = (1.0, 0.75, 0.5)
"""Shares of the capacity that the answers which are put in time spend on residencies; the rest is for loads ahead."""

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

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The best candidate, with some ops joined or none, in place or less so; joins are left out of latencies."""
        if problem.options.join and problem.options.objective == "latency":
            return lifted(problem, self._in_place(joining(problem, ()), limits))
        if problem.options.join:
            return best_joined(self, problem, limits, self._in_place)
        return self._in_place(problem, limits)

    def _in_place(self, problem: Problem, limits: Limits) -> Plan:
        """The best candidate, in place or less so.

        The least free problem comes first: who may do more has done by any time what others have done by then. The
        program's order, which is less freedom too, is among the schedules.
        """
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
            return self.no_answer(problem, limits, Status.UNKNOWN, "no heuristic found a plan that fits")
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
            seconds = timeline(problem.graph, plan).latency_s
            if seconds < least:
                best, least = plan, seconds
                limits.report("greedy", least, bound)
            if least <= max(bound, limits.bound) or limits.spent():
                break
        if best is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, "no heuristic found a plan that fits")
        return replace(best, bound=bound)

    def _timed_answers(self, problem: Problem, limits: Limits) -> Iterator[TimedAnswer]:
        """What may be fast: answers to the step model, of every order, and within less space, put in time."""
        stepped = replace(problem, options=replace(problem.options, objective="traffic"))
        variants = [stepped]
        if problem.target.direct:
            variants += [replace(stepped, target=replace(stepped.target, operands={}))]
        steps = replace(limits.quiet(), start=(), bound=0)
        for variant, share in product(variants, ROOM):
            capacity = int(problem.byte_limit * share) // problem.target.scratchpad.alignment
            capacity = max(1, capacity * problem.target.scratchpad.alignment)  # where nothing is placed
            if variant.min_capacity > capacity:
                continue
            tight = replace(variant, target=variant.target.with_scratchpad(capacity))
            for schedule in self._schedules(problem):
                found = replace(self, schedule=schedule).best(tight, steps)
                if found is not None:
                    yield from prefetched(
                        replace(found.answer, walk=Walk(variant, found.walk.order)), limits.spent
                    )
                if limits.spent():
                    return

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
        for way, walk in product((self._without_spills, self._with_spills), walks):
            for candidate in way(walk, best, missed, limits.spent):
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
        self, walk: Walk, best: Candidate | None, missed: list[Missed], stop: Callable[[], bool]
    ) -> Iterator[Candidate]:
        """The answer of one order that keeps everything, if it fits; what fits by bytes only joins `missed`."""
        kept = self._keep(walk, without_spills(walk), missed, stop)
        if kept is not None:
            yield kept

    def _with_spills(
        self, walk: Walk, best: Candidate | None, missed: list[Missed], stop: Callable[[], bool]
    ) -> Iterator[Candidate]:
        """The answers of one order that evict; those that cannot beat `best`, or take too long, are left out.

        What fits by bytes but packs in no one-pass order joins `missed`.
        """
        problem = walk.problem
        if problem.target.direct or problem.options.objective == "peak":
            return
        if best is None:  # cheap, and there wherever each op fits
            floor = self._keep(walk, around_each_op(walk), missed, stop)
            if floor is not None:
                yield floor
        for name in self._policies(problem):
            found = self._evict(walk, name, best, missed, stop)
            if found is not None:
                yield found

    def walks(self, problem: Problem, start: tuple[Plan, ...] = ()) -> Iterator[Walk]:
        """The distinct orders of `start`, else of the chosen schedules, made one at a time."""
        names = self._schedules(problem)
        number = {op.name: i for i, op in enumerate(problem.graph.ops)}
        given = [tuple(number[name] for name in plan.schedule) for plan in start if plan.schedule]
        seen = set()
        for order in given or (SCHEDULES[name](problem) for name in names):
            if order not in seen:
                seen.add(order)
                yield Walk(problem, order)

    def _schedules(self, problem: Problem) -> list[str]:
        if problem.options.order == "program":
            return ["program"]
        if self.schedule != "all":
            return [self.schedule]
        return ["program", "least_live"] if problem.n > LARGE else list(SCHEDULES)

    def _policies(self, problem: Problem) -> list[str]:
        if self.replace != "all":
            return [self.replace]
        return ["belady"] if problem.n > LARGE else list(POLICIES)

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
        if problem.n <= LARGE and problem.options.objective == "traffic":
            missed.append(Missed(cost, walk, blocks))
        return None

    def _evict(
        self, walk: Walk, policy: str, best: Candidate | None, missed: list[Missed], stop: Callable[[], bool]
    ) -> Candidate | None:
        """The order under one policy: by bytes then packed, or allocated as it goes; the better one."""
        problem, rank = walk.problem, POLICIES[policy]
        capacity = problem.byte_limit
        found: Candidate | None = None
        for share in TIGHTER if problem.n <= LARGE else TIGHTER[::2]:
            stretches = evict_on_demand(walk, int(capacity * share), rank, stop)
            if stretches is None:
                break
            value = traffic(problem, stretches)
            if best is not None and value > best.value:
                break
            found = self._keep(walk, stretches, missed, stop)
            if found is not None:
                break
        if problem.n > LARGE and found is not None and crowd(found.blocks) > CROWDED:
            return found
        on_demand = allocate_on_demand(walk, capacity, rank or farthest_next_use, stop)
        if on_demand is not None:
            blocks, offsets = on_demand
            value = traffic(problem, stretches_of(problem, blocks))
            peak = max((o + b.size for o, b in zip(offsets, blocks, strict=True)), default=0)
            candidate = Candidate(value, peak, walk, blocks, offsets)
            if found is None or candidate.key < found.key:
                found = candidate
        return found


def crowd(blocks: list[Block]) -> float:
    """How many blocks there are at a time, on average."""
    steps = max((b.stop for b in blocks), default=0)
    return sum(b.stop - b.start for b in blocks) / max(1, steps)


def farthest_next_use(distance: int, size: int, cost: int) -> float:
    """The farthest next use as a rank, for the allocator, which needs one."""
    return float(distance)


def greedy_start(problem: Problem, limits: Limits) -> Answer | None:
    """What a solver begins with that is given nothing: the greedy answer, within half its time."""
    found = Greedy().solve(problem, limits.share(0.5).quiet())
    answer = Answer.of_plan(problem, found)
    if answer is None:
        return None
    limits.report("greedy", answer.value, problem.free_bound)
    return replace(answer, how=found.reason)
