"""Addresses for given stretches: one-pass packings first, then the exact packer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from memplan.packing.buffers import Buffer
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.offsets.one_pass import ORDERS, load, pack_around, pack_greedy
from memplan_solvers.residency import Block, Stretch, Walk, blocks_of


class BlockPlacement(NamedTuple):
    """Offsets of the blocks, None where none were found; `impossible` says that there are none.

    `method` is what packed them: one pass, exact or repair.
    """

    blocks: list[Block]
    offsets: list[int] | None
    impossible: bool
    method: str = "one pass"

    @property
    def how(self) -> str:
        """What the addresses took, nothing where one pass did."""
        return "" if self.method == "one pass" else f"packed by {self.method} search"

    @property
    def peak(self) -> int:
        """The largest offset + size."""
        ends = [o + b.size for o, b in zip(self.offsets or (), self.blocks, strict=False)]
        return max(ends, default=0)


def repaired(least: float, value: float, what: str) -> str:
    """In words: residencies of `least` bytes of traffic fit by bytes, `what` became of them, and `value` was paid."""
    return f"residencies of {least:,.0f} B traffic fit by bytes but {what}: repaired for {value - least:,.0f} B more"


def live_bytes(blocks: Sequence[Block]) -> int:
    """The largest sum of sizes at one step."""
    return load([b.start for b in blocks], [b.stop for b in blocks], [b.size for b in blocks])


def one_pass(
    problem: Problem,
    blocks: Sequence[Block],
    goal: int | None,
    orders: Sequence[str] = tuple(ORDERS),
    stop: Callable[[], bool] = lambda: False,
) -> tuple[list[int] | None, int]:
    """Offsets of the best one-pass packing and their peak; stops at the first of at most `goal`, or
    with the best so far when `stop` says so.

    None where two blocks are pinned to one place.
    """
    starts, stops, sizes = [b.start for b in blocks], [b.stop for b in blocks], [b.size for b in blocks]
    alignment, fixed = problem.target.scratchpad.alignment, [b.offset for b in blocks]
    if any(offset is not None for offset in fixed):
        return pack_around(starts, stops, sizes, fixed, alignment, goal, orders, stop)
    return pack_greedy(starts, stops, sizes, alignment, goal, orders, stop)


def place(
    walk: Walk, stretches: Sequence[Sequence[Stretch]], capacity: int | None, limits: Limits
) -> BlockPlacement:
    """Place the stretches under `capacity`, or as low as one pass gets where there is none."""
    blocks = blocks_of(walk, stretches)
    if capacity is not None and live_bytes(blocks) > capacity:
        return BlockPlacement(blocks, None, True)
    offsets, peak = one_pass(walk.problem, blocks, capacity, stop=limits.spent)
    if offsets is None:
        return BlockPlacement(blocks, None, True)
    if capacity is None or peak <= capacity:
        return BlockPlacement(blocks, offsets, False)
    if limits.spent():
        return BlockPlacement(blocks, None, False)
    return harder(walk, blocks, capacity, limits)


def harder(
    walk: Walk, blocks: list[Block], capacity: int, limits: Limits, node_limit: int | None = None
) -> BlockPlacement:
    """Place blocks that no one-pass order gets under `capacity`; `impossible` is a proof.

    With a `node_limit` the effort is counted in decisions, the same on every machine.
    """
    from memplan_solvers.offsets.packer import fit  # numpy is not needed where one pass does

    alignment = walk.problem.target.scratchpad.alignment
    buffers = [Buffer(str(k), b.start, b.stop, b.size, alignment, b.offset) for k, b in enumerate(blocks)]
    found = fit(buffers, capacity, limits, node_limit)
    offsets = list(found.offsets) if found.status is Status.FEASIBLE else None
    return BlockPlacement(blocks, offsets, found.status is Status.INFEASIBLE, found.method)
