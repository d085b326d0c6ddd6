"""Ops in an order that respects their dependencies."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from memplan.base.errors import GraphError
from memplan.ir.parts import Op


def sort_ops(ops: list[Op], available: set[str]) -> list[Op]:
    """`ops` in the dependency-respecting order closest to the given one; linear but for a heap.

    An op depends on those that write what it reads, and on those that it is `after`. `available` are the tensors no op
    has to write. GraphError names an op on a cycle.
    """
    writer = {name: i for i, op in enumerate(ops) for name in op.outputs}
    number = {op.name: i for i, op in enumerate(ops)}
    waits = [0] * len(ops)
    readers: dict[int, list[int]] = {}
    for i, op in enumerate(ops):
        sources = {writer[n] for n in op.inputs if n in writer and n not in available}
        sources |= {number[name] for name in op.after}
        waits[i] = len(sources)
        for source in sources:
            readers.setdefault(source, []).append(i)
    heap = [i for i, count in enumerate(waits) if count == 0]
    order: list[Op] = []
    while heap:
        i = heapq.heappop(heap)
        order.append(ops[i])
        for reader in readers.get(i, ()):
            waits[reader] -= 1
            if waits[reader] == 0:
                heapq.heappush(heap, reader)
    if len(order) < len(ops):
        stuck = next(op for op, count in zip(ops, waits, strict=True) if count)
        raise GraphError(
            f"op '{stuck.name}' depends on itself: the graph has a cycle",
            "break the cycle; recurrences belong inside Loop or Scan",
        )
    return order


def precedes(preds: Sequence[Sequence[int]], j: int, i: int) -> bool:
    """Whether op `j`, which stands before op `i` in the program, comes before it in every order."""
    todo, seen = [i], {i}
    while todo:
        for k in preds[todo.pop()]:
            if k == j:
                return True
            if k > j and k not in seen:
                seen.add(k)
                todo.append(k)
    return False
