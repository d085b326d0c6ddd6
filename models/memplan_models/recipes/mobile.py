"""Image classifiers for phones: inverted residuals, channel shuffles, squeeze and excitation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe

MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, channels, repeats, stride of MobileNetV2's stages (its Table 2)."""


def inverted_residual(b: Builder, x: str, expand: int, channels: int, stride: int) -> tuple[str, str]:
    """MobileNetV2's block: (its output, its expanded features)."""
    c = int(b.shape[x][1])
    wide = b.relu6(b.conv(x, c * expand, 1)) if expand > 1 else x
    y = b.relu6(b.conv(wide, c * expand, 3, stride, groups=c * expand))
    y = b.conv(y, channels, 1)
    return (b.add(x, y) if stride == 1 and c == channels else y), wide


def mobilenet_v2() -> onnx.ModelProto:
    """Inverted residuals with linear bottlenecks."""
    b = Builder("mobilenet_v2")
    x = b.relu6(b.conv(b.input("image", (BATCH, 3, 224, 224)), 32, 3, 2))
    for stage, (expand, channels, repeats, stride) in enumerate(MOBILENET_V2):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                x, _ = inverted_residual(b, x, expand, channels, 1 if i else stride)
    return b.finish(logits=b.classifier(b.relu6(b.conv(x, 1280, 1)), 1000))


def shufflenet_v2() -> onnx.ModelProto:
    """Half of the channels pass by, halves are interleaved after each unit."""
    b = Builder("shufflenet_v2_x1")
    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), 24, 3, 2)
    x = b.pool("Max", x, 3, 2, 1)
    for stage, (channels, repeats) in enumerate(((116, 4), (232, 8), (464, 4))):
        half = channels // 2
        for i in range(repeats):
            with b.scope(f"stage{stage + 2}.{i}"):
                if i == 0:
                    c = int(b.shape[x][1])
                    left = b.conv_relu(b.conv(x, c, 3, 2, groups=c), half, 1)
                    right = b.conv(b.conv_relu(x, half, 1), half, 3, 2, groups=half)
                else:
                    left, right = b.split(x, 2)
                    right = b.conv(b.conv_relu(right, half, 1), half, 3, groups=half)
                y = b.concat([left, b.conv_relu(right, half, 1)])
                _, _, h, w = b.shape[y]
                y = b.reshape(y, (2, half, int(h), int(w)))
                x = b.reshape(b.transpose(y, (0, 2, 1, 3, 4)), (channels, int(h), int(w)))
    return b.finish(logits=b.classifier(b.conv_relu(x, 1024, 1), 1000))


def efficientnet_b0() -> onnx.ModelProto:
    """Mobile inverted bottlenecks with squeeze and excitation; swish is Sigmoid and Mul."""
    b = Builder("efficientnet_b0")
    x = efficientnet_blocks(b, b.input("image", (BATCH, 3, 224, 224)))[-1]
    return b.finish(logits=b.classifier(b.swish(b.conv(x, 1280, 1)), 1000))


