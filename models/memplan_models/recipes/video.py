"""Action recognition on 16 frames: convolutions over space and time, factorised."""

from __future__ import annotations

import onnx

from memplan_models.recipes.builder import BATCH, Builder

FRAMES = (3, 16, 224, 224)


def r2plus1d_18() -> onnx.ModelProto:
    """R(2+1)D-18: each 3-D convolution as a spatial and a temporal one, 400 classes."""
    b = Builder("r2plus1d_18")

    def factorised(x: str, channels: int, middle: int, stride: int = 1) -> str:
        y = b.conv_relu(x, middle, (1, 3, 3), (1, stride, stride))
        return b.conv(y, channels, (3, 1, 1), (stride, 1, 1))

    x = b.conv_relu(b.input("clip", (BATCH, *FRAMES)), 45, (1, 7, 7), (1, 2, 2))
    x = b.conv_relu(x, 64, (3, 1, 1))
    for stage in range(4):
        for block in range(2):
            c, channels = int(b.shape[x][1]), 64 << stage
            stride = 2 if stage and not block else 1
            middle = 27 * c * channels // (9 * c + 3 * channels)
            with b.scope(f"layer{stage + 1}.{block}"):
                y = b.relu(factorised(x, channels, middle, stride))
                y = factorised(y, channels, middle)
                x = b.relu(b.add(y, x if c == channels else b.conv(x, channels, 1, stride)))
    return b.finish(logits=b.classifier(x, 400))


S3D_MIXED = (
    (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64),
    (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
    (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
    (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
)  # fmt: skip
"""Channels of the branches of the nine mixed blocks: 1; 1, 3; 1, 3; pooled 1 (those of Inception-v1)."""


def s3d() -> onnx.ModelProto:
    """S3D: Inception-v1 inflated to video with separable 3-D convolutions, 400 classes."""
    b = Builder("s3d")

    def separable(x: str, channels: int, kernel: int, stride: int = 1) -> str:
        y = b.conv_relu(x, channels, (1, kernel, kernel), (1, stride, stride))
        return b.conv_relu(y, channels, (kernel, 1, 1), (stride, 1, 1))

    x = separable(b.input("clip", (BATCH, *FRAMES)), 64, 7, 2)
    x = b.pool("Max", x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    x = separable(b.conv_relu(x, 64, 1), 192, 3)
    x = b.pool("Max", x, (1, 3, 3), (1, 2, 2), (0, 1, 1))
    for i, (one, low, high, less, more, pooled) in enumerate(S3D_MIXED):
        if i == 2:
            x = b.pool("Max", x, 3, 2, 1)
        elif i == 7:
            x = b.pool("Max", x, 2, 2)
        with b.scope(f"mixed{i}"):
            x = b.concat(
                [
                    b.conv_relu(x, one, 1),
                    separable(b.conv_relu(x, low, 1), high, 3),
                    separable(b.conv_relu(x, less, 1), more, 3),
                    b.conv_relu(b.pool("Max", x, 3, 1, 1), pooled, 1),
                ]
            )
    x = b.conv(b.pool("Average", x, (2, 7, 7), 1), 400, 1)
    return b.finish(logits=b.flatten(b.gap(x)))
