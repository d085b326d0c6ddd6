"""XLA's memory space assignment on a fixed order without control flow, compiled.

After `xla/service/memory_space_assignment`: values in order of boundedness, each from its definition
through its uses; what was decided for a value is not revisited.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from memplan_solvers.common.arrays import NEVER, Floats, Ints, Records
from memplan_solvers.jit import borrow, inner, kernel
from memplan_solvers.latency.arrays import LatencyArrays
from memplan_solvers.latency.copy_queue import CopyQueue, dequeue_all, enqueue, fits
from memplan_solvers.latency.residency_table import (
    ResidencyTable,
    add_fixed,
    add_row,
    best_hole,
    is_free,
    remove_row,
)


class AssignmentOutcome(IntEnum):
    """How the placement of a value, or of one prefetch, ended."""

    FITS = 0  # as wished
    CROWDED = 1  # some use goes to host for lack of space
    LATE = 2  # the prefetch has no time, or no bandwidth
    FAILED = 3  # the value cannot be stored by when its place is taken


class PrefetchRatios(NamedTuple):
    """How long a copy may take, as multiples of its copy time."""

    least: float  # a prefetch has at least this to arrive
    preferred: float  # and at best this
    longest: float  # nothing is held or fetched for longer; of the copy time of the whole scratchpad


class Assignment(NamedTuple):
    """An assignment under way. Its table is empty at first, the stores are those of what is fixed."""

    arrays: LatencyArrays
    elapsed: Floats  # [n + 1], s: the ops before each step with everything in host; taken for the copy capacity too
    ratios: PrefetchRatios
    table: ResidencyTable
    stores: Records  # STORE[m]
    queue: CopyQueue


@kernel
def assign(job: Assignment, order: Ints, repacks: int) -> int:
    """Place what is fixed, then the values in `order`, int64[v]; the number of repacks used, at most `repacks`."""
    job, order = borrow(job), borrow(order)
    add_fixed(job.arrays, job.table)
    used = 0
    for i in range(len(order)):
        s = order[i]
        if not job.arrays.movable[s]:
            continue
        while True:
            outcome = place_value(job, s, True)
            if outcome == AssignmentOutcome.FITS or used >= repacks:
                break
            # Something lacked space: repack everything placed so far, and try the value once more.
            forget(job, s)
            used += 1
            if not repack(job):
                used = repacks
        if outcome == AssignmentOutcome.FAILED:
            forget(job, s)
            place_value(job, s, False)
    return used


@inner
def place_value(job: Assignment, s: int, define: bool) -> AssignmentOutcome:
    """Decide s from its definition through its uses; `define`: its definition may be in the scratchpad."""
    arrays, table, elapsed = job.arrays, job.table, job.elapsed
    first, last = arrays.touch_row[s], arrays.touch_row[s + 1]
    produced = arrays.producer[s] >= 0
    whole = job.ratios.longest * arrays.whole_copy
    host_from = 0 if not produced else NEVER  # the first step at which a load may be issued
    row, outcome = -1, AssignmentOutcome.FITS
    if produced and (not define or first + 1 == last):
        host_from = arrays.producer[s] + 1
    for k in range(first + 1 if produced else first, last):
        t = arrays.touch[k]
        before = arrays.touch[k - 1] if k > first else -1
        near = before >= 0 and elapsed[t] - elapsed[before + 1] < whole and not arrays.streamed[s]
        if near and row >= 0:
            held = table.rows[row]
            if is_free(arrays, table, held.offset, arrays.size[s], held.stop, t + 1):
                held.stop = t + 1
                continue
            outcome = AssignmentOutcome.CROWDED
        elif near and host_from == NEVER:  # produced, and not yet placed
            offset = _lasting_hole(job, s, before, k)
            if offset >= 0:
                row = add_row(table, s, before, t + 1, offset)
                continue
            outcome = AssignmentOutcome.CROWDED
        if row >= 0 and host_from == NEVER:
            due = evict(job, s, row, t)
            if due < 0:
                return AssignmentOutcome.FAILED
            host_from = due + 1
        elif host_from == NEVER:
            host_from = arrays.producer[s] + 1
        fetched, row = prefetch(job, s, k, max(host_from, before + 1))
        if fetched == AssignmentOutcome.CROWDED:
            outcome = AssignmentOutcome.CROWDED
    if row >= 0 and host_from == NEVER and arrays.output[s] and evict(job, s, row, arrays.n) < 0:
        return AssignmentOutcome.FAILED
    return outcome


@inner
def _lasting_hole(job: Assignment, s: int, start: int, k: int) -> int:
    """A hole from `start` through touch k that stays free until the farthest later touch possible, or -1."""
    arrays = job.arrays
    for far in range(arrays.touch_row[s + 1] - 1, k - 1, -1):
        if far > k and arrays.streamed[s]:
            continue
        offset = best_hole(arrays, job.table, arrays.size[s], start, arrays.touch[far] + 1)
        if offset >= 0:
            return int(offset)
    return -1


@inner
def evict(job: Assignment, s: int, row: int, limit: int) -> int:
    """Store s, resident in `row` since its production, by step `limit` at most; the due step or -1.

    The copy begins with the residency. Its preferred end is the first step whose elapsed time is the preferred ratio
    × the copy time, shrunk until the place stays free and the queue has the capacity.
    """
    arrays, elapsed, held = job.arrays, job.elapsed, job.table.rows[row]
    issue, stop, copy = held.start, held.stop, arrays.copy[s]
    latest = issue + 1
    while latest < limit and elapsed[latest] - elapsed[issue + 1] < job.ratios.preferred * copy:
        latest += 1
    for due in range(latest, issue, -1):
        if due > stop and not is_free(arrays, job.table, held.offset, arrays.size[s], stop, due):
            continue
        if fits(job.queue, elapsed, 2 * issue + 1, due, copy):
            enqueue(job.queue, elapsed, 2 * issue + 1, due, copy, s)
            held.stop = max(stop, due)
            job.stores[s].issue, job.stores[s].due = issue, due
            return due
    return -1


@inner
def prefetch(job: Assignment, s: int, k: int, earliest: int) -> tuple[AssignmentOutcome, int]:
    """Load s for its touch k from step `earliest` on: FITS and the row, or LATE or CROWDED and -1."""
    arrays, elapsed, ratios = job.arrays, job.elapsed, job.ratios
    use, copy = arrays.touch[k], arrays.copy[s]
    longest = ratios.longest * arrays.whole_copy
    while earliest <= use and elapsed[use] - elapsed[earliest] > longest:
        earliest += 1
    latest = use
    while latest >= earliest and elapsed[use] - elapsed[latest] < ratios.least * copy:
        latest -= 1
    if latest < earliest:
        return AssignmentOutcome.LATE, -1
    best = latest
    while best > earliest and abs(elapsed[use] - elapsed[best - 1] - ratios.preferred * copy) <= abs(
        elapsed[use] - elapsed[best] - ratios.preferred * copy
    ):
        best -= 1
    outcome = AssignmentOutcome.LATE
    for d in range(2 * (latest - earliest) + 2):  # best, best + 1, best - 1, …
        start = best + (d + 1) // 2 if d % 2 else best - d // 2
        if start < earliest or start > latest or not fits(job.queue, elapsed, 2 * start, use, copy):
            continue
        offset = _lasting_hole(job, s, start, k)
        if offset < 0:
            outcome = AssignmentOutcome.CROWDED
            continue
        enqueue(job.queue, elapsed, 2 * start, use, copy, s)
        return AssignmentOutcome.FITS, add_row(job.table, s, start, use + 1, offset)
    return outcome, -1


@inner
def forget(job: Assignment, s: int) -> None:
    """Take all of s out of the layout."""
    for r in range(job.table.used[0] - 1, -1, -1):
        if job.table.rows[r].storage == s:
            remove_row(job.table, r)
    job.stores[s].issue = job.stores[s].due = -1
    dequeue_all(job.queue, job.elapsed, s)


@inner
def repack(job: Assignment) -> bool:
    """Place every free residency anew, longest first, then largest, each best fit; False if one does not fit."""
    arrays, table = job.arrays, job.table
    count = table.used[0]
    before = table.rows[:count].copy()
    key = np.empty(count)
    top = float(arrays.size.max()) + 1.0
    for r in range(count):
        s = before[r].storage
        key[r] = -(before[r].stop - before[r].start) - arrays.size[s] / top
        if arrays.fixed[s] >= 0:
            key[r] = -np.inf
    table.used[0] = 0
    for r in np.argsort(key, kind="mergesort"):
        s, start, stop, offset = before[r].storage, before[r].start, before[r].stop, before[r].offset
        if arrays.fixed[s] < 0:
            offset = best_hole(arrays, table, arrays.size[s], start, stop)
        if offset < 0:
            table.used[0] = 0
            for row in before:
                add_row(table, row.storage, row.start, row.stop, row.offset)
            return False
        add_row(table, s, start, stop, offset)
    return True
