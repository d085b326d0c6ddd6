"""Orders that follow from the shape of the graph alone, sizes unseen."""

from __future__ import annotations

import heapq
from collections import deque

from memplan.problem.problem import Problem


def program(problem: Problem) -> tuple[int, ...]:
    """The graph's own order."""
    return tuple(range(problem.n))


def breadth_first(problem: Problem) -> tuple[int, ...]:
    """Ops as they become ready, first come first served (Kahn's algorithm)."""
    waits = [len(p) for p in problem.preds]
    ready = deque(i for i, count in enumerate(waits) if count == 0)
    order = []
    while ready:
        i = ready.popleft()
        order.append(i)
        for j in problem.succs[i]:
            waits[j] -= 1
            if waits[j] == 0:
                ready.append(j)
    return tuple(order)


def depth_first(problem: Problem) -> tuple[int, ...]:
    """Ops as they become ready, the latest first; siblings in program order."""
    waits = [len(p) for p in problem.preds]
    ready = [i for i, count in enumerate(waits) if count == 0]
    ready.reverse()
    order = []
    while ready:
        i = ready.pop()
        order.append(i)
        for j in reversed(problem.succs[i]):
            waits[j] -= 1
            if waits[j] == 0:
                ready.append(j)
    return tuple(order)


def reverse_post_order(problem: Problem) -> tuple[int, ...]:
    """Demand-driven: each output's ancestors, the longest chain of them first, then the op itself."""
    depth = [0] * problem.n
    for i in range(problem.n):
        depth[i] = 1 + max((depth[p] for p in problem.preds[i]), default=0)
    done = [False] * problem.n
    order: list[int] = []
    sinks = [i for i in range(problem.n) if not problem.succs[i]]
    for sink in sinks:
        stack = [(sink, iter(_deepest_first(problem, depth, sink)))]
        while stack:
            i, sources = stack[-1]
            source = next((p for p in sources if not done[p]), None)
            if source is not None:
                stack.append((source, iter(_deepest_first(problem, depth, source))))
                continue
            stack.pop()
            if not done[i]:
                done[i] = True
                order.append(i)
    return tuple(order)


def _deepest_first(problem: Problem, depth: list[int], i: int) -> list[int]:
    return heapq.nsmallest(len(problem.preds[i]), problem.preds[i], key=lambda p: (-depth[p], p))
