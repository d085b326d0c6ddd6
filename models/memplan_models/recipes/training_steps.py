"""Training steps of zoo networks, and training on a device of 256 KiB."""

from __future__ import annotations

import onnx

from memplan.ir.graph import Graph
from memplan_models.recipes import classic, mobile, segmentation, transformer
from memplan_models.recipes.builder import BATCH, Builder
from memplan_models.recipes.recipe import Recipe, narrowed
from memplan_models.recipes.training import parameters, training_step

MCUNET_5FPS = (
    (1, 8, 1, 3), (4, 16, 2, 3), (3, 16, 1, 3), (3, 24, 2, 7), (5, 24, 1, 3), (5, 40, 2, 3), (4, 40, 1, 7),
    (4, 48, 1, 5), (3, 48, 1, 3), (4, 48, 1, 3), (5, 96, 2, 7), (4, 96, 1, 5), (4, 96, 1, 5), (6, 160, 1, 3),
)  # fmt: skip
"""Expansion, channels, stride, kernel of the blocks of MCUNet's net for five frames a second."""


def mcunet_5fps() -> onnx.ModelProto:
    """MCUNet's net for five frames a second, at 112 px with 10 classes."""
    b = Builder("mcunet_5fps")
    x = b.relu6(b.conv(b.input("image", (BATCH, 3, 112, 112)), 16, 3, 2))
    for i, (expand, channels, stride, kernel) in enumerate(MCUNET_5FPS):
        with b.scope(f"block{i}"):
            c = int(b.shape[x][1])
            y = b.relu6(b.conv(x, c * expand, 1)) if expand > 1 else x
            y = b.relu6(b.conv(y, c * expand, kernel, stride, groups=c * expand))
            y = b.conv(y, channels, 1)
            x = b.add(x, y) if stride == 1 and c == channels else y
    return b.finish(classes=b.classifier(x, 10))


SPARSE_BIASES = range(6, 14)
"""Blocks whose biases are trained."""
SPARSE_WEIGHTS = {10: 0.25, 11: 0.5, 12: 1.0, 13: 0.5}
"""Blocks whose first pointwise convolution is trained, and what share of its input channels."""


def sparse_parameters(model: onnx.ModelProto) -> dict[str, float]:
    """What a sparse update trains: the classifier, late biases, and shares of late pointwise weights."""
    shares = {}
    for name in parameters(model):
        scope, _, leaf = name.rpartition("/")
        block = int(scope.removeprefix("block")) if scope else len(MCUNET_5FPS)
        if not scope and leaf.startswith("fc") or block in SPARSE_BIASES and "bias" in leaf:
            shares[name] = 1.0
        elif block in SPARSE_WEIGHTS and leaf == "conv.weight":
            shares[name] = SPARSE_WEIGHTS[block]
    return shares


def tiny_sparse() -> Graph:
    """A sparse update on the device: int8, batch 1, plain SGD as soon as a gradient is there."""
    model = mcunet_5fps()
    step = training_step(model, "", "sgd", sparse_parameters(model), at_once=True)
    return narrowed(step, "mcunet_5fps_train_sparse_int8", "int8")


def tiny_full() -> Graph:
    """The same network with every parameter trained, the optimizer at the end."""
    return narrowed(training_step(mcunet_5fps(), "", "sgd"), "mcunet_5fps_train_full_int8", "int8")


def _step(name: str, model: onnx.ModelProto, optimizer: str, batch: int) -> Graph:
    return training_step(model, name, optimizer, batch=batch)


PAPER = "Steiner et al. 2022, arXiv 2210.12924 (training graphs)"
RECIPES = (
    Recipe("resnet50_train", "training", "float32", f"{PAPER}; He et al. 2015, arXiv 1512.03385",
           "ResNet-50 training step, batch 8, momentum, norms folded",
           lambda: _step("resnet50_train", classic.resnet50(), "momentum", 8)),
    Recipe("mobilenet_v2_train", "training", "float32", f"{PAPER}; Sandler et al. 2018, arXiv 1801.04381",
           "MobileNetV2 training step, batch 8, SGD, norms folded",
           lambda: _step("mobilenet_v2_train", mobile.mobilenet_v2(), "sgd", 8)),
    Recipe("efficientnet_b0_train", "training", "float32", f"{PAPER}; Tan & Le 2019, arXiv 1905.11946",
           "EfficientNet-B0 training step, batch 1, momentum, norms folded",
           lambda: _step("efficientnet_b0_train", mobile.efficientnet_b0(), "momentum", 1)),
    Recipe("mnasnet_a1_train", "training", "float32", f"{PAPER}; Tan et al. 2018, arXiv 1807.11626",
           "MnasNet-A1 training step, batch 8, SGD, norms folded",
           lambda: _step("mnasnet_a1_train", mobile.mnasnet_a1(), "sgd", 8)),
    Recipe("inception_v3_train", "training", "float32", f"{PAPER}; Szegedy et al. 2015, arXiv 1512.00567",
           "Inception-v3 training step, batch 4, momentum, norms folded",
           lambda: _step("inception_v3_train", classic.inception_v3(), "momentum", 4)),
    Recipe("vgg16_train", "training", "float32", f"{PAPER}; Simonyan & Zisserman 2014, arXiv 1409.1556",
           "VGG-16 training step, batch 8, momentum",
           lambda: _step("vgg16_train", classic.vgg16(), "momentum", 8)),
    Recipe("unet_train", "training", "float32", "Ronneberger et al. 2015, arXiv 1505.04597",
           "U-Net training step, batch 2, momentum",
           lambda: _step("unet_train", segmentation.unet(), "momentum", 2)),
    Recipe("gpt2_char_train", "training", "float32", f"{PAPER}; Radford et al. 2019 (GPT-2)",
           "GPT-2 blocks, training step on 4 x 128 characters, Adam",
           lambda: _step("gpt2_char_train", transformer.gpt2_char(), "adam", 4)),
    Recipe("vit_ti16_train", "training", "float32", f"{PAPER}; Dosovitskiy et al. 2020, arXiv 2010.11929",
           "ViT-Ti/16 training step, batch 1, Adam",
           lambda: _step("vit_ti16_train", transformer.vit_ti16(), "adam", 1)),
    Recipe("mcunet_5fps_train_sparse_int8", "training", "int8",
           "Lin et al. 2022, arXiv 2206.15472; Lin et al. 2020, arXiv 2007.10319",
           "MCUNet on a device: sparse update of biases and shares of weights, int8", tiny_sparse),
    Recipe("mcunet_5fps_train_full_int8", "training", "int8",
           "Lin et al. 2022, arXiv 2206.15472; Lin et al. 2020, arXiv 2007.10319",
           "MCUNet on a device: every parameter trained, int8", tiny_full),
)  # fmt: skip
