"""Lower bounds on latency where operands must be in the scratchpad: what has to be copied before each op, and after it.

No op begins before the bytes that the ops up to it need have crossed the bus, whenever and in however many
queues they were issued, and then the rest of the ops take their time; no output leaves before it is produced.
For program order the space counts
too: of what is first needed after a step, no more is there at that step, loads under way included, than its
own operands leave room for, of which one that is written over another takes none. For all orders at once, ops
with their copies are jobs of a flow shop with two machines, the bus and the processor; what no order of the
jobs stays below, by Johnson's rule, no plan does.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from memplan.problem.op_times import op_work
from memplan.problem.problem import Problem
from memplan_solvers.common.arrays import Floats

MOST_RELATED = 10_000
"""Ops up to which it is looked at who comes before whom under every order; quadratic."""


class _Jobs(NamedTuple):
    """Seconds, float64[n] each: of the op itself, of the bus for what it alone reads from host, of copies
    before and after.
    """

    run: Floats  # [op]
    bus: Floats  # [op]
    come: Floats  # [op]
    go: Floats  # [op]


def loaded_bound(problem: Problem) -> float:
    """Seconds that no plan stays below, for a timed target whose operands must be in the scratchpad."""
    if not problem.n:
        return 0.0
    free = problem.options.order == "free"
    jobs = _jobs(problem, shared=free)
    together = float(sum(part.sum() for part in (jobs.bus, jobs.come, jobs.go)))
    least = max(problem.free_bound, together)
    if not free:
        return max(least, _in_order(problem, jobs))
    least = max(least, johnson(jobs.come, jobs.run), johnson(jobs.run, jobs.go))
    return max(least, _related(problem, jobs)) if problem.n <= MOST_RELATED else least


def _jobs(problem: Problem, shared: bool) -> _Jobs:
    """The ops' seconds. A copy counts at its first use; `shared`: in equal parts at each, which holds for every order."""
    target, options, n = problem.target, problem.options, problem.n
    pad, host = target.scratchpad.bandwidth or 1.0, target.host.bandwidth or 1.0
    run, bus, come, go = (np.zeros(n) for _ in range(4))
    for i, work in enumerate(op_work(problem.graph, target, options)):
        fast = sum(nbytes for name, nbytes in work.operands.items() if name in problem.number)
        bus[i] = (sum(work.operands.values()) - fast) / host
        run[i] = max(work.compute_s, fast / pad + bus[i]) + target.compute.overhead_s
    for s in problem.storages:
        if s.resident:
            continue
        if not s.in_host:
            go[s.producer] += s.nbytes / host if s.is_output else 0.0
        elif s.is_constant and options.weights == "stream" and not s.keep:
            come[list(s.uses)] += s.nbytes / host
        elif shared:
            come[list(s.uses)] += s.nbytes / host / len(s.uses)
        else:
            come[s.uses[0]] += s.nbytes / host
    return _Jobs(run, bus, come, go)


def johnson(first: Floats, second: Floats) -> float:
    """The least time in which jobs pass a first machine and then a second one, one job at a time on each.

    `first`, `second`: seconds per job, float64[n].
    """
    early = np.flatnonzero(first < second)
    late = np.flatnonzero(first >= second)
    order = [*early[np.argsort(first[early], kind="stable")], *late[np.argsort(-second[late], kind="stable")]]
    done = 0.0
    busy = 0.0
    for i in order:
        busy += float(first[i])
        done = max(done, busy) + float(second[i])
    return done


def _in_order(problem: Problem, jobs: _Jobs) -> float:
    """For program order: `head[t]` when op t has ended at the earliest, `tail[t]` from the start of op t to the end."""
    n, host = problem.n, problem.target.host.bandwidth or 1.0
    come, bus, go = (np.concatenate(([0.0], np.cumsum(x))) for x in (jobs.come, jobs.bus, jobs.go))
    head, tail = np.zeros(n), np.zeros(n + 1)
    taken = problem.need
    before, ahead = (
        0.0,
        -np.inf,
    )  # end of the op before; latest end less what crossed by then and what fits beside it
    for t in range(n):
        crossed = come[t + 1] + bus[t]
        head[t] = before = max(before, crossed, ahead + crossed) + jobs.run[t]
        loaded_before = max(0, problem.byte_limit - taken[t]) / host
        ahead = max(ahead, before - come[t + 1] - bus[t + 1] - loaded_before)
    for t in reversed(range(n)):
        left = go[n] - go[t] + bus[n] - bus[t + 1]
        tail[t] = jobs.run[t] + max(tail[t + 1], left)
    return float(max((head + tail[1:]).max(), tail[0]))


def _related(problem: Problem, jobs: _Jobs) -> float:
    """For every order: each op waits for what it and all before it load, then it and all after it run; and
    store likewise.
    """
    n, words = problem.n, (problem.n + 7) // 8
    before = np.zeros((n, words), np.uint8)
    for i, preds in enumerate(problem.preds):
        before[i, i >> 3] |= 0x80 >> (i & 7)
        for p in preds:
            before[i] |= before[p]
    come, runs = np.zeros(n), np.zeros(n)
    follow, goes = np.zeros(n), np.zeros(n)
    for i in range(n):
        past = np.unpackbits(before[i], count=n).astype(np.bool_)
        come[i], runs[i] = jobs.come[past].sum(), jobs.run[past].sum()
        follow[past] += jobs.run[i]
        goes[past] += jobs.go[i]
    return float(max((come + follow).max(), (runs + goes).max()))
