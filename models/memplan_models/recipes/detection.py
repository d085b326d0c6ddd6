"""Detectors: several outputs from feature maps of several sizes, without box decoding."""

from __future__ import annotations

import math

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.mobile import MOBILENET_V2, inverted_residual
from memplan_models.recipes.recipe import Recipe


def yolov3_tiny() -> onnx.ModelProto:
    """The two-scale YOLOv3-tiny at 416 px with leaky activations."""
    b = Builder("yolov3_tiny")

    def block(x: str, channels: int, kernel: int) -> str:
        y = b.conv(x, channels, kernel)
        return b.op("LeakyRelu", [y], b.shape[y], alpha=0.1)

    x = b.input("image", (BATCH, 3, 416, 416))
    for channels in (16, 32, 64, 128):
        x = b.pool("Max", block(x, channels, 3), 2, 2)
    fine = block(x, 256, 3)
    x = block(b.pool("Max", fine, 2, 2), 512, 3)
    x = b.op("MaxPool", [x], b.shape[x], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1])
    coarse = block(block(x, 1024, 3), 256, 1)
    large = b.conv(block(coarse, 512, 3), 255, 1)
    x = b.concat([b.resize(block(coarse, 128, 1), 2), fine])
    small = b.conv(block(x, 256, 3), 255, 1)
    return b.finish(large=large, small=small)


def ssdlite() -> onnx.ModelProto:
    """SSDLite on MobileNetV2 at 320 px: six feature maps, six anchors a place, 91 classes."""
    b = Builder("ssdlite_mobilenet_v2")
    x = b.relu6(b.conv(b.input("image", (BATCH, 3, 320, 320)), 32, 3, 2))
    maps = []
    for stage, (expand, channels, repeats, stride) in enumerate(MOBILENET_V2):
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                x, wide = inverted_residual(b, x, expand, channels, 1 if i else stride)
                if (stage, i) == (5, 0):
                    maps.append(wide)
    maps.append(b.relu6(b.conv(x, 1280, 1)))
    for i, channels in enumerate((512, 256, 256, 128)):
        with b.scope(f"extra{i}"):
            y = b.relu6(b.conv(maps[-1], channels // 2, 1))
            y = b.relu6(b.conv(y, channels // 2, 3, 2, groups=channels // 2))
            maps.append(b.relu6(b.conv(y, channels, 1)))

    def head(values: int) -> str:
        flat = []
        for i, x in enumerate(maps):
            with b.scope(f"map{i}"):
                _, c, h, w = b.shape[x]
                y = b.relu6(b.conv(x, int(c), 3, groups=int(c)))
                y = b.transpose(b.conv(y, 6 * values, 1), (0, 2, 3, 1))
                flat.append(b.reshape(y, (math.prod((int(h), int(w), 6)), values)))
        return b.concat(flat)

    with b.scope("boxes"):
        boxes = head(4)
    with b.scope("scores"):
        scores = b.softmax(head(91))
    return b.finish(boxes=boxes, scores=scores)


RECIPES = (
    Recipe("yolov3_tiny", "detection", "float32", "Redmon & Farhadi 2018, arXiv 1804.02767",
           "YOLOv3-tiny, 416 px: two outputs", yolov3_tiny),
    Recipe("ssdlite_mobilenet_v2", "detection", "float32",
           "Sandler et al. 2018, arXiv 1801.04381, section 6.2",
           "SSDLite with MobileNetV2, 320 px: six feature maps", ssdlite),
)  # fmt: skip
