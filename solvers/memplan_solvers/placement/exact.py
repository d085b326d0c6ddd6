"""The cheapest placement for one order: the integer program decides by bytes, the packer looks for addresses.

Where a memory has no addresses for what the program puts there, a part of it that has none either is excluded, and the
program is solved again. Logic-based Benders decomposition, as Hooker and Ottosson (2003) call it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

from memplan.problem.plan import Status
from memplan.solving.limits import Limits
from memplan_solvers.ilp.mathopt import solve_mathopt
from memplan_solvers.placement.fill import best_filled
from memplan_solvers.placement.layout import PlacedBlock, PlacementLayout, blocks_of, pack
from memplan_solvers.placement.lives import Lives
from memplan_solvers.placement.program import PlacementProgram, crowds_of

SHRINKING, SHRINKS = 4_000, 200
"""Decisions of a packing while a part without addresses is made smaller, and how many packings that takes at most."""

PACKING = 0.25
"""Share of the remaining time that one memory's addresses may take."""

EXACT_GAP = 1e-9
"""Relative difference below which a cost counts as proved: what the grid of costs may lose."""


class Found(NamedTuple):
    """The cheapest placement found for an order, what no placement for it beats, and whether there is none."""

    layout: PlacementLayout | None
    bound: float
    impossible: bool = False


def cheapest(lives: Lives, limits: Limits, start: PlacementLayout | None, known: float = inf) -> Found:
    """The cheapest placement for this order, `start` at worst, and a true bound on their costs.

    Args:
        lives: the order.
        limits: time and seed.
        start: a placement for it.
        known: the cost of a placement for another order: what is no cheaper is not looked for.
    """
    crowds = crowds_of(lives)
    if crowds is None:  # the program would be too long: the time goes into more fillings
        again = replace(limits, seed=limits.seed + 1)
        other = best_filled(lives, again, again)
        return Found(min((x for x in (start, other) if x), key=lambda x: x.cost, default=None), 0.0)
    choice = PlacementProgram(lives.problem, crowds, lives)
    best, bound, proving = start, 0.0, True
    while not limits.spent():
        hint = None if best is None else choice.point(best.places, best.pairs)
        hint = hint if hint is not None and choice.program.holds(hint) else None
        outcome = solve_mathopt(choice.program, limits, hint=hint)
        if outcome.infeasible:
            return Found(best, bound, impossible=proving and best is None)
        if proving:
            bound = max(bound, choice.lower(outcome.bound))
        known = min(known, best.cost) if best is not None else known
        if outcome.x is None or known <= bound * (1 + EXACT_GAP):
            break
        places, made = choice.places(outcome.x), choice.pairs(outcome.x)
        if sum(p.cost for p in places) >= known:
            break
        blocks, offsets = dict[str, list[PlacedBlock]](), dict[str, list[int]]()
        for memory in lives.addressed:
            there = blocks_of(lives, places, made, memory)[0]
            status, found = pack(lives, memory, there, limits.share(PACKING))
            if status is Status.FEASIBLE:
                blocks[memory], offsets[memory] = there, found
            else:
                proving = proving and status is Status.INFEASIBLE
                part = _smaller(lives, memory, there, status, limits)
                choice.exclude(memory, {k for b in part for k, _, _ in b.members}, made)
        if len(blocks) == len(lives.addressed):
            best = PlacementLayout(lives, tuple(places), tuple(made), blocks, offsets)
            limits.report("placement", best.traffic, lives.problem.free_bound)
    return Found(best, bound)


def _smaller(
    lives: Lives, memory: str, blocks: Sequence[PlacedBlock], status: Status, limits: Limits
) -> list[PlacedBlock]:
    """A part of the blocks of which the packer says the same within `SHRINKING` decisions: what each half of it, then
    each quarter, and so on to single blocks, can do without."""
    kept, packings, chunk = list(blocks), SHRINKS, max(1, len(blocks) // 2)
    while packings and not limits.spent():
        at = 0
        while at < len(kept) and packings and not limits.spent():
            rest = kept[:at] + kept[at + chunk :]
            packings -= 1
            if rest and pack(lives, memory, rest, limits, SHRINKING)[0] is status:
                kept = rest
            else:
                at += chunk
        if chunk == 1:
            break
        chunk = max(1, chunk // 2)
    return kept
