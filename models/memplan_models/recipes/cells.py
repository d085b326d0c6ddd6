"""Networks of searched cells that are written as tables: PNASNet-5, AmoebaNet-A and -D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.nas import separable, squeeze_size
from memplan_models.recipes.recipe import Recipe

Edges = Sequence[tuple[str, int]]


@dataclass(frozen=True)
class Genotype:
    """(operation, input) pairs, two a node; inputs 0 and 1 are those of the cell, and which nodes are kept."""

    normal: Edges
    normal_keep: Sequence[int]
    reduce: Edges
    reduce_keep: Sequence[int]


_PNAS = (
    ("sep5", 0),
    ("max3", 0),
    ("sep7", 1),
    ("max3", 1),
    ("sep5", 1),
    ("sep3", 1),
    ("sep3", 4),
    ("max3", 1),
    ("sep3", 0),
    ("skip", 1),
)
PNASNET5 = Genotype(_PNAS, (2, 3, 4, 5, 6), _PNAS, (2, 3, 4, 5, 6))
"""One cell for both purposes; input 0 is the cell before the last (Liu et al. 2017, figure 1)."""

AMOEBANET_A = Genotype(
    (("avg3", 0), ("max3", 1), ("sep3", 0), ("sep5", 2), ("sep3", 0), ("avg3", 3), ("sep3", 1), ("skip", 1),
     ("skip", 0), ("avg3", 1)), (4, 5, 6),
    (("avg3", 0), ("sep3", 1), ("max3", 0), ("sep7", 2), ("sep7", 0), ("avg3", 1), ("max3", 0), ("max3", 1),
     ("wide7", 0), ("sep3", 5)), (3, 4, 6),
)  # fmt: skip
"""Real et al. 2018, figure 5; input 0 is the cell before the last."""

AMOEBANET_D = Genotype(
    (("conv1", 1), ("max3", 1), ("skip", 1), ("thin7", 0), ("conv1", 0), ("thin7", 0), ("max3", 2), ("skip", 2),
     ("avg3", 1), ("conv1", 5)), (0, 3, 4, 6),
    (("max2", 0), ("max3", 0), ("skip", 2), ("thin3", 1), ("thin7", 2), ("max3", 2), ("skip", 3), ("max2", 1),
     ("avg3", 2), ("conv1", 3)), (4, 5, 6),
)  # fmt: skip
"""Huang et al. 2018 (GPipe): input 0 is the last cell, 1 the one before it."""


def _edge(b: Builder, kind: str, x: str, c: int, stride: int) -> str:
    """One operation of a cell, to `c` channels."""
    if kind.startswith("sep"):
        return separable(b, x, c, int(kind[3:]), stride)
    if kind in ("max3", "avg3", "max2"):
        name, size = ("Max" if kind[:3] == "max" else "Average"), int(kind[3:])
        y = b.pool(name, x, size, stride, (size - 1) // 2)
        return y if b.shape[y][1] == c else b.conv(y, c, 1)
    if kind == "skip":
        return x if stride == 1 else b.conv(b.relu(x), c, 1, stride)
    if kind == "conv1":
        return b.conv(b.relu(x), c, 1, stride)
    if kind == "wide7":
        y = b.conv(b.relu(x), c, (1, 7), (1, stride), bias=False)
        return b.conv(y, c, (7, 1), (stride, 1))
    kernels: Sequence[tuple[int, int]] = {"thin7": ((1, 7), (7, 1)), "thin3": ((3, 3),)}[kind]
    y = b.conv(b.relu(x), c // 4, 1)
    for height, width in kernels:
        step = (stride if height > 1 else 1, stride if width > 1 else 1)
        y = b.conv(b.relu(y), c // 4, (height, width), step)
    return b.conv(b.relu(y), c, 1)


def _cell(b: Builder, states: list[str], genotype: Genotype, c: int, reduce: bool) -> str:
    """The cell's kept nodes side by side."""
    edges = genotype.reduce if reduce else genotype.normal
    for left, right in zip(edges[::2], edges[1::2], strict=True):
        ends = [_edge(b, kind, states[i], c, 2 if reduce and i < 2 else 1) for kind, i in (left, right)]
        states.append(b.add(*ends))
    return b.concat([states[i] for i in (genotype.reduce_keep if reduce else genotype.normal_keep)])


