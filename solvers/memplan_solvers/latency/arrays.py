"""A latency problem in one order of its ops as flat arrays: what every compiled routine of this package reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from memplan.problem.op_times import op_work
from memplan.problem.plan import Status
from memplan.problem.problem import Problem
from memplan.solving.limits import Limits
from memplan_solvers.common.arrays import Flags, Floats, Ints, Records, record
from memplan_solvers.place import place
from memplan_solvers.residency import Stretch, Walk

RESIDENCY = record(
    [
        ("storage", np.int64),
        ("start", np.int64),  # first step
        ("stop", np.int64),  # the step after its last
        ("offset", np.int64),  # bytes
    ]
)

STORE = record(
    [
        ("issue", np.int64),  # the step after which the copy may begin, -1 where there is no store
        ("due", np.int64),  # the step before which it is done, -1 likewise
    ]
)


class FixedStretch(NamedTuple):
    """Where and when a storage stays in the scratchpad."""

    start: int  # first step
    stop: int  # the step after its last
    offset: int  # bytes
    source: int = -1  # the storage that it is written over in place, or -1


class LatencyArrays(NamedTuple):
    """A latency problem in one order of its ops. Times are in seconds.

    Fixed storages (the caller's buffers, what is pinned to keep) lie at one offset all the time; only those that are
    movable are anybody's choice. One pinned to an offset without being kept is served from host.
    """

    n: int  # steps
    order: Ints  # [n], op by step
    capacity: int  # bytes of the scratchpad
    alignment: int  # bytes
    queues: int  # of copies: 1, or 2 (loads and stores apart)
    overhead: float  # of each op
    whole_copy: float  # to copy the whole scratchpad
    compute: Floats  # [n], without overhead
    base_host: Floats  # [n], host time of what is no storage
    size: Ints  # [m], aligned bytes
    copy: Floats  # [m], how long a copy keeps the bus busy
    host: Floats  # [m], how long an access in host does; where ops use the scratchpad alone, longer than any plan takes
    pad: Floats  # [m], of an access in the scratchpad
    producer: Ints  # [m], step, -1 for inputs and constants
    output: Flags  # [m], whether it must be in host in the end
    streamed: Flags  # [m], whether a residency serves one use
    movable: Flags  # [m]
    fixed: Ints  # [m], offset in bytes, -1 where it is not fixed
    fixed_span: Ints  # [m, 2], steps start and stop of what is fixed
    given: Flags  # [m], whether it is the caller's buffer, there without a load
    touch_row: Ints  # [m + 1], touches touch_row[s] … touch_row[s + 1] - 1 are those of storage s
    touch: Ints  # [k], step, ascending for each storage
    op_row: Ints  # [n + 1], rows op_row[t] … op_row[t + 1] - 1 of `op_touch` are those of step t
    op_touch: Ints  # [k], storage: read, then written, by the op
    over: Ints  # [m], the storage it may be written over in place, and is if both are fixed, or -1


def make_arrays(problem: Problem, limits: Limits, order: Sequence[int] | None = None) -> LatencyArrays | None:
    """The problem's arrays in this order, op numbers by step, else in the program's.

    None if what must stay in the scratchpad could not be placed.
    """
    walk = Walk(problem, tuple(range(problem.n) if order is None else order))
    fixed = _fixed(walk, limits)
    return None if fixed is None else arrays_of(walk, fixed)


def arrays_of(walk: Walk, fixed: Mapping[int, FixedStretch]) -> LatencyArrays:
    """The arrays of a problem in an order, in which these storages are fixed."""
    problem = walk.problem
    storages, graph, target = problem.storages, problem.graph, problem.target
    m, n = len(storages), problem.n
    host, pad = target.host.bandwidth or 1.0, target.scratchpad.bandwidth or 1.0
    capacity = max(1, problem.byte_limit)
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
    every, step = op_work(graph, target, problem.options), np.argsort(walk.order)
    work = [every[i] for i in walk.order]
    base = [sum(b for name, b in w.operands.items() if name not in problem.number) for w in work]
    by_step = [(*problem.reads[i], *problem.writes[i]) for i in walk.order]
    found = LatencyArrays(
        n=n,
        order=np.array(walk.order, dtype=np.int64),
        capacity=capacity,
        alignment=target.scratchpad.alignment,
        queues=target.queues,
        overhead=target.compute.overhead_s,
        whole_copy=capacity / host,
        compute=np.array([w.compute_s for w in work], dtype=np.float64),
        base_host=np.array(base, dtype=np.float64) / host,
        size=size,
        copy=nbytes / host,
        host=nbytes / host,
        pad=nbytes / pad,
        producer=np.array([step[s.producer] if s.producer >= 0 else -1 for s in storages], dtype=np.int64),
        output=np.array([s.is_output and not s.in_host for s in storages], dtype=np.bool_) & ~resident,
        streamed=np.array([s.is_constant for s in storages], dtype=np.bool_)
        & (problem.options.weights == "stream"),
        movable=movable,
        fixed=offsets,
        fixed_span=spans,
        given=resident,
        touch_row=_rows(walk.steps),
        touch=_flat(walk.steps),
        op_row=_rows(by_step),
        op_touch=_flat(by_step),
        over=over,
    )
    return found if target.direct else found._replace(host=np.full(m, _longest(found)))


def _longest(arrays: LatencyArrays) -> float:
    """Seconds that no plan takes longer than: whatever an op touches is loaded for it, and stored after it."""
    touched = np.repeat(3 * arrays.copy + arrays.pad, np.diff(arrays.touch_row))
    return float((arrays.compute + arrays.base_host + arrays.overhead).sum() + touched.sum())


def _fixed(walk: Walk, limits: Limits) -> dict[int, FixedStretch] | None:
    """What stays in the scratchpad; None if it was not placed."""
    stretches: list[list[Stretch]] = [
        spans if s.pinned else [] for spans, s in zip(walk.whole, walk.problem.storages, strict=True)
    ]
    placed = place(walk, stretches, walk.problem.capacity, limits)
    if placed.offsets is None:
        return None
    fixed = {}
    for block, offset in zip(placed.blocks, placed.offsets, strict=True):
        source = -1
        for s, (start, stop) in block.members:
            fixed[s] = FixedStretch(start, stop, int(offset), source)
            source = s
    return fixed


def no_stores(arrays: LatencyArrays) -> Records:
    """A store for each storage, STORE[m], none of which happens."""
    return np.full(len(arrays.size), np.array((-1, -1), STORE))


def stores_of_fixed(arrays: LatencyArrays) -> Records:
    """Stores with which every layout begins, STORE[m]: of kept outputs."""
    stores = no_stores(arrays)
    for s in np.flatnonzero(arrays.output & (arrays.fixed >= 0)):
        stores[s] = arrays.producer[s], arrays.fixed_span[s, 1]
    return stores


def fixed_pairs(arrays: LatencyArrays) -> dict[int, int]:
    """Storage written over, by the storage that does, among what is fixed."""
    both = np.flatnonzero((arrays.fixed >= 0) & (arrays.over >= 0))
    return {int(s): int(arrays.over[s]) for s in both}


def _rows(lists: Sequence[Sequence[int]]) -> Ints:
    return np.cumsum([0, *map(len, lists)], dtype=np.int64)


def _flat(lists: Iterable[Sequence[int]]) -> Ints:
    return np.array([x for each in lists for x in each], dtype=np.int64)


UNPLACED = (Status.UNKNOWN, "no place was found for what must stay in the scratchpad")
"""What to answer where `make_arrays` gives None."""
