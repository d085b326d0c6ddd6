"""A latency problem in program order as flat arrays: what every compiled routine of this package reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan.errors import OptionError
from memplan.plan import Status
from memplan.problem import Problem
from memplan.simulate import op_work
from memplan.solver import Budget
from memplan_solvers.place import place
from memplan_solvers.residency import Stretch, Walk

Array = Any
"""A numpy array; its dtype and shape are in the comment beside it."""


class Timed(NamedTuple):
    """Ops are steps 0 … n−1, storages numbers 0 … m−1 as in `Problem`; times in seconds.

    A copy or host access of storage s keeps the host's bus busy for `copy[s]`, an access in the
    scratchpad takes `pad[s]`. `base_host` is the host time of what has no number. Fixed storages (the
    caller's buffers, what is pinned to keep) lie at `fixed[s]` throughout `fixed_span[s]`; only those with
    `movable[s]` are anybody's choice. One pinned to an offset without being kept is served from host.
    """

    n: int
    capacity: int
    alignment: int
    queues: int
    overhead: float
    whole_copy: float  # seconds to copy the whole scratchpad
    compute: Array  # float64[n], without overhead
    base_host: Array  # float64[n]
    size: Array  # int64[m], aligned
    copy: Array  # float64[m]
    pad: Array  # float64[m]
    producer: Array  # int64[m], -1 for inputs and constants
    output: Array  # bool[m]: must be in host in the end
    streamed: Array  # bool[m]: a residency serves one use
    movable: Array  # bool[m]
    fixed: Array  # int64[m], offset or -1
    fixed_span: Array  # int64[m, 2]
    given: Array  # bool[m]: the caller's buffer, there without a load
    touch_row: Array  # int64[m + 1], rows of `touch` by storage
    touch: Array  # int64[k], steps that write or read it, ascending
    op_row: Array  # int64[n + 1], rows of `op_touch` by step
    op_touch: Array  # int64[k], storages read, then written, by the op
    over: Array  # int64[m]: the storage it may be written over in place, and is if both are fixed, or -1


def flatten(problem: Problem, budget: Budget) -> Timed | None:
    """The problem's arrays, None if what must stay in the scratchpad could not be placed.

    OptionError where operands must be in the scratchpad: these solvers serve operands from host.
    """
    if problem.target.operands != "any":
        raise OptionError(
            f"target '{problem.target.name}' serves no operand from host",
            "use greedy for latency there, or a target with operands = 'any'",
        )
    walk = Walk(problem, tuple(range(problem.n)))
    fixed = _fixed(walk, budget)
    if fixed is None:
        return None
    storages, graph, target = problem.storages, problem.graph, problem.target
    m, n = len(storages), problem.n
    host, pad = target.host.bandwidth or 1.0, target.scratchpad.bandwidth or 1.0
    capacity = max(1, problem.room)
    nbytes = np.array([s.nbytes for s in storages], dtype=np.float64)
    size = np.array([s.size for s in storages], dtype=np.int64)
    offsets, spans = np.full(m, -1, dtype=np.int64), np.zeros((m, 2), dtype=np.int64)
    over = np.full(m, -1, dtype=np.int64)
    for s, (start, stop, offset, source) in fixed.items():
        offsets[s], spans[s], over[s] = offset, (start, stop), source
    resident = np.array([s.resident for s in storages], dtype=np.bool_)
    pinned = np.array([s.offset is not None for s in storages], dtype=np.bool_)
    movable = (offsets < 0) & ~pinned & (size > 0) & (size <= capacity)
    for written, source in walk.inplace.items():
        if movable[written] and movable[source] and storages[source].producer >= 0:
            over[written] = source
    work = op_work(graph, target, problem.options)
    base = [sum(b for name, b in w.operands.items() if name not in problem.number) for w in work]
    by_op = [(*r, *w) for r, w in zip(problem.reads, problem.writes, strict=True)]
    return Timed(
        n=n,
        capacity=capacity,
        alignment=target.scratchpad.alignment,
        queues=target.dma_queues,
        overhead=target.compute.overhead_s,
        whole_copy=capacity / host,
        compute=np.array([w.compute_s for w in work], dtype=np.float64),
        base_host=np.array(base, dtype=np.float64) / host,
        size=size,
        copy=nbytes / host,
        pad=nbytes / pad,
        producer=np.array([s.producer for s in storages], dtype=np.int64),
        output=np.array([s.is_output and not s.in_host for s in storages], dtype=np.bool_) & ~resident,
        streamed=np.array([s.is_constant for s in storages], dtype=np.bool_)
        & (problem.options.weights == "stream"),
        movable=movable,
        fixed=offsets,
        fixed_span=spans,
        given=resident,
        touch_row=_rows(walk.steps),
        touch=_flat(walk.steps),
        op_row=_rows(by_op),
        op_touch=_flat(by_op),
        over=over,
    )


def _fixed(walk: Walk, budget: Budget) -> dict[int, tuple[int, int, int, int]] | None:
    """(start, stop, offset, storage written over or -1) of what stays in the scratchpad; None if it was not placed."""
    stretches: list[list[Stretch]] = [
        spans if s.stays else [] for spans, s in zip(walk.whole, walk.problem.storages, strict=True)
    ]
    placed = place(walk, stretches, walk.problem.capacity, budget)
    if placed.offsets is None:
        return None
    fixed = {}
    for block, offset in zip(placed.blocks, placed.offsets, strict=True):
        source = -1
        for s, (start, stop) in block.members:
            fixed[s] = start, stop, int(offset), source
            source = s
    return fixed


def stores_of_fixed(timed: Timed) -> Array:
    """Stores with which every layout begins, int64[m, 2], (issue, due) or -1: of kept outputs."""
    stores = np.full((len(timed.size), 2), -1, dtype=np.int64)
    for s in np.flatnonzero(timed.output & (timed.fixed >= 0)):
        stores[s] = timed.producer[s], timed.fixed_span[s, 1]
    return stores


def fixed_pairs(timed: Timed) -> dict[int, int]:
    """Storage written over, by the storage that does, among what is fixed."""
    both = np.flatnonzero((timed.fixed >= 0) & (timed.over >= 0))
    return {int(s): int(timed.over[s]) for s in both}


def _rows(lists: Any) -> Array:
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


def _flat(lists: Any) -> Array:
    return np.array([x for each in lists for x in each], dtype=np.int64)


UNPLACED = (Status.UNKNOWN, "no place was found for what must stay in the scratchpad")
"""What to answer where `flatten` gives None."""
