"""Cells found by search, and randomly wired networks: where the order of ops matters most."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe


def separable(b: Builder, x: str, channels: int, kernel: int, stride: int) -> str:
    """Twice Relu, depthwise and pointwise convolution, as NASNet and DARTS use it."""
    for step in (stride, 1):
        c = int(b.shape[x][1])
        y = b.conv(b.relu(x), c, kernel, step, groups=c, bias=False)
        x = b.conv(y, channels, 1)
    return x


def squeeze_size(b: Builder, x: str, channels: int) -> str:
    """Factorised reduction: two stride-2 paths, the second shifted by one pixel."""
    x = b.relu(x)
    shifted = b.slice(b.slice(x, 1, 2), 1, 3)
    shifted = b.op("Pad", [shifted, b.const("pads", [0, 0, 0, 0, 0, 0, 1, 1], np.int64)], b.shape[x])
    return b.concat([b.conv(x, channels // 2, 1, 2), b.conv(shifted, channels - channels // 2, 1, 2)])


def fit(b: Builder, x: str, channels: int, like: str) -> str:
    """`x` with `channels` channels and the image size of `like`."""
    if b.shape[x][2] != b.shape[like][2]:
        return squeeze_size(b, x, channels)
    return b.conv(b.relu(x), channels, 1)


def nasnet_mobile() -> onnx.ModelProto:
    """NASNet-A (4 @ 1056): normal and reduction cells of the paper's figure 4."""
    b = Builder("nasnet_a_mobile")
    f = 44

    def normal(h: str, p: str, c: int) -> str:
        p, h = fit(b, p, c, h), b.conv(b.relu(h), c, 1)
        return b.concat([
            p,
            b.add(separable(b, h, c, 3, 1), h),
            b.add(separable(b, p, c, 3, 1), separable(b, h, c, 5, 1)),
            b.add(b.pool("Average", h, 3, 1, 1), p),
            b.add(b.pool("Average", p, 3, 1, 1), b.pool("Average", p, 3, 1, 1)),
            b.add(separable(b, p, c, 5, 1), separable(b, p, c, 3, 1)),
        ])  # fmt: skip

    def reduction(h: str, p: str, c: int) -> str:
        p, h = fit(b, p, c, h), b.conv(b.relu(h), c, 1)
        first = b.add(separable(b, p, c, 7, 2), separable(b, h, c, 5, 2))
        second = b.add(b.pool("Max", h, 3, 2, 1), separable(b, p, c, 7, 2))
        third = b.add(b.pool("Average", h, 3, 2, 1), separable(b, p, c, 5, 2))
        fourth = b.add(b.pool("Max", h, 3, 2, 1), separable(b, first, c, 3, 1))
        fifth = b.add(b.pool("Average", first, 3, 1, 1), second)
        return b.concat([second, third, fourth, fifth])

    before = now = b.conv(b.input("image", (BATCH, 3, 224, 224)), 32, 3, 2)
    plan: list[tuple[Callable[[str, str, int], str], int]] = [(reduction, f // 4), (reduction, f // 2)]
    plan += [(normal, f)] * 4 + [(reduction, 2 * f)] + [(normal, 2 * f)] * 4
    plan += [(reduction, 4 * f)] + [(normal, 4 * f)] * 4
    for i, (cell, channels) in enumerate(plan):
        with b.scope(f"cell{i}"):
            before, now = now, cell(now, before, channels)
    return b.finish(logits=b.classifier(b.relu(now), 1000))


DARTS_NORMAL = (("sep", 0), ("sep", 1), ("sep", 0), ("sep", 1), ("sep", 1), ("skip", 0), ("skip", 0),
                ("dil", 2))  # fmt: skip
DARTS_REDUCE = (("max", 0), ("max", 1), ("skip", 2), ("max", 1), ("max", 0), ("skip", 2), ("skip", 2),
                ("max", 1))  # fmt: skip
"""The published second-order cells: two (op, input) per intermediate node; 0 and 1 are the cell's inputs."""


def darts() -> onnx.ModelProto:
    """DARTS (second order) for ImageNet: 14 cells, 48 channels."""
    b = Builder("darts_imagenet")

    def edge(kind: str, x: str, c: int, stride: int) -> str:
        if kind == "sep":
            return separable(b, x, c, 3, stride)
        if kind == "dil":
            y = b.conv(b.relu(x), c, 3, stride, pad=2, groups=c, dilation=2, bias=False)
            return b.conv(y, c, 1)
        if kind == "max":
            return b.pool("Max", x, 3, stride, 1)
        return x if stride == 1 else squeeze_size(b, x, c)

    image = b.input("image", (BATCH, 3, 224, 224))
    before = b.conv(b.conv_relu(image, 24, 3, 2), 48, 3, 2)
    now = b.conv(b.relu(before), 48, 3, 2)
    c = 48
    for i in range(14):
        reduce = i in (14 // 3, 2 * 14 // 3)
        c *= 1 + reduce
        with b.scope(f"cell{i}"):
            states = [fit(b, before, c, now), b.conv(b.relu(now), c, 1)]
            genes = DARTS_REDUCE if reduce else DARTS_NORMAL
            for left, right in zip(genes[::2], genes[1::2], strict=True):
                ends = [edge(kind, states[j], c, 2 if reduce and j < 2 else 1) for kind, j in (left, right)]
                states.append(b.add(*ends))
            before, now = now, b.concat(states[2:])
    return b.finish(logits=b.classifier(now, 1000))


def watts_strogatz(n: int, k: int, p: float, seed: int) -> list[set[int]]:
    """Predecessors per node of a Watts-Strogatz graph whose edges point from low to high numbers."""
    draw = random.Random(seed).random
    edges = {frozenset((v, (v + d) % n)) for d in range(1, k // 2 + 1) for v in range(n)}
    for d in range(1, k // 2 + 1):
        for v in range(n):
            if draw() < p:
                free = [u for u in range(n) if u != v and frozenset((u, v)) not in edges]
                edges.discard(frozenset((v, (v + d) % n)))
                edges.add(frozenset((v, free[int(draw() * len(free))])))
    preds: list[set[int]] = [set() for _ in range(n)]
    for low, high in map(sorted, edges):
        preds[high].add(low)
    return preds


def randwire() -> onnx.ModelProto:
    """RandWire-WS(4, 0.75), small regime: three random stages of 32 nodes, 78 channels."""
    b = Builder("randwire_ws_small")
    c = 78
    x = b.conv(b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), c // 2, 3, 2), c, 3, 2)
    for stage in range(3):
        preds = watts_strogatz(32, 4, 0.75, seed=stage)
        outs: list[str] = []
        for v, sources in enumerate(preds):
            with b.scope(f"stage{stage + 3}.{v}"):
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
        ends = [outs[v] for v in range(32) if v not in read]
        x = b.op("Mean", ends, b.shape[ends[0]]) if len(ends) > 1 else ends[0]
    return b.finish(logits=b.classifier(b.conv_relu(x, 1280, 1), 1000))


RECIPES = (
    Recipe("nasnet_a_mobile", "nas", "float32", "Zoph et al. 2017, arXiv 1707.07012",
           "NASNet-A (4 @ 1056), 224 px: searched cells", nasnet_mobile),
    Recipe("darts_imagenet", "nas", "float32", "Liu et al. 2018, arXiv 1806.09055",
           "DARTS second order, 14 cells, 224 px", darts),
    Recipe("randwire_ws_small", "nas", "float32", "Xie et al. 2019, arXiv 1904.01569",
           "RandWire-WS(4, 0.75) small, 224 px: randomly wired stages", randwire),
)  # fmt: skip
