"""Randomly wired networks (Xie et al. 2019): stages whose edges a random graph model draws."""

from __future__ import annotations

import random
from collections.abc import Sequence

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe

Wiring = list[set[int]]
"""Predecessors per node; edges point from low to high numbers."""


def watts_strogatz(n: int, k: int, p: float, seed: int) -> Wiring:
    """Predecessors per node of a Watts-Strogatz graph whose edges point from low to high numbers."""
    draw = random.Random(seed).random
    edges = {frozenset((v, (v + d) % n)) for d in range(1, k // 2 + 1) for v in range(n)}
    for d in range(1, k // 2 + 1):
        for v in range(n):
            if draw() < p:
                free = [u for u in range(n) if u != v and frozenset((u, v)) not in edges]
                edges.discard(frozenset((v, (v + d) % n)))
                edges.add(frozenset((v, free[int(draw() * len(free))])))
    preds: Wiring = [set() for _ in range(n)]
    for low, high in map(sorted, edges):
        preds[high].add(low)
    return preds


def erdos_renyi(n: int, p: float, seed: int) -> Wiring:
    """Every pair of nodes is joined with probability p."""
    draw = random.Random(seed).random
    return [{u for u in range(v) if draw() < p} for v in range(n)]


def barabasi_albert(n: int, m: int, seed: int) -> Wiring:
    """m nodes to begin with; each further node joins m others, drawn in proportion to their degree."""
    rng = random.Random(seed)
    preds: Wiring = [set() for _ in range(m)]
    ends: list[int] = []
    for v in range(m, n):
        chosen: set[int] = set()
        while len(chosen) < m:
            chosen.add(rng.choice(ends) if ends else len(chosen))
        preds.append(chosen)
        ends += [*sorted(chosen), *[v] * m]
    return preds


def _randwire(name: str, wirings: Sequence[Wiring], c: int) -> onnx.ModelProto:
    """Three random stages of width c, 2 c, 4 c after two convolutions (the paper's small regime), or four of
    c to 8 c after one (its regular regime)."""
    b = Builder(name)
    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), c // 2, 3, 2)
    if len(wirings) == 3:
        x = b.conv(x, c, 3, 2)
    for stage, preds in enumerate(wirings):
        outs: list[str] = []
        for v, sources in enumerate(preds):
            with b.scope(f"stage{stage + 6 - len(wirings)}.{v}"):
                parts = [outs[u] for u in sorted(sources)]
                if len(parts) > 1:
                    parts = [b.mul(y, b.weight("edge", (1,))) for y in parts]
                    y = b.op("Sum", parts, b.shape[parts[0]])
                else:
                    y = parts[0] if parts else x
                cin = int(b.shape[y][1])
                y = b.conv(b.relu(y), cin, 3, 1 if parts else 2, groups=cin, bias=False)
                outs.append(b.conv(y, c << stage, 1))
        read = set().union(*preds)
        ends = [outs[v] for v in range(len(preds)) if v not in read]
        x = b.op("Mean", ends, b.shape[ends[0]]) if len(ends) > 1 else ends[0]
    return b.finish(logits=b.classifier(b.conv_relu(x, 1280, 1), 1000))


def randwire_ws() -> onnx.ModelProto:
    """WS(4, 0.75), small regime: three stages of 32 nodes, 78 channels."""
    return _randwire("randwire_ws_small", [watts_strogatz(32, 4, 0.75, s) for s in range(3)], 78)


def randwire_ws_second() -> onnx.ModelProto:
    """The same from other seeds."""
    return _randwire("randwire_ws_small_b", [watts_strogatz(32, 4, 0.75, s) for s in range(3, 6)], 78)


def randwire_er() -> onnx.ModelProto:
    """ER(0.2), small regime."""
    return _randwire("randwire_er_small", [erdos_renyi(32, 0.2, s) for s in range(3)], 78)


def randwire_ba() -> onnx.ModelProto:
    """BA(5), small regime."""
    return _randwire("randwire_ba_small", [barabasi_albert(32, 5, s) for s in range(3)], 78)


def randwire_ws_regular() -> onnx.ModelProto:
    """WS(4, 0.75), regular regime: stages of 16, 32, 32, 32 nodes, 109 channels."""
    wirings = [watts_strogatz(16 if s == 0 else 32, 4, 0.75, s) for s in range(4)]
    return _randwire("randwire_ws_regular", wirings, 109)


PAPER = "Xie et al. 2019, arXiv 1904.01569"
RECIPES = (
    Recipe("randwire_ws_small", "nas", "float32", PAPER,
           "RandWire-WS(4, 0.75) small, 224 px: randomly wired stages", randwire_ws),
    Recipe("randwire_ws_small_b", "nas", "float32", PAPER,
           "RandWire-WS(4, 0.75) small, 224 px, wired from other seeds", randwire_ws_second),
    Recipe("randwire_er_small", "nas", "float32", PAPER,
           "RandWire-ER(0.2) small, 224 px: every pair wired by chance", randwire_er),
    Recipe("randwire_ba_small", "nas", "float32", PAPER,
           "RandWire-BA(5) small, 224 px: new nodes join busy ones", randwire_ba),
)  # fmt: skip
