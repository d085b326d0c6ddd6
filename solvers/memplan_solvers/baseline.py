"""`baseline`: what COSMA (arXiv 2311.18246) is compared with, repaired so that it has addresses.

An order, then replacement by bytes along it, then addresses by TensorFlow Lite's planner: three decisions one after the
other, none of which looks at the next. Often the bytes fit and the planner finds no place; instead of reporting
that as a failure more is evicted until it does, one storage at a time, so that what is beaten is a real plan.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

from memplan.base.errors import OptionError, nearest
from memplan.problem.plan import Plan, Status
from memplan.problem.problem import Problem
from memplan.solving.capabilities import Capabilities
from memplan.solving.limits import Limits
from memplan.solving.solver import Solver
from memplan_solvers.ilp.gaps import Gaps
from memplan_solvers.ilp.linear import Linear
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.offsets.one_pass import neighbours, place, rows_in_order
from memplan_solvers.peak.search import minimum_peak_order
from memplan_solvers.place import one_pass
from memplan_solvers.replace.evict import Presence, around_each_op, evict, evict_on_demand
from memplan_solvers.residency import Block, Stretch, Walk, blocks_of, materialise

WORDS = {"schedule": ("program", "peak"), "replace": ("belady", "greedy_ilp")}

BASELINES = tuple(
    f"baseline{{schedule={s},replace={r}}}" for s in WORDS["schedule"] for r in WORDS["replace"]
)
"""The paper's four baselines as solver specs."""

PlacedBlocks = tuple[list[Block], list[int]]


def reduction(pairs: Iterable[tuple[float, float]]) -> tuple[float | None, int, int]:
    """1 - sum of values / sum of baselines over the (value, baseline) pairs whose baseline is above zero.

    Also how many those are, and how many others there were; None where there is none.
    """
    pairs = list(pairs)
    above = [(value, base) for value, base in pairs if base > 0]
    share = 1 - sum(v for v, _ in above) / sum(b for _, b in above) if above else None
    return share, len(above), len(pairs) - len(above)


@dataclass(frozen=True)
class Baseline(Solver):
    """One of the paper's four baselines; its bound is the free one.

    schedule  program, or peak: the order of least live bytes
    replace   belady: the farthest next use leaves; greedy_ilp: at each step over the capacity the set whose eviction
              costs the fewest bytes, by an integer program for that step alone
    """

    name: ClassVar[str] = "baseline"
    summary: ClassVar[str] = (
        "COSMA's baselines: an order, then replacement, then TensorFlow Lite's placement; repaired"
    )
    supports: ClassVar[Capabilities] = Capabilities(("traffic",))

    schedule: str = "program"
    replace: str = "belady"

    def __post_init__(self) -> None:
        for field, known in WORDS.items():
            if getattr(self, field) not in known:
                raise OptionError(
                    f"solver 'baseline': {field} = '{getattr(self, field)}'",
                    nearest(getattr(self, field), known),
                )

    def solve(self, problem: Problem, limits: Limits) -> Plan:
        """The baseline's plan; in the end that of everything stored and reloaded around each op."""
        order: tuple[int, ...] = tuple(range(problem.n))
        if self.schedule == "peak":
            order = minimum_peak_order(problem, limits.share(0.5).quiet()).order
        walk = Walk(problem, order)
        placed = self._placed(walk, limits) or _placed_at_once(walk, around_each_op(walk))
        if placed is None:
            return self.no_answer(problem, limits, Status.UNKNOWN, "the baseline found no placement")
        residencies, moves, inplace = materialise(walk, *placed)
        return self.answer(
            problem, limits, order=order, residencies=residencies, moves=moves, inplace=inplace
        )

    def _placed(self, walk: Walk, limits: Limits) -> PlacedBlocks | None:
        capacity = walk.problem.capacity
        if capacity is None:
            return _placed_at_once(walk, walk.whole)
        if self.replace == "belady":
            stretches = evict_on_demand(walk, capacity, None, limits.spent)
        else:
            presence = Presence(walk)
            stretches = evict(walk, capacity, presence, _Cheapest(presence, limits), limits.spent)
        return None if stretches is None else evict_until_placed(walk, stretches, limits.spent)


