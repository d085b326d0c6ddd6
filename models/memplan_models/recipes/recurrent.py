"""Convolutions followed by recurrent layers over time."""

from __future__ import annotations

import numpy as np
import onnx

from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe


def _sequence(b: Builder, x: str) -> str:
    """An image [batch, channels, height, width] as a sequence over its width."""
    batch, c, h, w = b.shape[x]
    y = b.transpose(x, (3, 0, 1, 2))
    target = b.const("shape", [0, 0, int(c) * int(h)], np.int64)
    return b.op("Reshape", [y, target], (w, batch, int(c) * int(h)))


def deepspeech2() -> onnx.ModelProto:
    """Two 2-D convolutions over a 2 s spectrogram, three bidirectional GRUs of 512, 29 characters."""
    b = Builder("deepspeech2_3gru")
    x = b.input("spectrogram", (BATCH, 1, 161, 200))
    for kernel, stride, pad in (((41, 11), (2, 2), (20, 5)), ((21, 11), (2, 1), (10, 5))):
        y = b.conv(x, 32, kernel, stride, pad)
        x = b.op("Clip", [y, b.const("low", 0), b.const("high", 20)], b.shape[y])
    x = _sequence(b, x)
    for _ in range(3):
        x = b.recurrent("GRU", x, 512)
    return b.finish(characters=b.softmax(b.linear(x, 29)))


def crnn() -> onnx.ModelProto:
    """VGG-like convolutions over a text line, two bidirectional LSTMs of 256, 37 symbols."""
    b = Builder("crnn")
    x = b.input("line", (BATCH, 1, 32, 100))
    x = b.pool("Max", b.conv_relu(x, 64, 3), 2, 2)
    x = b.pool("Max", b.conv_relu(x, 128, 3), 2, 2)
    x = b.conv_relu(b.conv_relu(x, 256, 3), 256, 3)
    x = b.pool("Max", x, 2, (2, 1), (0, 1))
    x = b.conv_relu(b.conv_relu(x, 512, 3), 512, 3)
    x = b.pool("Max", x, 2, (2, 1), (0, 1))
    x = _sequence(b, b.conv_relu(x, 512, 2, pad=0))
    x = b.linear(b.recurrent("LSTM", x, 256), 256)
    return b.finish(symbols=b.softmax(b.linear(b.recurrent("LSTM", x, 256), 37)))


RECIPES = (
    Recipe("deepspeech2_3gru", "speech", "float32",
           "Amodei et al. 2015, arXiv 1512.02595 (5 layers, 3 recurrent; width 512)",
           "Deep Speech 2, 2 s of audio: bidirectional GRUs", deepspeech2),
    Recipe("crnn", "recurrent", "float32", "Shi et al. 2015, arXiv 1507.05717",
           "CRNN text recogniser, 32 x 100 px: bidirectional LSTMs", crnn),
)  # fmt: skip
