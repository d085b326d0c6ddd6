"""The ONNX source of a model with every weight in it, as onnxruntime is given it."""

from __future__ import annotations

from typing import Any

from memplan.base.errors import GraphError
from memplan.ir.model import Model
from memplan.onnx.weights import with_weights


def filled(model: Model, seed: int) -> Any:
    """A ModelProto of the model that holds all weights, absent ones seeded; GraphError where there is no ONNX source."""
    from onnx import ModelProto

    if not isinstance(model.source, ModelProto):
        raise GraphError(
            f"'{model.graph.name}' comes without an ONNX source, so onnxruntime cannot run it",
            "give the .onnx file it was made from",
        )
    return with_weights(model.source, model.folder, seed)
