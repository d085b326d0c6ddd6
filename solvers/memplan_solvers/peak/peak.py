"""`peak`: the order of least live bytes, proved, and the best addresses found for orders like it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, islice
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.base.units import align_up
from memplan.packing.buffers import Buffer
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.freedoms import as_asked
from memplan.solving.limits import Limits, Progress
from memplan_solvers.compiled import load
from memplan_solvers.greedy import Greedy
from memplan_solvers.improve import Answer, Improver, better
from memplan_solvers.joins import best_joined, joining
from memplan_solvers.peak.joins import least_joined_peak
from memplan_solvers.peak.live import live_model, live_peak
from memplan_solvers.peak.search import MOST_OPS_SCHEDULED, PeakResult, minimum_peak_order
from memplan_solvers.place import one_pass
from memplan_solvers.replace.evict import without_spills
from memplan_solvers.residency import Block, Walk, blocks_of
from memplan_solvers.restricted import value_of
from memplan_solvers.schedule import SCHEDULES

BRIEF = 0.08
"""Share of the remaining time in which each order is packed exactly, before each has half."""

ORDERS = 12
"""Orders within the peak that are packed where the first does not pack into it."""

PACKINGS = ("exact", "none")

PATIENCE = 4_000_000
"""Evaluations the search for one more order may take."""


@dataclass(frozen=True)
class PlacedOrder:
    """An order with addresses: `peak` the largest offset + size."""

    walk: Walk
    blocks: list[Block]
    offsets: Sequence[int]
    peak: int

    @property
    def answer(self) -> Answer:
        """What others may go on from."""
        return Answer(self.walk, self.blocks, self.offsets)


@dataclass(frozen=True)
class Peak(Improver):
    """Plans without spills. The bound is on the peak of live bytes; the value includes addresses.

    packing      exact, or none: no address is used twice, for those who ask for the peak of live bytes alone; what
                 they would get after the time is up depends on the machine, so they get nothing then
    evaluations  of an op, in millions and in each direction, on peaks that the search for the order can neither reach
                 nor refute; 0: as many as time allows
    """

    name: ClassVar[str] = "peak"
    summary: ClassVar[str] = (
        "the order of least live bytes, proved by search over sets of executed ops; never spills"
    )

    supports: ClassVar[Capabilities] = Capabilities(join=True)

    packing: str = "exact"
    evaluations: int = 0

    def __post_init__(self) -> None:
        if self.evaluations < 0:
            raise OptionError(f"solver 'peak': evaluations = {self.evaluations}", "it is 0 or more millions")
        if self.packing not in PACKINGS:
            raise OptionError(f"solver 'peak': packing = '{self.packing}'", nearest(self.packing, PACKINGS))

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """A plan without spills if one is found that fits.

        Else, for the objective peak, which allows no spills, what was proved; for traffic the greedy plan, with the
        bound that at least one spill is needed where that is proved.
        """
        return self.improve(problem, limits, None)

    def improve(self, problem: Problem, limits: Limits, start: Answer | None) -> Plan:
        """The plan without spills where one is found, else `start`; the greedy plan is made only where it is needed."""
        if problem.options.join and problem.options.objective == "peak":
            return self._joined(problem, limits)
        if problem.options.join:
            return best_joined(self, problem, limits, self._decided, self._decided)
        return self._decided(problem, limits, start)

    def _decided(self, problem: Problem, limits: Limits, start: Answer | None = None) -> Plan:
        """The same where it is decided what is joined."""
        if start is not None and start.value <= problem.free_bound:
            return self.plan_of(problem, limits, start, problem.free_bound, "")
        goal = None
        if problem.options.objective != "peak":  # then live bytes are no news of the value
            goal, limits = (
                problem.capacity,
                replace(limits, progress=limits.progress and partial(_nodes, limits.progress)),
            )
        found = minimum_peak_order(problem, self._searching(limits), goal=goal, evaluations=self._most)
        return self._answer(problem, limits, found, start)

    def _searching(self, limits: Limits) -> Limits:
        return limits if self.packing == "none" else limits.share(0.6)

    @property
    def _most(self) -> float:
        return 1e6 * self.evaluations or float("inf")

    def _joined(self, problem: Problem, limits: Limits) -> Plan:
        """The best plan of all choices of what is joined, the most promising first, with a bound for them all."""
        if not problem.joinable:
            return as_asked(problem, self._decided(joining(problem, ()), limits))
        found, capacity = least_joined_peak(problem, self._searching(limits), self._most), problem.capacity
        best: Plan | None = None
        value = float("inf")
        for k, (less, order, peak) in enumerate(found.choices):
            if capacity is not None and less.min_capacity > capacity:
                continue
            if peak >= value or (limits.spent() and best is not None):
                break
            share = limits.share(1.0 if k + 1 == len(found.choices) else 0.5)
            plan = self._answer(less, share, PeakResult(order, peak, min(found.bound, peak), 0), None)
            cost = value_of(less, plan)
            if best is None or cost < value:
                best, value = plan, cost
            if value <= found.bound:
                break
        if best is not None and best.schedule:
            return replace(as_asked(problem, best), bound=min(found.bound, value))
        if capacity is not None and found.bound > capacity:
            why = f"proved: whatever is joined, every order has {found.bound} live bytes or more at some step"
            why = f"{why}; the scratchpad has {capacity} bytes"
            return self.no_answer(problem, limits, Status.INFEASIBLE, why)
        why = best.reason if best is not None else "no choice of what is joined was found that fits"
        return self.no_answer(problem, limits, Status.UNKNOWN, why)

    def _answer(self, problem: Problem, limits: Limits, found: PeakResult, start: Answer | None) -> Plan:
        capacity = problem.capacity
        if capacity is not None and found.peak > capacity:
            if found.bound <= capacity:
                why = f"the best order found has {found.peak} live bytes without spills, {found.bound} is proved"
                return self._otherwise(problem, limits, start, Status.UNKNOWN, why)
            why = f"proved: without spills every order has {found.bound} live bytes or more at some step"
            return self._otherwise(problem, limits, start, Status.INFEASIBLE, why)
        placed = self._place(problem, found, limits)
        if placed is None:
            why = f"an order with {found.peak} live bytes was found, but no addresses for it"
            return self._otherwise(problem, limits, start, Status.UNKNOWN, why)
        least = "the least" if found.proved else f"{found.bound} is proved"
        why = f"live bytes {found.peak}, {least}; with addresses {placed.peak}"
        if problem.options.objective != "peak":
            return self.plan_of(problem, limits, placed.answer, problem.free_bound, "")
        best = better(start, placed.answer)
        bound = max(found.bound, problem.free_bound)
        return replace(self.plan_of(problem, limits, best, bound, ""), reason=why)

    def _otherwise(
        self, problem: Problem, limits: Limits, start: Answer | None, without: Status, why: str
    ) -> Plan:
        """The answer where no plan without spills fits; `without` is what is known of there being one."""
        why = f"{why}; the scratchpad has {problem.capacity} bytes"
        if problem.options.objective == "peak":
            return (
                self.no_answer(problem, limits, without, why)
                if start is None
                else self.plan_of(problem, limits, start, problem.free_bound, why)
            )
        if start is None:
            best = Greedy().best(problem, limits)
            start = None if best is None else best.answer
        spill = min((s.nbytes for s in problem.storages if s.nbytes), default=0)
        bound = problem.free_bound + (spill if without is Status.INFEASIBLE else 0)
        if start is None:
            why = f"{why}, and no heuristic found a plan that spills"
        return replace(self.plan_of(problem, limits, start, bound, why), reason=why)

    def _place(self, problem: Problem, found: PeakResult, limits: Limits) -> PlacedOrder | None:
        """Addresses as low as found for the objective peak, else within the capacity: many orders in one pass, then,
        the most promising first, exactly."""
        by_peak, capacity = problem.options.objective == "peak", problem.capacity
        goal = max(found.bound, int(problem.free_bound)) if by_peak else capacity
        tried: list[PlacedOrder] = []
        if self.packing == "none":
            if limits.spent() and not found.proved:
                return None
            stacked = _stacked(problem, found.order, limits)
            return stacked if stacked and (capacity is None or stacked.peak <= capacity) else None
        for order in islice(_orders(problem, found, limits), ORDERS):
            candidate = _one_pass(problem, order, goal, limits)
            if candidate is not None:
                tried.append(candidate)
                if goal is None or candidate.peak <= goal:
                    return candidate
            if limits.spent():
                break
        if not tried:
            return None
        tried.sort(key=lambda p: p.peak)
        best = tried[0]
        if self.packing == "exact":
            shares = [BRIEF] * len(tried) + [0.5] * (len(tried) - 1) + [1.0]
            for placed, share in zip(2 * tried, shares, strict=True):
                if limits.spent():
                    break
                exact = _exact(placed, None if by_peak else capacity, limits.share(share))
                best = exact if exact is not None and exact.peak < best.peak else best
                if goal is not None and best.peak <= goal:
                    break
                limits.report("addresses", best.peak, found.bound)
        return best if capacity is None or best.peak <= capacity else None


def _nodes(tell: Callable[[Progress], None], news: Progress) -> None:
    """Pass on how much was searched, but no value."""
    tell(news._replace(value=None, bound=0))


def _orders(problem: Problem, found: PeakResult, limits: Limits) -> Iterator[tuple[int, ...]]:
    """The order found, then distinct others whose live bytes allow the same goal."""
    yield found.order
    if problem.options.order == "program":
        return
    model, seen = live_model(problem), {found.order}
    limit = found.peak
    if problem.options.objective == "traffic" and problem.capacity is not None:
        limit = problem.capacity
    for name in SCHEDULES if problem.n <= MOST_OPS_SCHEDULED else ():
        order = SCHEDULES[name](problem)
        if order not in seen and live_peak(model, order) <= limit:
            seen.add(order)
            yield order
    if limits.spent() or not load("peak", limits):
        return
    from memplan_solvers.peak.directions import Directions

    search = Directions(model)
    for seed in range(1, 2 * ORDERS):
        if limits.spent():
            return
        other = search.within(found.peak, limits, PATIENCE, seed)
        if isinstance(other, tuple) and other and other not in seen:
            seen.add(other)
            yield other


def _blocks(problem: Problem, order: tuple[int, ...]) -> tuple[Walk, list[Block]]:
    """The order without spills, and what it keeps when."""
    walk = Walk(problem, order)
    return walk, blocks_of(walk, without_spills(walk))


def _stacked(problem: Problem, order: tuple[int, ...], limits: Limits) -> PlacedOrder | None:
    """The order without spills, every block above all before it; one pass where places are pinned."""
    walk, blocks = _blocks(problem, order)
    if any(b.offset is not None for b in blocks):
        return _one_pass(problem, order, None, limits)
    *offsets, peak = accumulate(
        (align_up(b.size, problem.target.scratchpad.alignment) for b in blocks), initial=0
    )
    return PlacedOrder(walk, blocks, offsets, peak)


def _one_pass(
    problem: Problem, order: tuple[int, ...], goal: int | None, limits: Limits
) -> PlacedOrder | None:
    """The order without spills, placed by the best one-pass packing; None where pinned places are in the way."""
    walk, blocks = _blocks(problem, order)
    offsets, peak = one_pass(problem, blocks, goal, stop=limits.spent)
    return None if offsets is None else PlacedOrder(walk, blocks, offsets, peak)


def _exact(placed: PlacedOrder, capacity: int | None, limits: Limits) -> PlacedOrder | None:
    """The same blocks, placed by the packer under `capacity`, or as low as it gets."""
    from memplan_solvers.offsets.packer import StagedPacker  # numpy is not needed where one pass does

    alignment = placed.walk.problem.target.scratchpad.alignment
    buffers = [
        Buffer(str(k), b.start, b.stop, b.size, alignment, b.offset) for k, b in enumerate(placed.blocks)
    ]
    packing = StagedPacker().pack(buffers, capacity, limits.quiet())
    if packing.status is not Status.FEASIBLE:
        return None
    peak = max((o + b.size for o, b in zip(packing.offsets, placed.blocks, strict=True)), default=0)
    return PlacedOrder(placed.walk, placed.blocks, packing.offsets, peak)
