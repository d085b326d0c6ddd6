"""Image classifiers drawn by hand: chains, residual, dense and inception graphs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe


def resnet50() -> onnx.ModelProto:
    """Four stages of bottleneck blocks, stride in the 3 x 3 convolution."""
    return _bottlenecks("resnet50", groups=1, base=64)


def resnext50() -> onnx.ModelProto:
    """ResNet-50's shape with 32 groups of width 4 in every block."""
    return _bottlenecks("resnext50_32x4d", groups=32, base=128)


def _bottlenecks(name: str, groups: int, base: int) -> onnx.ModelProto:
    b = Builder(name)
    stages = bottlenecks(b, b.input("image", (BATCH, 3, 224, 224)), groups, base)
    return b.finish(logits=b.classifier(stages[-1], 1000))


def bottlenecks(
    b: Builder, image: str, groups: int = 1, base: int = 64, dilations: Sequence[int] = (1, 1, 1, 1)
) -> list[str]:
    """What ResNet-50's four stages give; a dilated stage keeps the image size, as segmentation wants it."""
    x = b.pool("Max", b.conv_relu(image, 64, 7, 2), 3, 2, 1)
    stages = []
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            stride = 2 if stage and not block and dilations[stage] == 1 else 1
            dilation = dilations[stage] if block else max(1, dilations[stage] // 2)
            with b.scope(f"layer{stage + 1}.{block}"):
                y = b.conv_relu(x, base << stage, 1)
                y = b.conv_relu(y, base << stage, 3, stride, groups=groups, dilation=dilation)
                y = b.conv(y, 256 << stage, 1)
                x = b.relu(b.add(y, x if block else b.conv(x, 256 << stage, 1, stride)))
        stages.append(x)
    return stages


def densenet121() -> onnx.ModelProto:
    """Dense blocks of 6, 12, 24, 16 layers, growth 32, with bottlenecks and halving transitions."""
    b = Builder("densenet121")
    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), 64, 7, 2)
    x = b.pool("Max", x, 3, 2, 1)
    for block, layers in enumerate((6, 12, 24, 16)):
        for layer in range(layers):
            with b.scope(f"block{block + 1}.{layer}"):
                y = b.conv_relu(b.relu(b.norm(x)), 128, 1)
                x = b.concat([x, b.conv(y, 32, 3, bias=False)])
        if block < 3:
            with b.scope(f"transition{block + 1}"):
                y = b.conv(b.relu(b.norm(x)), int(b.shape[x][1]) // 2, 1, bias=False)
                x = b.pool("Average", y, 2, 2)
    return b.finish(logits=b.classifier(b.relu(b.norm(x)), 1000))


def inception_v3() -> onnx.ModelProto:
    """Factorised inception modules at 35, 17 and 8 pixels, without the auxiliary head."""
    b = Builder("inception_v3")
    x = b.input("image", (BATCH, 3, 299, 299))
    x = b.conv_relu(b.conv_relu(x, 32, 3, 2, pad=0), 32, 3, pad=0)
    x = b.pool("Max", b.conv_relu(x, 64, 3), 3, 2)
    x = b.pool("Max", b.conv_relu(b.conv_relu(x, 80, 1), 192, 3, pad=0), 3, 2)
    for i, pooled in enumerate((32, 64, 64)):
        with b.scope(f"mixed35.{i}"):
            x = b.concat(
                [
                    b.conv_relu(x, 64, 1),
                    b.conv_relu(b.conv_relu(x, 48, 1), 64, 5),
                    b.conv_relu(b.conv_relu(b.conv_relu(x, 64, 1), 96, 3), 96, 3),
                    b.conv_relu(b.pool("Average", x, 3, 1, 1), pooled, 1),
                ]
            )
    with b.scope("reduce35"):
        y = b.conv_relu(b.conv_relu(x, 64, 1), 96, 3)
        x = b.concat(
            [b.conv_relu(x, 384, 3, 2, pad=0), b.conv_relu(y, 96, 3, 2, pad=0), b.pool("Max", x, 3, 2)]
        )
    for i, c in enumerate((128, 160, 160, 192)):
        with b.scope(f"mixed17.{i}"):
            y = b.conv_relu(b.conv_relu(b.conv_relu(x, c, 1), c, (1, 7)), 192, (7, 1))
            z = b.conv_relu(b.conv_relu(b.conv_relu(x, c, 1), c, (7, 1)), c, (1, 7))
            z = b.conv_relu(b.conv_relu(z, c, (7, 1)), 192, (1, 7))
            x = b.concat([b.conv_relu(x, 192, 1), y, z, b.conv_relu(b.pool("Average", x, 3, 1, 1), 192, 1)])
    with b.scope("reduce17"):
        y = b.conv_relu(b.conv_relu(x, 192, 1), 320, 3, 2, pad=0)
        z = b.conv_relu(b.conv_relu(b.conv_relu(x, 192, 1), 192, (1, 7)), 192, (7, 1))
        x = b.concat([y, b.conv_relu(z, 192, 3, 2, pad=0), b.pool("Max", x, 3, 2)])
    for i in range(2):
        with b.scope(f"mixed8.{i}"):
            y = b.conv_relu(x, 384, 1)
            z = b.conv_relu(b.conv_relu(x, 448, 1), 384, 3)
            x = b.concat(
                [
                    b.conv_relu(x, 320, 1),
                    b.conv_relu(y, 384, (1, 3)),
                    b.conv_relu(y, 384, (3, 1)),
                    b.conv_relu(z, 384, (1, 3)),
                    b.conv_relu(z, 384, (3, 1)),
                    b.conv_relu(b.pool("Average", x, 3, 1, 1), 192, 1),
                ]
            )
    return b.finish(logits=b.classifier(x, 1000))


def squeezenet() -> onnx.ModelProto:
    """SqueezeNet 1.1: fire modules that squeeze to few channels and expand on two paths."""
    b = Builder("squeezenet1_1")
    x = b.conv_relu(b.input("image", (BATCH, 3, 224, 224)), 64, 3, 2, pad=0)
    squeezed = (16, 16, 32, 32, 48, 48, 64, 64)
    for i, s in enumerate(squeezed):
        if i in (0, 2, 4):
            x = b.pool("Max", x, 3, 2)
        with b.scope(f"fire{i + 2}"):
            y = b.conv_relu(x, s, 1)
            x = b.concat([b.conv_relu(y, 4 * s, 1), b.conv_relu(y, 4 * s, 3)])
    return b.finish(logits=b.flatten(b.gap(b.conv_relu(x, 1000, 1))))


def vgg16() -> onnx.ModelProto:
    """Thirteen 3 x 3 convolutions in a chain, three wide fully connected layers."""
    b = Builder("vgg16")
    x = b.input("image", (BATCH, 3, 224, 224))
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            x = b.conv_relu(x, channels, 3)
        x = b.pool("Max", x, 2, 2)
    x = b.relu(b.gemm(b.relu(b.gemm(b.flatten(x), 4096)), 4096))
    return b.finish(logits=b.gemm(x, 1000))


def convnext_tiny() -> onnx.ModelProto:
    """Depthwise 7 x 7 convolutions and channel mixing that runs on channels-last features."""
    b = Builder("convnext_tiny")

    def norm(x: str) -> str:
        return b.transpose(b.layer_norm(b.transpose(x, (0, 2, 3, 1))), (0, 3, 1, 2))

    x = norm(b.conv(b.input("image", (BATCH, 3, 224, 224)), 96, 4, 4, pad=0))
    for stage, (c, blocks) in enumerate(((96, 3), (192, 3), (384, 9), (768, 3))):
        if stage:
            with b.scope(f"downsample{stage}"):
                x = b.conv(norm(x), c, 2, 2, pad=0)
        for i in range(blocks):
            with b.scope(f"stage{stage}.{i}"):
                y = b.layer_norm(b.transpose(b.conv(x, c, 7, groups=c), (0, 2, 3, 1)))
                y = b.linear(b.gelu(b.linear(y, 4 * c)), c)
                x = b.add(x, b.transpose(b.mul(y, b.weight("scale", (c,))), (0, 3, 1, 2)))
    return b.finish(logits=b.gemm(b.layer_norm(b.flatten(b.gap(x))), 1000))


RECIPES = (
    Recipe("resnet50", "cnn", "float32", "He et al. 2015, arXiv 1512.03385",
           "ResNet-50, 224 px: residual bottlenecks", resnet50),
    Recipe("resnext50_32x4d", "cnn", "float32", "Xie et al. 2016, arXiv 1611.05431",
           "ResNeXt-50 32x4d, 224 px: grouped residual bottlenecks", resnext50),
    Recipe("densenet121", "cnn", "float32", "Huang et al. 2016, arXiv 1608.06993",
           "DenseNet-121, 224 px: every layer reads all before it in its block", densenet121),
    Recipe("inception_v3", "cnn", "float32", "Szegedy et al. 2015, arXiv 1512.00567",
           "Inception-v3, 299 px: modules of parallel branches", inception_v3),
    Recipe("squeezenet1_1", "cnn", "float32", "Iandola et al. 2016, arXiv 1602.07360",
           "SqueezeNet 1.1, 224 px: fire modules", squeezenet),
    Recipe("vgg16", "cnn", "float32", "Simonyan & Zisserman 2014, arXiv 1409.1556",
           "VGG-16, 224 px: a chain with large activations first and large weights last", vgg16),
    Recipe("convnext_tiny", "cnn", "float32", "Liu et al. 2022, arXiv 2201.03545",
           "ConvNeXt-T, 224 px: depthwise convolutions, channels-last mixing", convnext_tiny),
)  # fmt: skip
