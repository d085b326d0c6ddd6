"""Dense prediction: long skips that keep early features alive."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.classic import bottlenecks
from memplan_models.recipes.mobile import MOBILENET_V3_LARGE, mobilenet_v3_blocks
from memplan_models.recipes.recipe import Recipe

DILATED = (1, 1, 2, 4)


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


def unet_plus_plus() -> onnx.ModelProto:
    """Nested skips: node (i, j) reads every earlier node of its level and one below; 32 to 512 channels."""
    b = Builder("unet_plus_plus")
    x = b.input("image", (BATCH, 1, 96, 96))
    rows: list[list[str]] = []
    for level in range(5):
        rows.append([])
        for j in range(level + 1):
            i = level - j
            with b.scope(f"x{i}{j}"):
                if j == 0:
                    y = b.pool("Max", rows[i - 1][0], 2, 2) if i else x
                else:
                    y = b.concat([*rows[i][:j], b.up_conv(rows[i + 1][j - 1], 32 << i)])
                rows[i].append(b.conv_relu(b.conv_relu(y, 32 << i, 3), 32 << i, 3))
    return b.finish(logits=b.conv(rows[0][4], 1, 1))


def fc_densenet(name: str, growth: int, layers: Sequence[int]) -> onnx.ModelProto:
    """Dense blocks down, a dense bottleneck, and up again: only a block's new features are upsampled."""
    b = Builder(name)

    def block(x: str, count: int) -> tuple[str, list[str]]:
        new = []
        for i in range(count):
            with b.scope(str(i)):
                new.append(b.conv(b.relu(b.norm(x)), growth, 3))
                x = b.concat([x, new[-1]])
        return x, new

    x = b.conv(b.input("image", (BATCH, 3, 224, 224)), 48, 3)
    skips = []
    for level, count in enumerate(layers[:-1]):
        with b.scope(f"down{level}"):
            x, _ = block(x, count)
            skips.append(x)
            x = b.pool("Max", b.conv(b.relu(b.norm(x)), int(b.shape[x][1]), 1), 2, 2)
    with b.scope("bottleneck"):
        _, new = block(x, layers[-1])
    for level, count in reversed(list(enumerate(layers[:-1]))):
        with b.scope(f"up{level}"):
            up = b.up_conv(b.concat(new), growth * len(new), kernel=3)
            x, new = block(b.concat([skips[level], up]), count)
    return b.finish(logits=b.softmax(b.conv(x, 11, 1), axis=1))


def fc_densenet56() -> onnx.ModelProto:
    """Eleven dense blocks of four layers, growth 12."""
    return fc_densenet("fc_densenet56", 12, (4,) * 6)


def fc_densenet103() -> onnx.ModelProto:
    """Dense blocks of 4 to 15 layers, growth 16."""
    return fc_densenet("fc_densenet103", 16, (4, 5, 7, 10, 12, 15))


def fcn_resnet50() -> onnx.ModelProto:
    """A fully convolutional head on a dilated ResNet-50, 21 classes, upsampled eightfold."""
    b = Builder("fcn_resnet50")
    x = bottlenecks(b, b.input("image", (BATCH, 3, 224, 224)), dilations=DILATED)[-1]
    return b.finish(logits=b.resize(b.conv(b.conv_relu(x, 512, 3), 21, 1), 8, "linear"))


def deeplabv3_resnet50() -> onnx.ModelProto:
    """Atrous pyramid pooling (rates 12, 24, 36) on a dilated ResNet-50, 21 classes."""
    b = Builder("deeplabv3_resnet50")
    x = bottlenecks(b, b.input("image", (BATCH, 3, 224, 224)), dilations=DILATED)[-1]
    with b.scope("aspp"):
        branches = [b.conv_relu(x, 256, 1)]
        branches += [b.conv_relu(x, 256, 3, dilation=rate) for rate in (12, 24, 36)]
        branches.append(b.resize(b.conv_relu(b.gap(x), 256, 1), int(b.shape[x][2]), "linear"))
        x = b.conv_relu(b.concat(branches), 256, 1)
    return b.finish(logits=b.resize(b.conv(b.conv_relu(x, 256, 3), 21, 1), 8, "linear"))


def lraspp_mobilenet_v3() -> onnx.ModelProto:
    """Lite reduced pyramid pooling on a dilated MobileNetV3-Large: features at 1/8 and 1/16, 21 classes."""
    b = Builder("lraspp_mobilenet_v3")
    image = b.input("image", (BATCH, 3, 224, 224))
    blocks = mobilenet_v3_blocks(b, image, MOBILENET_V3_LARGE, dilated=12)
    low, high = blocks[3], blocks[-1]
    with b.scope("head"):
        gate = b.sigmoid(b.conv(b.gap(high), 128, 1, bias=False))
        x = b.resize(b.mul(b.conv_relu(high, 128, 1), gate), 2, "linear")
        x = b.add(b.conv(low, 21, 1), b.conv(x, 21, 1))
    return b.finish(logits=b.resize(x, 8, "linear"))


RECIPES = (
    Recipe("unet", "segmentation", "float32", "Ronneberger et al. 2015, arXiv 1505.04597",
           "U-Net, 128 px, padded convolutions", unet),
    Recipe("unet_plus_plus", "segmentation", "float32", "Zhou et al. 2018, arXiv 1807.10165",
           "U-Net++, 96 px: nested skips, transposed convolutions", unet_plus_plus),
    Recipe("fc_densenet56", "segmentation", "float32", "Jegou et al. 2016, arXiv 1611.09326",
           "FC-DenseNet56, 224 px: a U-Net of dense blocks", fc_densenet56),
)  # fmt: skip
