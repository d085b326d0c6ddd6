"""Cells found by search,: where the order of ops matters most."""

from __future__ import annotations

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
    """NASNet-A (4 @ 1056)."""
    return _nasnet("nasnet_a_mobile", 224, 4, 44, stem=32)


def nasnet_large() -> onnx.ModelProto:
    """NASNet-A (6 @ 4032)."""
    return _nasnet("nasnet_a_large", 331, 6, 168, stem=96)


def nasnet_cifar() -> onnx.ModelProto:
    """NASNet-A (6 @ 768) for images of 32 px: no reduction before the first normal cell."""
    return _nasnet("nasnet_a_cifar", 32, 6, 32, stem=96)


def _nasnet(name: str, size: int, n: int, f: int, stem: int) -> onnx.ModelProto:
    """Normal and reduction cells of the paper's figure 4, n normal ones between reductions."""
    b = Builder(name)

    def normal(h: str, p: str, c: int) -> str:
        p, h = fit(b, p, c, h), b.conv(b.relu(h), c, 1)
        return b.concat(
            [
                p,
                b.add(separable(b, h, c, 3, 1), h),
                b.add(separable(b, p, c, 3, 1), separable(b, h, c, 5, 1)),
                b.add(b.pool("Average", h, 3, 1, 1), p),
                b.add(b.pool("Average", p, 3, 1, 1), b.pool("Average", p, 3, 1, 1)),
                b.add(separable(b, p, c, 5, 1), separable(b, p, c, 3, 1)),
            ]
        )

    def reduction(h: str, p: str, c: int) -> str:
        p, h = fit(b, p, c, h), b.conv(b.relu(h), c, 1)
        first = b.add(separable(b, p, c, 7, 2), separable(b, h, c, 5, 2))
        second = b.add(b.pool("Max", h, 3, 2, 1), separable(b, p, c, 7, 2))
        third = b.add(b.pool("Average", h, 3, 2, 1), separable(b, p, c, 5, 2))
        fourth = b.add(b.pool("Max", h, 3, 2, 1), separable(b, first, c, 3, 1))
        fifth = b.add(b.pool("Average", first, 3, 1, 1), second)
        return b.concat([second, third, fourth, fifth])

    cifar = size == 32
    before = now = b.conv(b.input("image", (BATCH, 3, size, size)), stem, 3, 1 if cifar else 2)
    plan: list[tuple[Callable[[str, str, int], str], int]] = []
    if not cifar:
        plan += [(reduction, f // 4), (reduction, f // 2)]
    plan += [(normal, f)] * n + [(reduction, 2 * f)] + [(normal, 2 * f)] * n
    plan += [(reduction, 4 * f)] + [(normal, 4 * f)] * n
    for i, (cell, channels) in enumerate(plan):
        with b.scope(f"cell{i}"):
            before, now = now, cell(now, before, channels)
    return b.finish(logits=b.classifier(b.relu(now), 10 if cifar else 1000))


DARTS_NORMAL = (
    ("sep", 0),
    ("sep", 1),
    ("sep", 0),
    ("sep", 1),
    ("sep", 1),
    ("skip", 0),
    ("skip", 0),
    ("dil", 2),
)
DARTS_REDUCE = (
    ("max", 0),
    ("max", 1),
    ("skip", 2),
    ("max", 1),
    ("max", 0),
    ("skip", 2),
    ("skip", 2),
    ("max", 1),
)
"""The published second-order cells: two (op, input) per intermediate node; 0 and 1 are the cell's inputs."""


def darts_imagenet() -> onnx.ModelProto:
    """DARTS (second order) for ImageNet: 14 cells, 48 channels."""
    b = Builder("darts_imagenet")
    image = b.input("image", (BATCH, 3, 224, 224))
    before = b.conv(b.conv_relu(image, 24, 3, 2), 48, 3, 2)
    return _darts(b, before, b.conv(b.relu(before), 48, 3, 2), 14, 48, 1000)


def darts_cifar() -> onnx.ModelProto:
    """DARTS (second order) for CIFAR-10: 20 cells, 36 channels."""
    b = Builder("darts_cifar")
    stem = b.conv(b.input("image", (BATCH, 3, 32, 32)), 108, 3)
    return _darts(b, stem, stem, 20, 36, 10)


def _darts(b: Builder, before: str, now: str, cells: int, c: int, classes: int) -> onnx.ModelProto:
    """Cells with the published edges, two of them reductions."""

    def edge(kind: str, x: str, c: int, stride: int) -> str:
        if kind == "sep":
            return separable(b, x, c, 3, stride)
        if kind == "dil":
            y = b.conv(b.relu(x), c, 3, stride, pad=2, groups=c, dilation=2, bias=False)
            return b.conv(y, c, 1)
        if kind == "max":
            return b.pool("Max", x, 3, stride, 1)
        return x if stride == 1 else squeeze_size(b, x, c)

    for i in range(cells):
        reduce = i in (cells // 3, 2 * cells // 3)
        c *= 1 + reduce
        with b.scope(f"cell{i}"):
            states = [fit(b, before, c, now), b.conv(b.relu(now), c, 1)]
            genes = DARTS_REDUCE if reduce else DARTS_NORMAL
            for left, right in zip(genes[::2], genes[1::2], strict=True):
                ends = [edge(kind, states[j], c, 2 if reduce and j < 2 else 1) for kind, j in (left, right)]
                states.append(b.add(*ends))
            before, now = now, b.concat(states[2:])
    return b.finish(logits=b.classifier(now, classes))


RECIPES = (
    Recipe("nasnet_a_mobile", "nas", "float32", "Zoph et al. 2017, arXiv 1707.07012",
           "NASNet-A (4 @ 1056), 224 px: searched cells", nasnet_mobile),
    Recipe("darts_imagenet", "nas", "float32", "Liu et al. 2018, arXiv 1806.09055",
           "DARTS second order, 14 cells, 224 px", darts_imagenet),
    Recipe("darts_cifar", "nas", "float32", "Liu et al. 2018, arXiv 1806.09055",
           "DARTS second order, 20 cells, 32 px", darts_cifar),
    Recipe("nasnet_a_cifar", "nas", "float32", "Zoph et al. 2017, arXiv 1707.07012",
           "NASNet-A (6 @ 768), 32 px", nasnet_cifar),
    Recipe("nasnet_a_large", "nas", "float32", "Zoph et al. 2017, arXiv 1707.07012",
           "NASNet-A (6 @ 4032), 331 px", nasnet_large),
)  # fmt: skip
