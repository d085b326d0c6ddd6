"""Networks at the sizes of an int8 accelerator: the operators of the float model, one byte an element.

The ten hand-drawn ones and the searched ones are those of Li et al. 2023 (COSMA, arXiv 2311.18246):
batch 1, images of 3 x 224 x 224, clips of 3 x 16 x 224 x 224.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx

from memplan.ir.graph import Graph
from memplan_models.recipes import cells, classic, nas, randwire, segmentation, transformer, video
from memplan_models.recipes.recipe import Recipe, imported, narrowed


def _int8(family: str, paper: str, summary: str, build: Callable[[], onnx.ModelProto], name: str) -> Recipe:
    def make() -> Graph:
        return narrowed(imported(build()), f"{name}_int8", "int8")

    return Recipe(f"{name}_int8", family, "int8", paper, f"{summary}, int8", make)


RECIPES = (
    _int8("cnn", "He et al. 2015, arXiv 1512.03385",
          "ResNet-50, 224 px", classic.resnet50, "resnet50"),
    _int8("cnn", "Xie et al. 2016, arXiv 1611.05431",
          "ResNeXt-50 32x4d, 224 px", classic.resnext50, "resnext50_32x4d"),
    _int8("cnn", "Huang et al. 2016, arXiv 1608.06993",
          "DenseNet-121, 224 px", classic.densenet121, "densenet121"),
    _int8("segmentation", "Jegou et al. 2016, arXiv 1611.09326",
          "FC-DenseNet103, 224 px: a U-Net of dense blocks", segmentation.fc_densenet103, "fc_densenet103"),
    _int8("segmentation", "Long et al. 2014, arXiv 1411.4038; dilated ResNet-50",
          "FCN on ResNet-50, 224 px", segmentation.fcn_resnet50, "fcn_resnet50"),
    _int8("segmentation", "Chen et al. 2017, arXiv 1706.05587",
          "DeepLabV3 on ResNet-50, 224 px: atrous pyramid", segmentation.deeplabv3_resnet50, "deeplabv3_resnet50"),
    _int8("segmentation", "Howard et al. 2019, arXiv 1905.02244, section 6.4",
          "L-RASPP on MobileNetV3-Large, 224 px", segmentation.lraspp_mobilenet_v3, "lraspp_mobilenet_v3"),
    _int8("video", "Tran et al. 2017, arXiv 1711.11248",
          "R(2+1)D-18, 16 frames of 224 px", video.r2plus1d_18, "r2plus1d_18"),
    _int8("video", "Xie et al. 2017, arXiv 1712.04851",
          "S3D, 16 frames of 224 px: Inception over space and time", video.s3d, "s3d"),
    _int8("transformer", "Vaswani et al. 2017, arXiv 1706.03762",
          "Transformer base, encoder and decoder, 128 tokens each", transformer.transformer_base,
          "transformer_base"),
    _int8("transformer", "Dosovitskiy et al. 2020, arXiv 2010.11929",
          "ViT-B/16, 224 px", transformer.vit_b16, "vit_b16"),
    _int8("nas", "Liu et al. 2017, arXiv 1712.00559",
          "PNASNet-5 (3, 54), 224 px", cells.pnasnet5_mobile, "pnasnet5_mobile"),
    _int8("nas", "Real et al. 2018, arXiv 1802.01548; Huang et al. 2018, arXiv 1811.06965",
          "AmoebaNet-D (18, 208), 224 px", cells.amoebanet_d_18_208, "amoebanet_d"),
    _int8("nas", "Zoph et al. 2017, arXiv 1707.07012",
          "NASNet-A (4 @ 1056), 224 px", nas.nasnet_mobile, "nasnet_a_mobile"),
    _int8("nas", "Liu et al. 2018, arXiv 1806.09055",
          "DARTS second order, 14 cells, 224 px", nas.darts_imagenet, "darts_imagenet"),
    _int8("nas", randwire.PAPER,
          "RandWire-WS(4, 0.75) regular, 224 px: four randomly wired stages", randwire.randwire_ws_regular,
          "randwire_ws_regular"),
)  # fmt: skip
