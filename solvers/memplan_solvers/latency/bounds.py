"""Closed lower bounds on latency, for one order and for all.

Let the *least* time of an op be its time with as much of its operands in the scratchpad as the capacity
holds, the rest in host. Every input and weight that is not the caller's or pinned crosses the bus once
before it has first been used: it is loaded, and the op waits for the load, or the op reads it in host, while
a load of it may be under way. Every output crosses once after the op that produces it began: it is stored, or
written to host. None of this depends on when copies are issued, in which order, or in how many queues.
"""

from __future__ import annotations

import numpy as np

from memplan.problem.problem import Problem
from memplan_solvers.common.arrays import Floats
from memplan_solvers.latency.arrays import LatencyArrays


def closed_bound(problem: Problem, timed: LatencyArrays) -> float:
    """Seconds no plan of the problem stays below; O(n + touches)."""
    least = least_times(problem, timed)
    come, go = _crossings(timed)
    together = float(come.sum() + go.sum() + timed.base_host.sum())
    anywhere = max(float(least.sum()), together, problem.free_bound)
    if problem.options.order == "free":
        return anywhere
    return max(anywhere, _prefix_bound(timed, least, come, go))


def _prefix_bound(timed: LatencyArrays, least: Floats, come: Floats, go: Floats) -> float:
    """For the program order: what must have crossed by the end of a prefix, and what must after it.

    Splits the steps in two at every place: the first part takes its ops or its crossings, whichever
    is longer, and so does the second.
    """
    before = np.concatenate(([0.0], np.cumsum(least)))
    arrived = np.concatenate(([0.0], np.cumsum(come + timed.base_host)))
    head = np.maximum(before, arrived)
    for t in range(timed.n):
        head[t + 1] = max(head[t + 1], head[t] + least[t])
    after = np.concatenate((np.cumsum(least[::-1])[::-1], [0.0]))
    left = np.concatenate((np.cumsum((go + timed.base_host)[::-1])[::-1], [0.0]))
    tail = np.maximum(after, left)
    for t in range(timed.n - 1, -1, -1):
        tail[t] = max(tail[t], tail[t + 1] + least[t])
    return float((head + tail).max())


def least_times(problem: Problem, timed: LatencyArrays) -> Floats:
    """Per op, its least time under the capacity, float64[n].

    The best use of the scratchpad for one op alone is fractional: bytes in it save the same time whosever
    they are (per aligned byte at most 1/B_host - 1/B_scratchpad). What may be written over an operand takes none.
    """
    saved = timed.copy - timed.pad
    over = {t: written for t, (written, _) in problem.overwriting.items()}
    times = np.empty(timed.n)
    for t in range(timed.n):
        touched = timed.op_touch[timed.op_row[t] : timed.op_row[t + 1]]
        host = timed.base_host[t] + timed.copy[touched].sum()
        free_bytes, gain = timed.capacity, 0.0
        sizes = {int(s): 0 if s == over.get(int(timed.order[t])) else int(timed.size[s]) for s in touched}
        rate = [(-saved[s] / size if size else -np.inf, s) for s, size in sizes.items()]
        for _, s in sorted(rate):
            share = min(1.0, free_bytes / sizes[s]) if sizes[s] else 1.0
            gain += share * saved[s]
            free_bytes -= int(share * sizes[s])
        times[t] = max(timed.compute[t], host - gain) + timed.overhead
    return times


def _crossings(timed: LatencyArrays) -> tuple[Floats, Floats]:
    """Bus seconds that must have come by the end of each step, and that must go after its start, float64[n] each."""
    come, go = np.zeros(timed.n), np.zeros(timed.n)
    for s in range(len(timed.size)):
        if timed.fixed[s] >= 0:
            continue  # the caller's, or accounted for by nobody
        if timed.producer[s] < 0:
            come[timed.touch[timed.touch_row[s]]] += timed.copy[s]
        elif timed.output[s]:
            go[timed.producer[s]] += timed.copy[s]
    return come, go
