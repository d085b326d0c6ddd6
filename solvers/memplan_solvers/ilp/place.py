"""Addresses for given stretches: one-pass packings first, then exact constraint programming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from memplan.solver import Budget
from memplan_solvers.offsets.one_pass import load, pack_greedy
from memplan_solvers.residency import Block, Stretch, Walk, blocks_of


class Placed(NamedTuple):
    """Offsets of the blocks, None where none were found; `impossible` says that there are none."""

    blocks: list[Block]
    offsets: list[int] | None
    impossible: bool

    @property
    def peak(self) -> int:
        """The largest offset + size."""
        ends = [o + b.size for o, b in zip(self.offsets or (), self.blocks, strict=False)]
        return max(ends, default=0)


def place(walk: Walk, stretches: Sequence[Sequence[Stretch]], capacity: int | None, budget: Budget) -> Placed:
    """Place the stretches under `capacity`, or as low as one pass gets where there is none."""
    blocks = blocks_of(walk, stretches)
    starts, stops = [b.start for b in blocks], [b.stop for b in blocks]
    sizes = [b.size for b in blocks]
    alignment = walk.problem.target.scratchpad.alignment
    if capacity is not None and load(starts, stops, sizes) > capacity:
        return Placed(blocks, None, True)
    offsets, peak = pack_greedy(starts, stops, sizes, alignment, capacity)
    if capacity is None or peak <= capacity:
        return Placed(blocks, offsets, False)
    if budget.spent():
        return Placed(blocks, None, False)
    exact, impossible = pack_exactly(starts, stops, sizes, alignment, capacity, budget)
    return Placed(blocks, exact, impossible)


def pack_exactly(starts: Sequence[int], stops: Sequence[int], sizes: Sequence[int], alignment: int,
                 capacity: int, budget: Budget) -> tuple[list[int] | None, bool]:  # fmt: skip
    """Offsets under `capacity` by CP-SAT, or None and whether it is proved that there are none.

    Sizes are multiples of the alignment, so offsets are counted in alignments.
    """
    from ortools.sat.python import cp_model

    from memplan_solvers.ilp.cpsat import run

    model = cp_model.CpModel()
    room = capacity // alignment
    xs, times, spans = [], [], []
    for k, (a, b, z) in enumerate(zip(starts, stops, sizes, strict=True)):
        width = z // alignment
        xs.append(model.new_int_var(0, max(0, room - width), f"o{k}"))
        if width:
            times.append(model.new_fixed_size_interval_var(a, b - a, f"t{k}"))
            spans.append(model.new_fixed_size_interval_var(xs[-1], width, f"a{k}"))
    model.add_no_overlap_2d(times, spans)
    solver, status = run(model, replace(budget, progress=None))
    if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return [solver.value(x) * alignment for x in xs], False
    return None, status == cp_model.INFEASIBLE
