"""Detectors and keypoints over feature pyramids: many resolutions alive at once, without box decoding."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.classic import bottlenecks
from memplan_models.recipes.mobile import efficientnet_blocks
from memplan_models.recipes.recipe import Recipe


def _per_place(b: Builder, x: str, values: int) -> str:
    """[batch, anchors · values, height, width] as [batch, places · anchors, values]."""
    y = b.transpose(x, (0, 2, 3, 1))
    return b.reshape(y, (math.prod(map(int, b.shape[y][1:])) // values, values))


def retinanet() -> onnx.ModelProto:
    """RetinaNet on ResNet-50 at 800 px: levels 3 to 7, two heads shared by all, 9 anchors, 91 classes."""
    b = Builder("retinanet_resnet50")
    stages = bottlenecks(b, b.input("image", (BATCH, 3, 800, 800)))[1:]
    levels: list[str] = []
    with b.scope("fpn"):
        x = ""
        for stage in reversed(stages):
            lateral = b.conv(stage, 256, 1)
            x = b.add(lateral, b.resize(x, 2)) if x else lateral
            levels.insert(0, b.conv(x, 256, 3))
        levels.append(b.conv(levels[-1], 256, 3, 2))
        levels.append(b.conv(b.relu(levels[-1]), 256, 3, 2))

    def head(values: int) -> str:
        weights = [b.conv_weights(256, c, (3, 3)) for c in (256, 256, 256, 256, 9 * values)]
        flat = []
        for i, x in enumerate(levels):
            with b.scope(f"level{i + 3}"):
                for w in weights[:-1]:
                    x = b.conv_relu(x, 256, 3, weights=w)
                flat.append(_per_place(b, b.conv(x, 9 * values, 3, weights=weights[-1]), values))
        return b.concat(flat)

    with b.scope("scores"):
        scores = b.sigmoid(head(91))
    with b.scope("boxes"):
        boxes = head(4)
    return b.finish(scores=scores, boxes=boxes)


def efficientdet_d0() -> onnx.ModelProto:
    """EfficientDet-D0 at 512 px: three bidirectional pyramids of 64 channels, 9 anchors, 90 classes."""
    b = Builder("efficientdet_d0")
    blocks = efficientnet_blocks(b, b.input("image", (BATCH, 3, 512, 512)))
    with b.scope("fpn.in"):
        inputs = [b.conv(blocks[i], 64, 1) for i in (2, 4, 6)]
        inputs.append(b.pool("Max", b.conv(blocks[6], 64, 1), 3, 2, 1))
        inputs.append(b.pool("Max", inputs[-1], 3, 2, 1))
        again = [inputs[0], *(b.conv(blocks[i], 64, 1) for i in (4, 6)), *inputs[3:]]

    def fuse(parts: Sequence[str]) -> str:
        weighted = [b.mul(part, b.weight("fusion", (1,))) for part in parts]
        x = b.swish(b.op("Sum", weighted, b.shape[parts[0]]))
        return b.conv(b.conv(x, 64, 3, groups=64, bias=False), 64, 1)

    for cell in range(3):
        with b.scope(f"fpn{cell}"):
            down = [inputs[4]]
            for level in (3, 2, 1, 0):
                down.insert(0, fuse([inputs[level], b.resize(down[0], 2)]))
            outs = [down[0]]
            for level in (1, 2, 3, 4):
                below = b.pool("Max", outs[-1], 3, 2, 1)
                middle = [down[level]] if level < 4 else []
                outs.append(fuse([again[level], *middle, below]))
        inputs = again = outs

    def head(values: int) -> str:
        depthwise = [b.conv_weights(1, 64, (3, 3), bias=False) for _ in range(4)]
        pointwise = [b.conv_weights(64, c, (1, 1)) for c in (64, 64, 64, 9 * values)]
        flat = []
        for i, x in enumerate(outs):
            with b.scope(f"level{i + 3}"):
                for layer, (d, p) in enumerate(zip(depthwise, pointwise, strict=True)):
                    c = 64 if layer < 3 else 9 * values
                    x = b.conv(b.conv(x, 64, 3, groups=64, weights=d), c, 1, weights=p)
                    x = b.swish(b.norm(x)) if layer < 3 else x
                flat.append(_per_place(b, x, values))
        return b.concat(flat)

    with b.scope("scores"):
        scores = b.sigmoid(head(90))
    with b.scope("boxes"):
        boxes = head(4)
    return b.finish(scores=scores, boxes=boxes)


def yolov8n() -> onnx.ModelProto:
    """YOLOv8n at 640 px: cross-stage blocks, a path-aggregating pyramid, decoupled heads, 80 classes."""
    b = Builder("yolov8n")

    def conv(x: str, channels: int, kernel: int, stride: int = 1) -> str:
        return b.swish(b.conv(x, channels, kernel, stride))

    def stage(x: str, channels: int, repeats: int, residual: bool) -> str:
        parts = list(b.split(conv(x, channels, 1), 2))
        for _ in range(repeats):
            y = conv(conv(parts[-1], channels // 2, 3), channels // 2, 3)
            parts.append(b.add(parts[-1], y) if residual else y)
        return conv(b.concat(parts), channels, 1)

    x = conv(b.input("image", (BATCH, 3, 640, 640)), 16, 3, 2)
    maps = []
    for i, (channels, repeats) in enumerate(((32, 1), (64, 2), (128, 2), (256, 1))):
        with b.scope(f"backbone{i}"):
            x = stage(conv(x, channels, 3, 2), channels, repeats, True)
            maps.append(x)
    with b.scope("sppf"):
        pooled = [conv(x, 128, 1)]
        for _ in range(3):
            pooled.append(b.pool("Max", pooled[-1], 5, 1, 2))
        top = conv(b.concat(pooled), 256, 1)
    with b.scope("neck"):
        middle = stage(b.concat([b.resize(top, 2), maps[2]]), 128, 1, False)
        fine = stage(b.concat([b.resize(middle, 2), maps[1]]), 64, 1, False)
        middle = stage(b.concat([conv(fine, 64, 3, 2), middle]), 128, 1, False)
        coarse = stage(b.concat([conv(middle, 128, 3, 2), top]), 256, 1, False)
    boxes, scores = [], []
    for i, x in enumerate((fine, middle, coarse)):
        with b.scope(f"head{i}"):
            places = math.prod(map(int, b.shape[x][2:]))
            y = b.conv(conv(conv(x, 64, 3), 64, 3), 64, 1)
            boxes.append(b.reshape(y, (4, 16, places)))
            y = b.conv(conv(conv(x, 80, 3), 80, 3), 80, 1)
            scores.append(b.reshape(y, (80, places)))
    spread = b.softmax(b.transpose(b.concat(boxes, axis=3), (0, 2, 1, 3)), axis=1)
    return b.finish(distances=b.conv(spread, 1, 1, bias=False), scores=b.sigmoid(b.concat(scores, axis=2)))


def hrnet_w32() -> onnx.ModelProto:
    """HRNet-W32 for poses at 256 x 192: up to four resolutions side by side, exchanged after each module."""
    b = Builder("hrnet_w32_pose")

    def basic(x: str) -> str:
        c = int(b.shape[x][1])
        return b.relu(b.add(b.conv(b.conv_relu(x, c, 3), c, 3), x))

    def exchange(branches: Sequence[str], outputs: int) -> list[str]:
        fused = []
        for i in range(outputs):
            parts = []
            for j, x in enumerate(branches):
                if j > i:
                    x = b.resize(b.conv(x, 32 << i, 1), 1 << (j - i))
                for step in range(i - j):
                    last = step == i - j - 1
                    x = b.conv(x, 32 << i, 3, 2) if last else b.conv_relu(x, 32 << j, 3, 2)
                parts.append(x)
            fused.append(b.relu(b.op("Sum", parts, b.shape[parts[i]])))
        return fused

    x = b.conv_relu(b.conv_relu(b.input("image", (BATCH, 3, 256, 192)), 64, 3, 2), 64, 3, 2)
    for i in range(4):
        with b.scope(f"stage1.{i}"):
            y = b.conv(b.conv_relu(b.conv_relu(x, 64, 1), 64, 3), 256, 1)
            x = b.relu(b.add(y, x if i else b.conv(x, 256, 1)))
    branches = [b.conv_relu(x, 32, 3), b.conv_relu(x, 64, 3, 2)]
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        if stage > 2:
            with b.scope(f"transition{stage - 1}"):
                branches.append(b.conv_relu(branches[-1], 32 << (stage - 1), 3, 2))
        for module in range(modules):
            with b.scope(f"stage{stage}.{module}"):
                for j, x in enumerate(branches):
                    for _ in range(4):
                        x = basic(x)
                    branches[j] = x
                end = stage == 4 and module == modules - 1
                branches = exchange(branches, 1 if end else stage)
    return b.finish(heatmaps=b.conv(branches[0], 17, 1))


RECIPES = (
    Recipe("retinanet_resnet50", "detection", "float32", "Lin et al. 2017, arXiv 1708.02002",
           "RetinaNet on ResNet-50, 800 px: a pyramid of five levels", retinanet),
    Recipe("efficientdet_d0", "detection", "float32", "Tan et al. 2019, arXiv 1911.09070",
           "EfficientDet-D0, 512 px: bidirectional pyramids", efficientdet_d0),
    Recipe("yolov8n", "detection", "float32", "Jocher et al. 2023 (YOLOv8)",
           "YOLOv8n, 640 px: cross-stage blocks, decoupled heads", yolov8n),
    Recipe("hrnet_w32_pose", "keypoints", "float32", "Sun et al. 2019, arXiv 1902.09212",
           "HRNet-W32 for poses, 256 x 192: four resolutions side by side", hrnet_w32),
)  # fmt: skip
