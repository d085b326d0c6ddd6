"""A latency problem in program order as flat arrays: what every compiled routine of this package reads."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from memplan.errors import OptionError
from memplan.plan import Status
from memplan.problem import Problem
from memplan.simulate import op_bytes, op_time
from memplan.solver import Budget
from memplan_solvers.place import place
from memplan_solvers.residency import Stretch, Walk

Array = Any
"""A numpy array; its dtype and shape are in the comment beside it."""


class Timed(NamedTuple):
    """Ops are steps 0 … n−1, storages numbers 0 … m−1 as in `Problem`; times in seconds.

    A copy or host access of storage s keeps the host's bus busy for `copy[s]`, an access in the
    scratchpad takes `pad[s]`. `base_host` is the host time of what has no number. Fixed storages lie
    at `fixed[s]` throughout `fixed_span[s]`; only free ones with `movable[s]` are anybody's choice.
    """

    n: int
    capacity: int
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
    over: Array  # int64[m]: the storage it may be written over in place, or -1


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
    capacity = problem.capacity
    if capacity is None:
        capacity = max(1, sum(s.size for s in storages))
    nbytes = np.array([s.nbytes for s in storages], dtype=np.float64)
    size = np.array([s.size for s in storages], dtype=np.int64)
    offsets, spans = np.full(m, -1, dtype=np.int64), np.zeros((m, 2), dtype=np.int64)
    for s, (start, stop, offset) in fixed.items():
        offsets[s], spans[s] = offset, (start, stop)
    free = offsets < 0
    over = np.full(m, -1, dtype=np.int64)
    movable = free & (size > 0) & (size <= capacity)
    for written, source in walk.inplace.items():
        if movable[written] and movable[source]:
            over[written] = source
    compute = [op_time(graph, op, target, 0, 0)[0] - target.compute.overhead_s for op in graph.ops]
    base = [
        sum(b for name, b in op_bytes(graph, op, problem.options).items() if name not in problem.number)
        for op in graph.ops
    ]
    by_op = [(*r, *w) for r, w in zip(problem.reads, problem.writes, strict=True)]
    return Timed(
        n=n,
        capacity=capacity,
        queues=target.dma_queues,
        overhead=target.compute.overhead_s,
        whole_copy=capacity / host,
        compute=np.array(compute, dtype=np.float64),
        base_host=np.array(base, dtype=np.float64) / host,
        size=size,
        copy=nbytes / host,
        pad=nbytes / pad,
        producer=np.array([s.producer for s in storages], dtype=np.int64),
        output=np.array([s.is_output and not s.in_host for s in storages], dtype=np.bool_) & free,
        streamed=np.array([s.is_constant for s in storages], dtype=np.bool_)
        & (problem.options.weights == "stream"),
        movable=movable,
        fixed=offsets,
        fixed_span=spans,
        given=~free & (problem.options.io == "resident"),
        touch_row=_rows(walk.steps),
        touch=_flat(walk.steps),
        op_row=_rows(by_op),
        op_touch=_flat(by_op),
        over=over,
    )


def _fixed(walk: Walk, budget: Budget) -> dict[int, tuple[int, int, int]] | None:
    """(start, stop, offset) of the storages that stay in the scratchpad; None if they were not placed."""
    stay = [
        walk.problem.options.io == "resident" and not s.is_constant and (s.is_input or s.is_output)
        for s in walk.problem.storages
    ]
    stretches: list[list[Stretch]] = [
        spans if kept else [] for spans, kept in zip(walk.whole, stay, strict=True)
    ]
    placed = place(walk, stretches, walk.problem.capacity, budget)
    if placed.offsets is None:
        return None
    return {
        s: (start, stop, offset)
        for block, offset in zip(placed.blocks, placed.offsets, strict=True)
        for s, (start, stop) in block.members
    }


def _rows(lists: Any) -> Array:
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


def _flat(lists: Any) -> Array:
    return np.array([x for each in lists for x in each], dtype=np.int64)


UNPLACED = (Status.UNKNOWN, "no place was found for what must stay in the scratchpad")
"""What to answer where `flatten` gives None."""
