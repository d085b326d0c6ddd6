"""What a zoo model is made from, and how its graph is read at another precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx

from memplan.graph import Graph
from memplan.importers.onnx import model_from_bytes

WIDTH = {"int8": 1, "float16": 2}
FLOATS = ("float16", "float32")


@dataclass(frozen=True)
class Recipe:
    """One zoo model: `build` makes its ModelProto, or its graph where no ONNX operator says what it does.

    `paper` is where the architecture is defined; `dtype` is that of most tensors.
    """

    name: str
    family: str
    dtype: str
    paper: str
    summary: str
    build: Callable[[], onnx.ModelProto | Graph]


def imported(model: onnx.ModelProto) -> Graph:
    """The model's graph at batch 1."""
    return model_from_bytes(model.SerializeToString(), model.graph.name, ".", {}).graph


def narrowed(model: onnx.ModelProto, dtype: str) -> Graph:
    """The model's graph with every float element stored as `dtype`, named after it: the sizes that an
    accelerator of that precision plans with. Operators, shapes and flops stay."""
    graph = imported(model)
    tensors = tuple(
        replace(t, dtype=dtype, nbytes=math.prod(t.shape) * WIDTH[dtype])
        if t.dtype in FLOATS and t.shape is not None
        else t
        for t in graph.tensors
    )
    return Graph(f"{graph.name}_{dtype}", tensors, graph.ops)
