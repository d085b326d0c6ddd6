"""Denoising U-Nets of diffusion models: long skips, group norms and attention at several resolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from memplan_models.recipes.builder import Builder
from memplan_models.recipes.recipe import Recipe

Layer = Callable[[str], str]


def group_norm(b: Builder, x: str, groups: int = 32) -> str:
    """Group normalisation as exporters write it: an instance norm of the groups, then scale and shift."""
    c, *size = (int(n) for n in b.shape[x][1:])
    y = b.reshape(x, (groups, c // groups * int(np.prod(size))))
    ones, zeros = b.const("ones", np.ones(groups)), b.const("zeros", np.zeros(groups))
    y = b.op("InstanceNormalization", [y, ones, zeros], b.shape[y])
    y = b.mul(b.reshape(y, (c, *size)), b.weight("norm.scale", (c, 1, 1)))
    return b.add(y, b.weight("norm.bias", (c, 1, 1)))


def _residual(b: Builder, x: str, time: str, channels: int) -> str:
    """Two convolutions with the time embedding added between them."""
    c = int(b.shape[x][1])
    y = b.conv(b.swish(group_norm(b, x)), channels, 3)
    y = b.add(y, b.reshape(b.gemm(b.swish(time), channels), (channels, 1, 1)))
    y = b.conv(b.swish(group_norm(b, y)), channels, 3)
    return b.add(y, x if c == channels else b.conv(x, channels, 1))


def _tokens(b: Builder, x: str) -> str:
    """An image as [batch, places, channels]."""
    _, c, h, w = b.shape[x]
    return b.transpose(b.reshape(x, (int(c), int(h) * int(w))), (0, 2, 1))


def _self_attention(b: Builder, x: str) -> str:
    """Single-head attention among places."""
    y = b.attention(_tokens(b, group_norm(b, x)), 1)
    return b.add(x, b.reshape(b.transpose(y, (0, 2, 1)), tuple(int(n) for n in b.shape[x][1:])))


def _text_attention(b: Builder, x: str, text: str) -> str:
    """A transformer block among places that also reads the text; its feed-forward is gated."""
    c = int(b.shape[x][1])
    y = _tokens(b, b.conv(group_norm(b, x), c, 1))
    y = b.add(y, b.attention(b.layer_norm(y), 8, bias=False))
    y = b.add(y, b.attention(b.layer_norm(y), 8, memory=text, bias=False))
    value, gate = b.split(b.linear(b.layer_norm(y), 8 * c), 2, axis=2)
    y = b.add(y, b.linear(b.mul(value, b.gelu(gate)), c))
    y = b.reshape(b.transpose(y, (0, 2, 1)), tuple(int(n) for n in b.shape[x][1:]))
    return b.add(x, b.conv(y, c, 1))


def _unet(
    b: Builder,
    x: str,
    time: str,
    widths: Sequence[int],
    blocks: int,
    attend: Layer,
    attended: Sequence[int],
) -> str:
    """The U-Net's features: `blocks` residual blocks a level down and one more up, attention at some levels."""
    x = b.conv(x, widths[0], 3)
    skips = [x]
    for level, width in enumerate(widths):
        for i in range(blocks):
            with b.scope(f"down{level}.{i}"):
                x = _residual(b, x, time, width)
                x = attend(x) if level in attended else x
                skips.append(x)
        if level < len(widths) - 1:
            with b.scope(f"down{level}.size"):
                x = b.conv(x, width, 3, 2)
                skips.append(x)
    with b.scope("middle"):
        x = _residual(b, attend(_residual(b, x, time, widths[-1])), time, widths[-1])
    for level, width in reversed(list(enumerate(widths))):
        for i in range(blocks + 1):
            with b.scope(f"up{level}.{i}"):
                x = _residual(b, b.concat([x, skips.pop()]), time, width)
                x = attend(x) if level in attended else x
        if level:
            with b.scope(f"up{level}.size"):
                x = b.conv(b.resize(x, 2), width, 3)
    return b.swish(group_norm(b, x))


def _time(b: Builder, width: int) -> str:
    """The embedding [1, 4 · width] of a time step: sines of many frequencies and two layers."""
    half = width // 2
    angle = b.mul(b.weight("frequencies", (1, half)), b.input("timestep", (1, 1)))
    waves = b.concat([b.op("Cos", [angle], (1, half)), b.op("Sin", [angle], (1, half))])
    return b.gemm(b.swish(b.gemm(waves, 4 * width)), 4 * width)


def ddpm_cifar() -> onnx.ModelProto:
    """DDPM for CIFAR-10: widths 128, 256, 256, 256, attention at 16 x 16."""
    b = Builder("ddpm_cifar")
    x = b.input("image", (1, 3, 32, 32))

    def attend(y: str) -> str:
        return _self_attention(b, y)

    y = _unet(b, x, _time(b, 128), (128, 256, 256, 256), 2, attend, (1,))
    return b.finish(noise=b.conv(y, 3, 3))


def stable_diffusion() -> onnx.ModelProto:
    """Stable Diffusion 1's U-Net: 64 x 64 latents, widths 320 to 1280, 77 text tokens of width 768."""
    b = Builder("stable_diffusion_unet", TensorProto.FLOAT16)
    x, text = b.input("latent", (1, 4, 64, 64)), b.input("text", (1, 77, 768))

    def attend(y: str) -> str:
        return _text_attention(b, y, text)

    y = _unet(b, x, _time(b, 320), (320, 640, 1280, 1280), 2, attend, (0, 1, 2))
    return b.finish(noise=b.conv(y, 4, 3))


def latent_diffusion_small() -> onnx.ModelProto:
    """The same structure at a size for phones: 32 x 32 latents, widths 64 to 256, one block a level."""
    b = Builder("latent_diffusion_small")
    x, text = b.input("latent", (1, 4, 32, 32)), b.input("text", (1, 77, 256))

    def attend(y: str) -> str:
        return _text_attention(b, y, text)

    y = _unet(b, x, _time(b, 64), (64, 128, 256), 1, attend, (0, 1, 2))
    return b.finish(noise=b.conv(y, 4, 3))


RECIPES = (
    Recipe("ddpm_cifar", "diffusion", "float32", "Ho et al. 2020, arXiv 2006.11239",
           "DDPM U-Net, 32 px: group norms, attention at 16 x 16", ddpm_cifar),
    Recipe("stable_diffusion_unet", "diffusion", "float16", "Rombach et al. 2021, arXiv 2112.10752",
           "Stable Diffusion 1 U-Net, 64 x 64 latents, 77 text tokens, float16", stable_diffusion),
    Recipe("latent_diffusion_small", "diffusion", "float32", "Rombach et al. 2021, arXiv 2112.10752 (structure)",
           "A small latent-diffusion U-Net, 32 x 32 latents", latent_diffusion_small),
)  # fmt: skip
