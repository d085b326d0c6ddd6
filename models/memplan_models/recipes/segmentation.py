"""Dense prediction: long skips that keep early features alive."""

from __future__ import annotations

import onnx

from memplan_models.recipes.builder import BATCH, Builder, Recipe


def unet() -> onnx.ModelProto:
    """Four levels down and up with concatenated skips, 64 to 1024 channels, padded convolutions."""
    b = Builder("unet")
    x = b.input("image", (BATCH, 1, 128, 128))
    skips = []
    for level in range(5):
        with b.scope(f"down{level}"):
            x = b.conv_relu(b.conv_relu(x, 64 << level, 3), 64 << level, 3)
            if level < 4:
                skips.append(x)
                x = b.pool("Max", x, 2, 2)
    for level in reversed(range(4)):
        with b.scope(f"up{level}"):
            x = b.concat([skips[level], b.up_conv(x, 64 << level)])
            x = b.conv_relu(b.conv_relu(x, 64 << level, 3), 64 << level, 3)
    return b.finish(logits=b.conv(x, 2, 1))


RECIPES = (
    Recipe("unet", "segmentation", "float32", "Ronneberger et al. 2015, arXiv 1505.04597",
           "U-Net, 128 px, padded convolutions", unet),
)  # fmt: skip
