"""Whole training steps: forward, backward and optimizer in one graph, weights and state updated in place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memplan_models.recipes.torch_builder import TorchRecipe, adam, floats, ids, sgd, training_step
from memplan_models.recipes.torch_cnns import ResNet18
from memplan_models.recipes.torch_transformers import Gpt2Layer


class TinyGpt(nn.Module):
    """A decoder that predicts every next token, with untied embeddings."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, steps: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(steps, width)
        self.layers = nn.ModuleList(Gpt2Layer(width, heads) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.words(tokens) + self.places(torch.arange(tokens.shape[1]))
        for layer in self.layers:
            x = layer(x)[0]
        return self.head(self.norm(x))


class SmallCnn(nn.Module):
    """Three convolutions and a head."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in ((3, 16), (16, 32), (32, 64)))
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = F.relu(conv(x))
        return self.head(x.mean((2, 3)))


def token_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy over all positions."""
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))


def resnet18_step(batch: int = 8, size: int = 32, width: int = 64) -> Any:
    """ResNet-18, SGD with momentum."""
    images, labels = floats(batch, 3, size, size), ids(batch)
    return training_step(lambda: ResNet18(10, width), F.cross_entropy, sgd(), 1, images, labels)


def small_cnn_step(batch: int = 8, size: int = 32) -> Any:
    """Three convolutions, SGD with momentum."""
    images, labels = floats(batch, 3, size, size), ids(batch)
    return training_step(lambda: SmallCnn(10), F.cross_entropy, sgd(), 1, images, labels)


def tiny_gpt_step(layers: int = 2, width: int = 128, heads: int = 4, batch: int = 4, steps: int = 64) -> Any:
    """A decoder of two layers, Adam."""
    tokens = ids(batch, steps)
    return training_step(
        lambda: TinyGpt(layers, width, heads, 512, steps), token_loss, adam(), 2, tokens, tokens
    )


RECIPES = (
    TorchRecipe("torch_resnet18_train", "training", "float32", "He et al. 2016, arXiv 1512.03385",
                "training step of ResNet-18 (batch 8, 32 x 32): forward, backward, SGD with momentum", resnet18_step),
    TorchRecipe("torch_tiny_gpt_train", "training", "float32", "Radford et al. 2019; Kingma & Ba 2015, arXiv 1412.6980",
                "training step of a two-layer decoder (batch 4, 64 tokens): forward, backward, Adam", tiny_gpt_step),
    TorchRecipe("torch_small_cnn_train", "training", "float32", "LeCun et al. 1998",
                "training step of a three-layer CNN (batch 8, 32 x 32): forward, backward, SGD", small_cnn_step),
)  # fmt: skip
