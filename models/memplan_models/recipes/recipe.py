"""What a zoo model is made from, and how its graph is read at another precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import onnx

from memplan.ir.graph import Graph
from memplan.ir.soundness import sound_ops
from memplan.onnx.read import model_from_bytes
from memplan_models.recipes.builder import BATCH

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


def imported(model: onnx.ModelProto, batch: int = 1) -> Graph:
    """The model's graph; its free batch, if it has one, is `batch`."""
    dims = {BATCH: batch} if batch > 1 else {}
    return model_from_bytes(model.SerializeToString(), model.graph.name, ".", dims).graph


def narrowed(graph: Graph, name: str, dtype: str) -> Graph:
    """The graph with every float element stored as `dtype`: the sizes that an accelerator of that precision
    plans with. Operators, shapes and flops stay."""
    tensors = tuple(
        replace(t, dtype=dtype, nbytes=math.prod(t.shape) * WIDTH[dtype])
        if t.dtype in FLOATS and t.shape is not None
        else t
        for t in graph.tensors
    )
    return Graph(name, tensors, sound_ops(tensors, graph.ops), graph.outputs, graph.updates)
