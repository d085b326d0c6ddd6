"""Speech without recurrence: convolutions over time, Conformer blocks, and Whisper's encoder."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe
from memplan_models.recipes.tiny import QuantisedBuilder


def wav2letter() -> onnx.ModelProto:
    """Wav2letter on 296 frames of 39 MFCCs: eleven 1-D convolutions, 29 characters, int8."""
    b = QuantisedBuilder("wav2letter_int8")
    x = b.quantise(b.input("mfcc", (BATCH, 39, 1, 296)))
    x = b.qconv(x, 250, (1, 48), (1, 2))
    for _ in range(7):
        x = b.qconv(x, 250, (1, 7))
    x = b.qconv(b.qconv(x, 2000, (1, 32)), 2000, 1)
    return b.finish(characters=b.softmax(b.dequantise(b.qconv(x, 29, 1, relu=False)), axis=1))


def tc_resnet8() -> onnx.ModelProto:
    """Keyword spotting over 98 frames of 40 MFCCs: temporal residual blocks of width 9."""
    b = Builder("tc_resnet8")
    x = b.conv(b.input("mfcc", (BATCH, 40, 1, 98)), 16, (1, 3), bias=False)
    for i, channels in enumerate((24, 32, 48)):
        with b.scope(f"block{i}"):
            y = b.conv(b.conv_relu(x, channels, (1, 9), (1, 2)), channels, (1, 9))
            x = b.relu(b.add(y, b.conv_relu(x, channels, 1, (1, 2))))
    return b.finish(words=b.softmax(b.classifier(x, 12)))


def conformer_s() -> onnx.ModelProto:
    """Conformer (S) encoder on 4 s of 80 mel bands: 16 blocks of width 144, 4 heads, relative positions."""
    b = Builder("conformer_s")
    width, heads, frames = 144, 4, 100
    x = b.input("mel", (BATCH, 1, 4 * frames + 3, 80))
    x = b.conv_relu(b.conv_relu(x, width, 3, 2, pad=0), width, 3, 2, pad=0)
    _, c, time, bands = b.shape[x]
    x = b.reshape(b.transpose(x, (0, 2, 1, 3)), (int(time), int(c) * int(bands)))
    x = b.linear(x, width)
    n = int(b.shape[x][1])
    distances = b.weight("positions", (2 * n - 1, width))

    def forward(x: str) -> str:
        y = b.linear(b.swish(b.linear(b.layer_norm(x), 4 * width)), width)
        return b.add(x, b.mul(y, b.const("half", 0.5)))

    def attend(x: str) -> str:
        return relative_attention(b, x, distances, heads)

    def convolve(x: str) -> str:
        y = b.transpose(b.layer_norm(x), (0, 2, 1))
        y = b.reshape(y, (width, 1, n))
        left, gate = b.split(b.conv(y, 2 * width, 1), 2)
        y = b.conv(b.mul(left, b.sigmoid(gate)), width, (1, 31), groups=width)
        y = b.conv(b.swish(y), width, 1)
        return b.add(x, b.transpose(b.reshape(y, (width, n)), (0, 2, 1)))

    for i in range(16):
        with b.scope(f"block{i}"):
            x = forward(x)
            x = attend(x)
            x = convolve(x)
            x = b.layer_norm(forward(x))
    return b.finish(features=x)


def relative_attention(b: Builder, x: str, distances: str, heads: int) -> str:
    """Self-attention with relative positions and a residual (Dai et al. 2019): the scores of all distances
    are shifted so that key j meets query i at distance j - i."""
    batch, n, width = b.shape[x][0], int(b.shape[x][1]), int(b.shape[x][2])
    d = width // heads
    y = b.layer_norm(x)
    query, key, value = (b.reshape(b.linear(y, width), (n, heads, d)) for _ in range(3))
    content = b.transpose(b.add(query, b.weight("content.bias", (heads, d))), (0, 2, 1, 3))
    place = b.transpose(b.add(query, b.weight("place.bias", (heads, d))), (0, 2, 1, 3))
    scores = b.op("MatMul", [content, b.transpose(key, (0, 2, 3, 1))], (batch, heads, n, n))
    far = b.op("MatMul", [distances, b.weight("linear.weight", (width, width))], (2 * n - 1, width))
    far = b.op("Reshape", [far, b.const("shape", [2 * n - 1, heads, d], np.int64)], (2 * n - 1, heads, d))
    far = b.op("MatMul", [place, b.transpose(far, (1, 2, 0))], (batch, heads, n, 2 * n - 1))
    pads = b.const("pads", [0, 0, 0, 1, 0, 0, 0, 0], np.int64)
    far = b.reshape(b.op("Pad", [far, pads], (batch, heads, n, 2 * n)), (heads, 2 * n, n))
    far = b.slice(b.reshape(b.slice(far, 1, 2), (heads, n, 2 * n - 1)), 0, 3, end=n)
    scores = b.mul(b.add(scores, far), b.const("scale", 1 / math.sqrt(d)))
    value = b.transpose(value, (0, 2, 1, 3))
    mixed = b.op("MatMul", [b.softmax(scores), value], (batch, heads, n, d))
    return b.add(x, b.linear(b.reshape(b.transpose(mixed, (0, 2, 1, 3)), (n, width)), width))


def whisper_tiny_encoder() -> onnx.ModelProto:
    """Whisper tiny's encoder on 30 s: 1500 positions, 4 layers of width 384, 6 heads, float16."""
    b = Builder("whisper_tiny_encoder", TensorProto.FLOAT16)
    width, frames = 384, 1500
    x = b.gelu(b.conv(b.input("mel", (BATCH, 80, 1, 2 * frames)), width, (1, 3)))
    x = b.gelu(b.conv(x, width, (1, 3), (1, 2), (0, 1)))
    x = b.transpose(b.reshape(x, (width, frames)), (0, 2, 1))
    x = b.add(x, b.weight("positions", (frames, width)))
    for i in range(4):
        with b.scope(f"block{i}"):
            x = b.add(x, b.attention(b.layer_norm(x), 6))
            x = b.add(x, b.linear(b.gelu(b.linear(b.layer_norm(x), 4 * width)), width))
    return b.finish(audio=b.layer_norm(x))


RECIPES = (
    Recipe("wav2letter_int8", "speech", "int8",
           "Collobert et al. 2016, arXiv 1609.03193; layers and input of Arm's int8 model",
           "Wav2letter, 296 frames, int8", wav2letter),
    Recipe("tc_resnet8", "speech", "float32", "Choi et al. 2019, arXiv 1904.03814",
           "TC-ResNet8 keyword spotting, 1 s", tc_resnet8),
    Recipe("conformer_s", "speech", "float32", "Gulati et al. 2020, arXiv 2005.08100",
           "Conformer (S) encoder, 4 s of audio: relative attention and convolution", conformer_s),
    Recipe("whisper_tiny_encoder", "speech", "float16", "Radford et al. 2022, arXiv 2212.04356",
           "Whisper tiny encoder, 30 s of audio, float16", whisper_tiny_encoder),
)  # fmt: skip
