"""RandWire graphs of any seed (Xie et al. 2019, arXiv 1904.01569), int8 at 224 px, as planning sees them."""

from __future__ import annotations

from memplan_models.recipes.randwire import watts_strogatz

from memplan.ir.graph import Graph, Op, Tensor
from tests.graphs import graph_of


def randwire(seed: int, stages: int = 3, nodes: int = 32, channels: int = 78, raw: bool = False) -> Graph:
    """Random stages of `nodes` nodes: a weighted sum, a ReLU of its own where `raw`, a separable convolution."""
    tensors = [Tensor("image", 3 * 224 * 224, "input")]
    ops: list[Op] = []

    def op(name: str, kind: str, inputs: list[str], nbytes: int, weight: int = 0) -> str:
        if weight:
            tensors.append(Tensor(f"{name}.w", weight, "constant"))
            inputs = [*inputs, f"{name}.w"]
        tensors.append(Tensor(f"{name}.out", nbytes))
        ops.append(Op(name, kind, tuple(inputs), (f"{name}.out",)))
        return f"{name}.out"

    c, side = channels, 56
    x = op("stem0", "Conv", ["image"], c // 2 * 112 * 112, 27 * c // 2)
    x = op("stem1", "Conv", [x], c * side * side, 9 * c * c // 2)
    before = c
    for stage in range(stages):
        side //= 2
        preds = watts_strogatz(nodes, 4, 0.75, seed=1000 * seed + stage)
        outs: list[str] = []
        for v, sources in enumerate(preds):
            name, area = f"s{stage}n{v}", side * side
            parts = [outs[u] for u in sorted(sources)]
            y, cin, wide = (parts[0], c, area) if parts else (x, before, 4 * area)
            if len(parts) > 1:
                y = op(f"{name}.sum", "Sum", parts, c * area)
            if raw:
                y = op(f"{name}.relu", "Relu", [y], cin * wide)
            y = op(f"{name}.dw", "Conv", [y], cin * area, 9 * cin)
            outs.append(op(f"{name}.pw", "Conv", [y], c * area, cin * c))
        read = set().union(*preds)
        ends = [outs[v] for v in range(nodes) if v not in read]
        x = op(f"s{stage}.mean", "Mean", ends, c * side * side)
        before, c = c, 2 * c
    x = op("head", "Conv", [x], 1280 * side * side, before * 1280)
    op("logits", "Gemm", [op("pool", "GlobalAveragePool", [x], 1280)], 1000, 1280 * 1000)
    tensors[-1] = Tensor("logits.out", 1000, "output")
    return graph_of(f"randwire_{nodes}_s{seed}{'_raw' if raw else ''}", tuple(tensors), tuple(ops))
