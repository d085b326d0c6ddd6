"""The ONNX source of a model with every weight in it, as onnxruntime is given it."""

from __future__ import annotations

from typing import Any

from memplan.base.errors import GraphError
from memplan.base.units import format_size
from memplan.ir.model import Model
from memplan.onnx.weights import with_weights

MOST_BYTES = 2**31 - 2**20
"""What a model file can hold of weights; protobuf's own limit is 2 GiB in all."""


def filled(model: Model, seed: int) -> Any:
    """A ModelProto of the model that holds all weights, absent ones seeded.

    GraphError where there is no ONNX source, or more weights than one file holds.
    """
    from onnx import ModelProto

    if not isinstance(model.source, ModelProto):
        raise GraphError(
            f"'{model.graph.name}' comes without an ONNX source, so onnxruntime cannot run it",
            "give the .onnx file it was made from",
        )
    nbytes = sum(t.nbytes for t in model.graph.tensors if t.kind == "constant")
    if nbytes > MOST_BYTES:
        raise GraphError(
            f"'{model.graph.name}' has {format_size(nbytes)} of weights, an ONNX file holds 2 GiB at most",
            "measure a smaller model of the same shape: fewer layers or experts",
        )
    return with_weights(model.source, model.folder, seed)
