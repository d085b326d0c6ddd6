"""Randomly wired stages: a small-world graph of equal ops, each writing one unit, with one source and one sink."""

from __future__ import annotations

import random

from memplan.ir.graph import Graph, Op, Tensor
from tests.graphs import graph_of


def stage(seed: int, nodes: int = 32, neighbours: int = 4, rewired: float = 0.75, stages: int = 1) -> Graph:
    """`stages` Watts-Strogatz graphs in a row, edges directed by number; every op adds up what it reads."""
    rng = random.Random(seed)
    tensors, ops = [Tensor("in", 1, "input")], []
    previous = "in"
    for k in range(stages):
        edges = _small_world(rng, nodes, neighbours, rewired)
        reads = {j: sorted({i for i, x in edges if x == j}) for j in range(nodes)}
        ops.append(Op(f"s{k}.source", "Sum", (previous,), (f"s{k}.first",)))
        for j in range(nodes):
            inputs = tuple(f"s{k}.{i}" for i in reads[j]) or (f"s{k}.first",)
            ops.append(Op(f"s{k}.op{j}", "Sum", inputs, (f"s{k}.{j}",)))
        used = {i for i, _ in edges}
        ends = tuple(f"s{k}.{j}" for j in range(nodes) if j not in used)
        ops.append(Op(f"s{k}.sink", "Mean", ends, (f"s{k}.last",)))
        tensors += [Tensor(f"s{k}.{x}", 1) for x in ("first", *range(nodes), "last")]
        previous = f"s{k}.last"
    tensors[-1] = Tensor(previous, 1, "output")
    return graph_of(f"stage{seed}", tuple(tensors), tuple(ops))


def _small_world(rng: random.Random, n: int, k: int, p: float) -> set[tuple[int, int]]:
    """Edges (i, j), i < j, of a ring lattice some of whose edges were rewired (Watts and Strogatz 1998)."""
    near = {i: {(i + d) % n for d in range(1, k // 2 + 1)} for i in range(n)}
    linked = {frozenset((i, j)) for i in near for j in near[i]}
    for d in range(1, k // 2 + 1):
        for i in range(n):
            j = (i + d) % n
            if rng.random() < p:
                choices = [x for x in range(n) if x != i and frozenset((i, x)) not in linked]
                if choices:
                    linked.discard(frozenset((i, j)))
                    linked.add(frozenset((i, rng.choice(choices))))
    return {(min(e), max(e)) for e in linked}
