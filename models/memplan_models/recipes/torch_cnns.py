"""Convolutional networks as torch.export sees them, and the parts the training steps are made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memplan_models.recipes.torch_builder import TorchRecipe, exported, floats


class ConvNextBlock(nn.Module):
    """Depthwise convolution, then a perceptron over channels last (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix, self.norm = (
            nn.Conv2d(width, width, 7, padding=3, groups=width),
            nn.LayerNorm(width, eps=1e-6),
        )
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.mix(x).permute(0, 2, 3, 1))
        return x + (self.scale * self.narrow(F.gelu(self.wide(y)))).permute(0, 3, 1, 2)


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of an image."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Four stages of blocks, each behind a patchifying convolution."""

    def __init__(self, depths: tuple[int, ...], widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 4, 4), ChannelNorm(widths[0], eps=1e-6)]
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if i:
                layers += [ChannelNorm(widths[i - 1], eps=1e-6), nn.Conv2d(widths[i - 1], width, 2, 2)]
            layers += [ConvNextBlock(width) for _ in range(depth)]
        self.body = nn.Sequential(*layers)
        self.norm, self.head = nn.LayerNorm(widths[-1], eps=1e-6), nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.body(x).mean((2, 3))))


class DoubleConv(nn.Sequential):
    """Two 3x3 convolutions with normalisation."""

    def __init__(self, before: int, width: int) -> None:
        layers: list[nn.Module] = []
        for a in (before, width):
            layers += [
                nn.Conv2d(a, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class UNet(nn.Module):
    """An encoder whose every level is handed across to the decoder (Ronneberger et al. 2015)."""

    def __init__(self, widths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(DoubleConv(a, b) for a, b in zip((3, *widths), widths, strict=False))
        pairs = list(zip(widths[::-1], widths[-2::-1], strict=False))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, 2) for a, b in pairs)
        self.up = nn.ModuleList(DoubleConv(a, b) for a, b in pairs)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for i, level in enumerate(self.down):
            x = level(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for grow, level, skip in zip(self.grow, self.up, skips[-2::-1], strict=True):
            x = level(torch.cat((skip, grow(x)), 1))
        return self.head(x)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.short: nn.Module = nn.Identity()
        if stride > 1 or before != width:
            self.short = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        return F.relu(y + self.short(x))


class ResNet18(nn.Module):
    """ResNet-18 for small images: a 3x3 stem without pooling; `width` channels in the first stage."""

    def __init__(self, classes: int, width: int = 64) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        widths = tuple(width * times for times in (1, 1, 1, 2, 2, 4, 4, 8, 8))
        self.blocks = nn.Sequential(
            *(BasicBlock(a, b, 2 if b > a else 1) for a, b in zip(widths, widths[1:], strict=False))
        )
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu(self.norm(self.stem(x)))).mean((2, 3)))


def convnext_tiny(size: int = 224) -> Any:
    """ConvNeXt-T on one image."""
    return exported(lambda: ConvNext((3, 3, 9, 3), (96, 192, 384, 768), 1000), floats(1, 3, size, size))


def unet(size: int = 128) -> Any:
    """A U-Net of four levels on one image."""
    return exported(lambda: UNet((32, 64, 128, 256), 2), floats(1, 3, size, size))


RECIPES = (
    TorchRecipe("torch_convnext_tiny", "cnn", "float32", "Liu et al. 2022, arXiv 2201.03545",
                "ConvNeXt-T, its channels permuted back and forth by views, from torch.export", convnext_tiny),
    TorchRecipe("torch_unet", "segmentation", "float32", "Ronneberger et al. 2015, arXiv 1505.04597",
                "U-Net of four levels on 128 x 128, long skips, from torch.export", unet),
)  # fmt: skip
