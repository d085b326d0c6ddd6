"""Int8 networks for microcontrollers: those of the MLPerf Tiny benchmark, and MCUNet."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto

from memplan_models.recipes.builder import BATCH, Builder, Extent
from memplan_models.recipes.recipe import Recipe

PAPER = "Banbury et al. 2021, arXiv 2106.07597 (MLPerf Tiny)"
SCALE = 1 / 16  # of every activation


class QuantisedBuilder(Builder):
    """Layers on int8 tensors; a Relu is the zero point -128 of the op before it, as in TFLite.

    Weight scales are such that uniformly random int8 weights keep activations in range, layer after
    layer (He et al. 2015, arXiv 1502.01852: twice the variance behind a Relu).
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._zeros: dict[str, int] = {}

    def quantise(self, x: str, zero: int = 0) -> str:
        inputs = [x, self.const("scale", SCALE), self.const("zero", zero, np.int8)]
        return self._as(self.op("QuantizeLinear", inputs, self.shape[x], dtype=TensorProto.INT8), zero)

    def dequantise(self, x: str) -> str:
        inputs = [x, *self._scale(x)]
        return self.op("DequantizeLinear", inputs, self.shape[x], dtype=TensorProto.FLOAT)

    def qconv(
        self, x: str, channels: int, kernel: Extent, stride: Extent = 1, groups: int = 1, relu: bool = True
    ) -> str:
        """An int8 convolution with TFLite's SAME padding."""
        batch, cin, *size = self.shape[x]
        k = (kernel, kernel) if isinstance(kernel, int) else kernel
        s = (stride, stride) if isinstance(stride, int) else stride
        out = [-(-int(n) // step) for n, step in zip(size, s, strict=True)]
        pads = [max((o - 1) * step + r - int(n), 0) for o, step, r, n in zip(out, s, k, size, strict=True)]
        shape = (channels, int(cin) // groups, *k)
        inputs = [
            x,
            *self._scale(x),
            self.weight("qconv.weight", shape, TensorProto.INT8),
            *self._weight_scale(x, math.prod(shape[1:])),
            *self._out(relu),
            self.weight("qconv.bias", (channels,), TensorProto.INT32),
        ]
        low = [p // 2 for p in pads]
        y = self.op(
            "QLinearConv",
            inputs,
            (batch, channels, *out),
            kernel_shape=k,
            strides=s,
            group=groups,
            pads=[*low, *(p - q for p, q in zip(pads, low, strict=True))],
        )
        return self._as(y, -128 if relu else 0)

    def qlinear(self, x: str, n: int) -> str:
        batch, k = self.shape[x]
        inputs = [
            x,
            *self._scale(x),
            self.weight("qfc.weight", (int(k), n), TensorProto.INT8),
            *self._weight_scale(x, int(k)),
            *self._out(False),
        ]
        return self._as(self.op("QLinearMatMul", inputs, (batch, n)), 0)

    def qadd(self, a: str, b: str, relu: bool) -> str:
        """A residual sum, computed in float between quantised tensors."""
        return self.quantise(self.add(self.dequantise(a), self.dequantise(b)), zero=-128 if relu else 0)

    def qclassifier(self, x: str, classes: int) -> str:
        pooled = self.quantise(self.flatten(self.gap(self.dequantise(x))), zero=-128)
        return self.softmax(self.dequantise(self.qlinear(pooled, classes)))

    def _as(self, x: str, zero: int) -> str:
        self._zeros[x] = zero
        return x

    def _scale(self, x: str) -> list[str]:
        return [self.const("scale", SCALE), self.const("zero", self._zeros[x], np.int8)]

    def _weight_scale(self, x: str, terms: int) -> list[str]:
        spread = 255 / math.sqrt(12)  # standard deviation of uniform int8
        gain = math.sqrt(2) if self._zeros[x] == -128 else 1.0
        return [self.const("scale", gain / (spread * math.sqrt(terms))), self.const("zero", 0, np.int8)]

    def _out(self, relu: bool) -> list[str]:
        return [self.const("scale", SCALE), self.const("zero", -128 if relu else 0, np.int8)]


def ds_cnn() -> onnx.ModelProto:
    """Keyword spotting: one convolution over the MFCC image, four depthwise-separable blocks."""
    b = QuantisedBuilder("ds_cnn_int8")
    x = b.qconv(b.quantise(b.input("mfcc", (BATCH, 1, 49, 10))), 64, (10, 4), 2)
    for i in range(4):
        with b.scope(f"block{i}"):
            x = b.qconv(b.qconv(x, 64, 3, groups=64), 64, 1)
    return b.finish(words=b.qclassifier(x, 12))


def mobilenet_v1_vww() -> onnx.ModelProto:
    """Visual wake words: MobileNetV1 with a quarter of the channels at 96 px."""
    b = QuantisedBuilder("mobilenet_v1_025_int8")
    x = b.qconv(b.quantise(b.input("image", (BATCH, 3, 96, 96))), 8, 3, 2)
    rows = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)] + [(128, 1)] * 5 + [(256, 2), (256, 1)]
    for i, (channels, stride) in enumerate(rows):
        with b.scope(f"block{i}"):
            x = b.qconv(b.qconv(x, int(b.shape[x][1]), 3, stride, groups=int(b.shape[x][1])), channels, 1)
    return b.finish(person=b.qclassifier(x, 2))


def resnet8() -> onnx.ModelProto:
    """Image classification on CIFAR: three residual stages of 16, 32, 64 channels."""
    b = QuantisedBuilder("resnet8_int8")
    x = b.qconv(b.quantise(b.input("image", (BATCH, 3, 32, 32))), 16, 3)
    for stage, channels in enumerate((16, 32, 64)):
        with b.scope(f"stage{stage}"):
            stride = 2 if stage else 1
            y = b.qconv(b.qconv(x, channels, 3, stride), channels, 3, relu=False)
            short = b.qconv(x, channels, 1, stride, relu=False) if stage else x
            x = b.qadd(short, y, relu=True)
    return b.finish(classes=b.qclassifier(x, 10))


MCUNET_320KB = (
    (1, 8, 1, 3), (3, 16, 2, 7), (5, 16, 1, 3), (5, 16, 1, 7), (4, 16, 1, 5), (5, 24, 2, 5), (5, 24, 1, 5),
    (5, 24, 1, 5), (5, 40, 2, 3), (6, 40, 1, 7), (4, 40, 1, 5), (5, 48, 1, 5), (5, 48, 1, 7), (5, 48, 1, 3),
    (6, 96, 2, 3), (5, 96, 1, 7), (4, 96, 1, 3), (5, 160, 1, 7),
)  # fmt: skip
"""Expansion, channels, stride, kernel of the blocks of MCUNet's net for 320 KB of memory and 1 MB of flash."""


def mcunet() -> onnx.ModelProto:
    """Searched inverted residuals that fit a microcontroller, 176 px, 1000 classes."""
    b = QuantisedBuilder("mcunet_320kb_int8")
    x = b.qconv(b.quantise(b.input("image", (BATCH, 3, 176, 176))), 16, 3, 2)
    for i, (expand, channels, stride, kernel) in enumerate(MCUNET_320KB):
        with b.scope(f"block{i}"):
            c = int(b.shape[x][1])
            y = b.qconv(x, c * expand, 1) if expand > 1 else x
            y = b.qconv(y, c * expand, kernel, stride, groups=c * expand)
            y = b.qconv(y, channels, 1, relu=False)
            x = b.qadd(x, y, relu=False) if stride == 1 and c == channels else y
    return b.finish(classes=b.qclassifier(x, 1000))


RECIPES = (
    Recipe("ds_cnn_int8", "tiny", "int8", f"{PAPER}; Zhang et al. 2017, arXiv 1711.07128",
           "DS-CNN keyword spotting, int8", ds_cnn),
    Recipe("mobilenet_v1_025_int8", "tiny", "int8", f"{PAPER}; Howard et al. 2017, arXiv 1704.04861",
           "MobileNetV1 0.25 visual wake words, 96 px, int8", mobilenet_v1_vww),
    Recipe("resnet8_int8", "tiny", "int8", f"{PAPER}; He et al. 2015, arXiv 1512.03385",
           "ResNet-8 for CIFAR, int8", resnet8),
    Recipe("mcunet_320kb_int8", "tiny", "int8", "Lin et al. 2020, arXiv 2007.10319",
           "MCUNet for 320 KB, 176 px, int8", mcunet),
)  # fmt: skip