def efficientnet_blocks(b: Builder, image: str) -> list[str]:
    """What each of EfficientNet-B0's seven stages gives."""
    x = b.swish(b.conv(image, 32, 3, 2))
    outs = []
    stages = (
        (1, 3, 16, 1, 1),
        (6, 3, 24, 2, 2),
        (6, 5, 40, 2, 2),
        (6, 3, 80, 3, 2),
        (6, 5, 112, 3, 1),
        (6, 5, 192, 4, 2),
        (6, 3, 320, 1, 1),
    )
    for stage, (expand, kernel, channels, repeats, stride) in enumerate(stages):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                c = int(b.shape[x][1])
                y = b.swish(b.conv(x, c * expand, 1)) if expand > 1 else x
                y = b.swish(b.conv(y, c * expand, kernel, 1 if i else stride, groups=c * expand))
                gate = b.sigmoid(b.conv(b.swish(b.conv(b.gap(y), max(1, c // 4), 1)), c * expand, 1))
                y = b.conv(b.mul(y, gate), channels, 1)
                x = b.add(x, y) if i else y
        outs.append(x)
    return outs


MOBILENET_V3_SMALL = (
    (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2),
    (5, 240, 40, 1, 1, 1), (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1),
    (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1), (5, 576, 96, 1, 1, 1),
)  # fmt: skip
MOBILENET_V3_LARGE = (
    (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2),
    (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1),
    (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1),
)  # fmt: skip
"""Kernel, expanded width, channels, squeeze and excitation, hard swish, stride (its Tables 1 and 2)."""


def mobilenet_v3_small() -> onnx.ModelProto:
    """Searched inverted residuals with hard swish and squeeze and excitation."""
    return _mobilenet_v3("mobilenet_v3_small", MOBILENET_V3_SMALL, 1024)


def mobilenet_v3_large() -> onnx.ModelProto:
    """The large one of the pair."""
    return _mobilenet_v3("mobilenet_v3_large", MOBILENET_V3_LARGE, 1280)


def _mobilenet_v3(name: str, rows: Sequence[Sequence[int]], hidden: int) -> onnx.ModelProto:
    b = Builder(name)
    x = mobilenet_v3_blocks(b, b.input("image", (BATCH, 3, 224, 224)), rows)[-1]
    return b.finish(logits=b.gemm(hard_swish(b, b.gemm(b.flatten(b.gap(x)), hidden)), 1000))


def hard_swish(b: Builder, x: str) -> str:
    """x · min(max(x / 6 + 1 / 2, 0), 1)."""
    return b.op("HardSwish", [x], b.shape[x])


def mobilenet_v3_blocks(
    b: Builder, image: str, rows: Sequence[Sequence[int]], dilated: int = 99
) -> list[str]:
    """What each block gives, and last the features before pooling; blocks from `dilated` on keep the image
    size and reach twice as far."""
    x = hard_swish(b, b.conv(image, 16, 3, 2))
    outs = []
    for i, (kernel, wide, channels, excite, hard, stride) in enumerate(rows):
        dilation = 1 if i < dilated else 2
        with b.scope(f"block{i}"):

            def act(y: str, hard: int = hard) -> str:
                return hard_swish(b, y) if hard else b.relu(y)

            y = act(b.conv(x, wide, 1)) if wide != b.shape[x][1] else x
            y = act(b.conv(y, wide, kernel, stride if dilation == 1 else 1, groups=wide, dilation=dilation))
            if excite:
                y = b.mul(y, excitation(b, y, (wide // 4 + 4) // 8 * 8))
            y = b.conv(y, channels, 1)
            x = b.add(x, y) if stride == 1 and b.shape[x] == b.shape[y] else y
        outs.append(x)
    return [*outs, hard_swish(b, b.conv(x, 6 * int(b.shape[x][1]), 1))]


def excitation(b: Builder, x: str, squeezed: int) -> str:
    """A hard gate per channel from globally pooled features."""
    gate = b.conv(b.conv_relu(b.gap(x), squeezed, 1), int(b.shape[x][1]), 1)
    return b.op("HardSigmoid", [gate], b.shape[gate], alpha=float(np.float32(1 / 6)))


def mobilenet_v1() -> onnx.ModelProto:
    """Thirteen depthwise-separable convolutions in a chain."""
    b = Builder("mobilenet_v1")
    x = b.relu6(b.conv(b.input("image", (BATCH, 3, 224, 224)), 32, 3, 2))
    rows = (
        [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    )
    for i, (channels, stride) in enumerate(rows):
        with b.scope(f"block{i}"):
            c = int(b.shape[x][1])
            x = b.relu6(b.conv(b.relu6(b.conv(x, c, 3, stride, groups=c)), channels, 1))
    return b.finish(logits=b.classifier(x, 1000))


def mnasnet_a1() -> onnx.ModelProto:
    """Searched stages of inverted residuals, three of them with squeeze and excitation."""
    b = Builder("mnasnet_a1")
    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), 32, 3, 2)
    x = b.conv(b.conv_relu(x, 32, 3, groups=32), 16, 1)
    stages = (
        (6, 3, 24, 2, 2, 0),
        (3, 5, 40, 3, 2, 1),
        (6, 3, 80, 4, 2, 0),
        (6, 3, 112, 2, 1, 1),
        (6, 5, 160, 3, 2, 1),
        (6, 3, 320, 1, 1, 0),
    )
    for stage, (expand, kernel, channels, repeats, stride, excite) in enumerate(stages):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                c = int(b.shape[x][1])
                y = b.conv_relu(
                    b.conv_relu(x, c * expand, 1), c * expand, kernel, 1 if i else stride, groups=c * expand
                )
                if excite:
                    y = b.mul(y, b.sigmoid(b.conv(b.conv_relu(b.gap(y), c // 4, 1), c * expand, 1)))
                y = b.conv(y, channels, 1)
                x = b.add(x, y) if i else y
    return b.finish(logits=b.classifier(b.conv_relu(x, 1280, 1), 1000))


GHOSTNET = (
    (3, 16, 16, 0, 1), (3, 48, 24, 0, 2), (3, 72, 24, 0, 1), (5, 72, 40, 1, 2), (5, 120, 40, 1, 1),
    (3, 240, 80, 0, 2), (3, 200, 80, 0, 1), (3, 184, 80, 0, 1), (3, 184, 80, 0, 1), (3, 480, 112, 1, 1),
    (3, 672, 112, 1, 1), (5, 672, 160, 1, 2), (5, 960, 160, 0, 1), (5, 960, 160, 1, 1), (5, 960, 160, 0, 1),
    (5, 960, 160, 1, 1),
)  # fmt: skip
"""Kernel, expanded width, channels, squeeze and excitation, stride of GhostNet's bottlenecks (its Table 1)."""


def ghostnet() -> onnx.ModelProto:
    """Half of each layer's features are cheap depthwise copies of the other half."""
    b = Builder("ghostnet")

    def ghost(x: str, channels: int, active: bool) -> str:
        act = b.relu if active else str
        primary = act(b.conv(x, channels // 2, 1))
        return b.concat([primary, act(b.conv(primary, channels // 2, 3, groups=channels // 2))])

    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), 16, 3, 2)
    for i, (kernel, wide, channels, excite, stride) in enumerate(GHOSTNET):
        with b.scope(f"block{i}"):
            c = int(b.shape[x][1])
            y = ghost(x, wide, True)
            if stride == 2:
                y = b.conv(y, wide, kernel, 2, groups=wide)
            if excite:
                y = b.mul(y, excitation(b, y, (wide // 4 + 2) // 4 * 4))
            y = ghost(y, channels, False)
            if stride == 2 or c != channels:
                x = b.conv(b.conv(x, c, kernel, stride, groups=c), channels, 1)
            x = b.add(y, x)
    x = b.gap(b.conv_relu(x, 960, 1))
    return b.finish(logits=b.gemm(b.flatten(b.conv_relu(x, 1280, 1)), 1000))


RECIPES = (
    Recipe("mobilenet_v2", "mobile", "float32", "Sandler et al. 2018, arXiv 1801.04381",
           "MobileNetV2, 224 px: inverted residuals", mobilenet_v2),
    Recipe("mobilenet_v3_small", "mobile", "float32", "Howard et al. 2019, arXiv 1905.02244",
           "MobileNetV3-Small, 224 px: hard swish, squeeze and excitation", mobilenet_v3_small),
    Recipe("shufflenet_v2_x1", "mobile", "float32", "Ma et al. 2018, arXiv 1807.11164",
           "ShuffleNetV2 1x, 224 px: channel splits and shuffles", shufflenet_v2),
    Recipe("efficientnet_b0", "mobile", "float32", "Tan & Le 2019, arXiv 1905.11946",
           "EfficientNet-B0, 224 px: squeeze and excitation, swish", efficientnet_b0),
    Recipe("mobilenet_v1", "mobile", "float32", "Howard et al. 2017, arXiv 1704.04861",
           "MobileNetV1, 224 px: a chain of separable convolutions", mobilenet_v1),
    Recipe("mobilenet_v3_large", "mobile", "float32", "Howard et al. 2019, arXiv 1905.02244",
           "MobileNetV3-Large, 224 px", mobilenet_v3_large),
    Recipe("mnasnet_a1", "mobile", "float32", "Tan et al. 2018, arXiv 1807.11626",
           "MnasNet-A1, 224 px: searched inverted residuals", mnasnet_a1),
    Recipe("ghostnet", "mobile", "float32", "Han et al. 2019, arXiv 1911.11907",
           "GhostNet 1.0, 224 px: cheap copies beside features", ghostnet),
)  # fmt: skip
