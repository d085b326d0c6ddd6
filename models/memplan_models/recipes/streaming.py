"""Layers whose weights outgrow the scratchpad, cut into tiles that are brought in one after another.

Meant to be planned with weights as tensors: each tile is a constant that is loaded, used once and dropped,
as when layers of a large model stream through a small memory (Superpipeline, arXiv 2410.08791).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from memplan.ir.graph import Graph
from memplan_models.recipes.builder import Builder
from memplan_models.recipes.recipe import Recipe, imported, narrowed


def by_columns(b: Builder, x: str, n: int, tiles: int) -> str:
    """A linear layer whose weight is cut by outputs: every tile reads all of `x`."""
    return b.concat([b.linear(x, n // tiles, bias=False) for _ in range(tiles)], axis=len(b.shape[x]) - 1)


def by_rows(b: Builder, parts: list[str], n: int) -> str:
    """A linear layer whose weight is cut by inputs: the tiles' products of parts of the input add up."""
    total = b.linear(parts[0], n, bias=False)
    for part in parts[1:]:
        total = b.add(total, b.linear(part, n, bias=False))
    return total


def _block(b: Builder, x: str, width: int, hidden: int, heads: int, tiles: int) -> str:
    """A pre-norm transformer layer whose every weight is cut into `tiles` tiles."""
    n, d = int(b.shape[x][1]), width // heads
    y = b.layer_norm(x)
    parts = [b.reshape(by_columns(b, y, width, tiles), (n, heads, d)) for _ in range(3)]
    query, value = b.transpose(parts[0], (0, 2, 1, 3)), b.transpose(parts[2], (0, 2, 1, 3))
    scores = b.op("MatMul", [query, b.transpose(parts[1], (0, 2, 3, 1))], (1, heads, n, n))
    scores = b.mul(scores, b.const("scale", d**-0.5))
    mixed = b.op("MatMul", [b.softmax(scores), value], (1, heads, n, d))
    mixed = b.reshape(b.transpose(mixed, (0, 2, 1, 3)), (n, width))
    x = b.add(x, by_columns(b, mixed, width, tiles))
    y = b.layer_norm(x)
    hiddens = [b.gelu(b.linear(y, hidden // tiles, bias=False)) for _ in range(tiles)]
    return b.add(x, by_rows(b, hiddens, width))


def transformer_streamed() -> onnx.ModelProto:
    """Six layers of width 1024 (BERT-Large's) on 64 tokens, 8 tiles a weight: 144 MiB of float16 weights."""
    b = Builder("transformer_streamed", TensorProto.FLOAT16)
    x = b.input("hidden", (1, 64, 1024))
    for i in range(6):
        with b.scope(f"layer{i}"):
            x = _block(b, x, 1024, 4096, 16, 8)
    return b.finish(output=x)


def vgg16_streamed() -> Graph:
    """VGG-16 in int8: its large convolutions cut by outputs, its first fully connected layer by inputs."""
    b = Builder("vgg16_streamed")
    x = b.input("image", (1, 3, 224, 224))
    for stage, (channels, repeats) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        tiles = 4 if channels == 512 else 1
        for i in range(repeats):
            with b.scope(f"stage{stage}.{i}"):
                parts = [b.conv_relu(x, channels // tiles, 3) for _ in range(tiles)]
                x = b.concat(parts) if tiles > 1 else parts[0]
        x = b.pool("Max", x, 2, 2)
    with b.scope("fc0"):
        sizes = b.const("shape", [1, 16, 25088 // 16], np.int64)
        rows = b.op("Reshape", [x, sizes], (1, 16, 25088 // 16))
        x = b.relu(by_rows(b, list(b.split(rows, 16, axis=1)), 4096))
    with b.scope("fc1"):
        x = b.relu(by_columns(b, x, 4096, 4))
    x = b.linear(x, 1000, bias=False)
    return narrowed(imported(b.finish(logits=x)), "vgg16_streamed_int8", "int8")


RECIPES = (
    Recipe("transformer_streamed", "streaming", "float16", "Devlin et al. 2018, arXiv 1810.04805 (sizes)",
           "Six layers of width 1024, weights in tiles that stream through, float16", transformer_streamed),
    Recipe("vgg16_streamed_int8", "streaming", "int8", "Simonyan & Zisserman 2014, arXiv 1409.1556",
           "VGG-16, 224 px, weights in tiles that stream through, int8", vgg16_streamed),
)  # fmt: skip