def evict_until_placed(
    walk: Walk, stretches: list[list[Stretch]], stop: Callable[[], bool]
) -> PlacedBlocks | None:
    """The stretches placed in order of size, each in its smallest hole; more is evicted until all are placed.

    The first block without a place leaves over the longest of its absences; one that is touched at each of
    its steps stays, and the cheapest other storage in its way leaves. None where there is nothing left to evict, or
    on `stop`.
    """
    problem, capacity = walk.problem, walk.problem.capacity
    gaps = Gaps(walk, capacity or 0)
    kept = gaps.choice(stretches)
    while not stop():
        blocks = blocks_of(walk, gaps.stretches(kept))
        placed, stuck = _tflite(blocks, problem)
        if stuck is None:
            return blocks, placed
        mine = {s for s, _ in stuck.members}
        there = [
            k for k, g in enumerate(gaps.gaps) if kept[k] and g.before < stuck.stop and stuck.start <= g.after
        ]
        own = [
            k for k in there if gaps.gaps[k].storage in mine and gaps.gaps[k].after - gaps.gaps[k].before > 1
        ]
        if own:
            kept[max(own, key=lambda k: (gaps.gaps[k].after - gaps.gaps[k].before, -k))] = 0
        elif there:
            kept[min(there, key=lambda k: (problem.storages[gaps.gaps[k].storage].nbytes, k))] = 0
        else:
            return None
    return None


def _tflite(blocks: list[Block], problem: Problem) -> tuple[list[int], Block | None]:
    """Offsets by size, the largest first, each in the smallest hole; the first block without a place, if any."""
    starts, stops = [b.start for b in blocks], [b.stop for b in blocks]
    sizes, fixed = [b.size for b in blocks], [b.offset for b in blocks]
    rows = rows_in_order("tflite", starts, stops, sizes)
    offsets = place(
        rows,
        neighbours(starts, stops),
        sizes,
        problem.target.scratchpad.alignment,
        best_fit=True,
        fixed=fixed,
    )
    if offsets is None:  # two are pinned to one place
        return [], next(b for b in blocks if b.offset is not None and b.size)
    capacity = problem.capacity
    for i in rows:
        if capacity is not None and offsets[i] + sizes[i] > capacity:
            return offsets, blocks[i]
    return offsets, None


def _placed_at_once(walk: Walk, stretches: list[list[Stretch]]) -> PlacedBlocks | None:
    """The stretches as they are, by size; else as any one pass places them; None where none does."""
    blocks, capacity = blocks_of(walk, stretches), walk.problem.capacity
    offsets, stuck = _tflite(blocks, walk.problem)
    if stuck is None:
        return blocks, offsets
    found, peak = one_pass(walk.problem, blocks, capacity)
    return None if found is None or (capacity is not None and peak > capacity) else (blocks, found)


class _Cheapest:
    """Victims of least cost for the step at hand, by an integer program."""

    def __init__(self, presence: Presence, limits: Limits) -> None:
        self.presence, self.limits = presence, limits

    def touched(self, storages: tuple[int, ...]) -> None:
        """Nothing is remembered from step to step."""

    def choose(self, touched: tuple[int, ...], t: int, deficit: int) -> list[int]:
        """The set that frees `deficit` bytes for the fewest bytes moved; all there are where none does."""
        presence = self.presence
        there = [s for s in sorted(presence.since) if s not in touched and s not in presence.pinned]
        program = Linear()
        leaves = [program.binary(presence.cost(s)) for s in there]
        program.add([(v, presence.storages[s].size) for v, s in zip(leaves, there, strict=True)], low=deficit)
        found = solve_mathopt(program, self.limits)
        return there if found.x is None else [s for v, s in zip(leaves, there, strict=True) if found.x[v]]