def _fit(b: Builder, x: str, like: str, c: int, lazy: bool) -> str:
    """`x` with c channels at the image size of `like`; where it has both it may stay as it is."""
    if b.shape[x][2] != b.shape[like][2]:
        return squeeze_size(b, x, c)
    return x if lazy and b.shape[x][1] == c else b.conv(b.relu(x), c, 1)


def network(
    name: str, size: int, genotype: Genotype, plan: Sequence[tuple[int, bool]], stem: int, last_first: bool
) -> onnx.ModelProto:
    """A stem and cells of (channels, whether it reduces). `last_first`: input 0 of a cell is the last one."""
    b = Builder(name)
    before = now = b.conv(b.input("image", (BATCH, 3, size, size)), stem, 3, 2)
    for i, (c, reduce) in enumerate(plan):
        with b.scope(f"cell{i}"):
            first = not last_first and i == 0  # both inputs are the stem, and input 0 is taken as it is
            older = before if first else _fit(b, before, now, c, lazy=last_first)
            newer = b.conv(b.relu(now), c, 1)
            states = [newer, older] if last_first else [older, newer]
            before, now = now, _cell(b, states, genotype, c, reduce)
    return b.finish(logits=b.classifier(now if last_first else b.relu(now), 1000))


def pnasnet5(name: str, size: int, n: int, f: int, stem: int) -> onnx.ModelProto:
    """Two stem reductions and 3 n cells, of which the n-th and the 2n-th after the first reduce."""
    plan = [(f // 4, True), (f // 2, True)]
    plan += [(f << (i >= n) << (i >= 2 * n), i in (n, 2 * n)) for i in range(3 * n)]
    return network(name, size, PNASNET5, plan, stem, last_first=False)


def amoebanet_a(name: str, size: int, n: int, f: int, stem: int) -> onnx.ModelProto:
    """As NASNet: two stem reductions, then n normal cells at each of three sizes."""
    return network(name, size, AMOEBANET_A, _stages(f, n), stem, last_first=False)


def amoebanet_d(name: str, layers: int, filters: int) -> onnx.ModelProto:
    """GPipe's AmoebaNet-D (layers, filters): `layers` normal cells in three stages."""
    stem = filters // 4
    return network(name, 224, AMOEBANET_D, _stages(4 * stem, layers // 3, 2 * stem), stem, last_first=True)


def _stages(f: int, n: int, first: int = 0) -> list[tuple[int, bool]]:
    plan = [(first or f // 4, True), (2 * first or f // 2, True)]
    for stage in range(3):
        plan += [(f << stage, True)] * (stage > 0) + [(f << stage, False)] * n
    return plan


def pnasnet5_mobile() -> onnx.ModelProto:
    """PNASNet-5 (N = 3, F = 54)."""
    return pnasnet5("pnasnet5_mobile", 224, 3, 54, 32)


def pnasnet5_large() -> onnx.ModelProto:
    """PNASNet-5 (N = 4, F = 216)."""
    return pnasnet5("pnasnet5_large", 331, 4, 216, 96)


def amoebanet_a_mobile() -> onnx.ModelProto:
    """AmoebaNet-A (N = 4, F = 50)."""
    return amoebanet_a("amoebanet_a_mobile", 224, 4, 50, 32)


def amoebanet_d_18_208() -> onnx.ModelProto:
    """AmoebaNet-D (18, 208), the smallest of GPipe's."""
    return amoebanet_d("amoebanet_d", 18, 208)


RECIPES = (
    Recipe("pnasnet5_large", "nas", "float32", "Liu et al. 2017, arXiv 1712.00559",
           "PNASNet-5 (4, 216), 331 px: one searched cell", pnasnet5_large),
    Recipe("amoebanet_a_mobile", "nas", "float32", "Real et al. 2018, arXiv 1802.01548",
           "AmoebaNet-A (4, 50), 224 px: evolved cells", amoebanet_a_mobile),
)  # fmt: skip
