"""From a file or a zoo name to a Model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from memplan.base.errors import BoundError, DimensionError, GraphError
from memplan.base.files import check_name
from memplan.ir.model import Model
from memplan.ir.ranges import Dims
from memplan.torch.read import RUNTIME


def load_model(
    model: str | Path,
    dims: Dims,
    bounds: Mapping[str, tuple[int, ...]] | None = None,
    *,
    trust: bool = False,
    runtime: str | None = None,
) -> Model:
    """The model in the file `model`, by its ending, or the zoo model of that name; BoundError where only ONNX
    takes bounds.

    `trust` lets a .pt2 hold what can run code as it is loaded. The ops of an ONNX model or a .pt2 are as `runtime` executes them.
    """
    if not isinstance(model, str | Path):
        raise GraphError(
            f"a {type(model).__name__} is no path",
            "load takes files; an exported program is read by memplan.from_exported, a traced module by memplan.from_fx",
        )
    path = Path(model)
    for part in path.parts:
        check_name(part)
    if bounds and path.suffix in (".json", ".pt2", ".tflite"):
        raise BoundError(
            f"'{path}' takes no bounds: every size in it is known",
            "leave --bound out; dimensions are sized by --dim",
        )
    if path.suffix == ".json":
        from memplan.io.graph_json import read_graph

        if dims:
            raise DimensionError("a graph JSON has no free dimensions", "leave --dim out")
        return Model(read_graph(path), path.stem)
    if path.suffix == ".onnx":
        from memplan.onnx.read import read_onnx

        return read_onnx(path, dims, bounds, None if runtime == RUNTIME else runtime)
    if path.suffix == ".pt2" and runtime == "executorch":
        from memplan.torch.executorch import require_executorch

        require_executorch()
        from memplan.torch.executorch.read import read_pt2_for_executorch

        return read_pt2_for_executorch(path, dims, trust)
    if path.suffix == ".pt2":
        from memplan.torch.read import read_pt2

        return read_pt2(path, dims, trust, runtime)
    if path.suffix == ".tflite":
        from memplan.tflite.read import read_tflite

        return read_tflite(path, dims)
    from memplan.library.zoo import load_zoo_model

    return load_zoo_model(str(model), dims, bounds, runtime)
