"""A model as onnxruntime itself rewrites it, to be planned in place of the file."""

from __future__ import annotations

from memplan.base.children import temporary_folder
from memplan.ir.model import Model
from memplan.onnx.read import model_from_proto
from memplan.runtimes.onnxruntime.filled import filled
from memplan.runtimes.onnxruntime.options import optimization_level, session_options
from memplan.runtimes.onnxruntime.trace import opened


def optimized(model: Model, level: str = "extended", seed: int = 0) -> Model:
    """The model after onnxruntime's own optimisations, to be planned, emitted and run without any.

    Planned the other way round a plan is lost: onnxruntime fuses and reorders what was planned.

    Args:
        model: an ONNX model.
        level: "basic", "extended" or "all" ("disable" leaves the nodes as they are). What "all" writes runs on machines with the same vector
            instructions alone.
        seed: of weights that the model lacks; they are part of the result.

    Returns:
        The rewritten model, at the upper ends where the model has ranges of sizes, with all its weights, its ops as onnxruntime executes them.

    Raises:
        GraphError: the model has no ONNX source, or memplan cannot plan what onnxruntime makes of it.
        ExecutionError: onnxruntime refuses the model, or it has more than 2 GiB.
    """
    if model.at is not None:
        model = model.at({})
    proto = filled(model, seed)
    options = session_options()
    options.graph_optimization_level = optimization_level(level)
    with temporary_folder() as folder:
        path = folder / f"{model.stem}.onnx"
        options.optimized_model_filepath = str(path)
        opened(proto, options)
        rewritten = type(proto).FromString(path.read_bytes())
    sized = {value.name: value.type for value in proto.graph.input}
    for value in rewritten.graph.input:  # some sizes may have been left open
        value.type.CopyFrom(sized[value.name])
    return model_from_proto(rewritten, model.stem, model.folder, {}, model.bounds, "onnxruntime")
