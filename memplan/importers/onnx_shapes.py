"""Shapes and element types of every tensor of an ONNX model: fixed, inferred, and at last measured."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from memplan.errors import GraphError, OptionError, nearest
from memplan.importers.dtypes import nbytes

TensorType = tuple[int, tuple[int, ...]]
"""Element type (TensorProto.DataType) and shape."""

LARGE = 1024
"""Bytes beyond which an initializer's values cannot matter to a shape and are left out of inference."""

_BATCH = re.compile(r"(?i)n|b|bs|batch.*|.*batch(_?size)?|unk__\d+|")


def fix_dims(graph: Any, dims: Mapping[str, int]) -> tuple[dict[str, int], list[str]]:
    """Write a size into every free dimension of the graph's inputs.

    Returns the sizes by name (a dimension without one is called INPUT:AXIS) and what was decided
    without being told. A batch dimension, axis 0 by position or by name, becomes 1.
    """
    free = list(_free_dims(graph))
    names = {name for _, _, dim, place in free for name in (dim.dim_param, place) if name}
    if unknown := sorted(set(dims) - names):
        raise OptionError(f"the model has no free dimension '{unknown[0]}'", nearest(unknown[0], names))
    chosen: dict[str, int] = {}
    notes: list[str] = []
    for tensor, axis, dim, place in free:
        label = dim.dim_param or place
        given = next((name for name in (place, dim.dim_param) if name in dims), None)
        if given is not None:
            size = dims[given]
        elif label in chosen:
            size = chosen[label]
        elif axis == 0 and _BATCH.fullmatch(dim.dim_param):
            size = 1
            notes.append(f"dimension '{label}' of input '{tensor}' was free and is taken as 1; "
                         f"change it with --dim {label}=V")  # fmt: skip
        else:
            raise GraphError(f"dimension '{label}' of input '{tensor}' (axis {axis}) is free",
                             f"give it a size: --dim {label}=V")  # fmt: skip
        chosen[given if given is not None else label] = size
        dim.dim_value = size
    _substitute(graph, chosen)
    return chosen, notes


def _free_dims(graph: Any) -> Iterator[tuple[str, int, Any, str]]:
    """(input, axis, dimension, INPUT:AXIS) of what the inputs leave open; GraphError for shapes that
    cannot be."""
    weights = {t.name for t in graph.initializer}
    for value in graph.input:
        if value.name in weights:
            continue
        tensor = _tensor_type(value.name, value.type)
        if tensor is None or not tensor.HasField("shape"):
            raise GraphError(f"input '{value.name}' has no shape", "declare its shape and export again")
        for axis, dim in enumerate(tensor.shape.dim):
            if not dim.HasField("dim_value") or dim.dim_value == -1:  # some exporters write a free one as -1
                yield value.name, axis, dim, f"{value.name}:{axis}"
            elif dim.dim_value < 0:
                raise GraphError(f"input '{value.name}' has the size {dim.dim_value} on axis {axis}",
                                 "sizes are whole numbers from 0")  # fmt: skip


def _substitute(graph: Any, sizes: Mapping[str, int]) -> None:
    """Sizes for the same names elsewhere; -1 stands for unknown there too."""
    for value in (*graph.output, *graph.value_info):
        if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
            continue
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value == -1:
                dim.ClearField("dim_value")
            if dim.dim_param in sizes and dim.HasField("dim_param"):
                dim.dim_value = sizes[dim.dim_param]


def infer_types(proto: Any, needed: set[str]) -> dict[str, TensorType]:
    """Type of every tensor in `needed` that any of three sources knows.

    What the file declares, ONNX shape inference with data propagation, and, only for what is still
    missing, one run in onnxruntime.
    """
    light = _without_large_weights(proto)
    try:
        inferred = onnx.shape_inference.infer_shapes(
            light, check_type=False, strict_mode=False, data_prop=True
        )
    except Exception as error:  # C++ exceptions of several kinds
        text = (str(error).strip().splitlines() or [""])[0][:200]
        raise GraphError(f"shape inference failed: {text}", "check the model with onnx.checker") from error
    types: dict[str, TensorType] = {}
    graph = inferred.graph
    for value in (*graph.value_info, *graph.output, *graph.input):
        if value.name in needed:
            tensor = _tensor_type(value.name, value.type)
            if tensor is not None and (known := _static(tensor)) is not None:
                types[value.name] = known
    for weight in proto.graph.initializer:
        types[weight.name] = weight.data_type, tuple(weight.dims)
    for sparse in proto.graph.sparse_initializer:
        types[sparse.values.name] = sparse.values.data_type, tuple(sparse.dims)
    if missing := sorted(needed - types.keys()):
        from memplan.importers.onnx_measure import measure_types

        total = sum(nbytes(name, *types[name]) for name in needed if name in types)
        types |= measure_types(light, missing, total)
    return types


def _tensor_type(name: str, type_proto: Any) -> Any:
    """The tensor type of a value, None where nothing is declared; GraphError for any other type."""
    kind = type_proto.WhichOneof("value")
    if kind is None:
        return None
    if kind != "tensor_type":
        raise GraphError(f"'{name}' is a {kind.removesuffix('_type')}, not a tensor",
                         "sequences, maps, optionals and sparse tensors have no fixed size; "
                         "export the model without them")  # fmt: skip
    return type_proto.tensor_type


def _static(tensor: Any) -> TensorType | None:
    if not tensor.elem_type or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tensor.elem_type, tuple(dim.dim_value for dim in dims)


def _without_large_weights(proto: Any) -> Any:
    """A copy in which large or external initializers are inputs: their shapes matter, their values do not."""
    light = onnx.ModelProto()
    light.ir_version = max(proto.ir_version, 4)
    light.opset_import.extend(proto.opset_import)
    graph = light.graph
    graph.name = "light"
    graph.node.extend(proto.graph.node)
    graph.output.extend(proto.graph.output)
    graph.value_info.extend(proto.graph.value_info)
    graph.sparse_initializer.extend(proto.graph.sparse_initializer)
    declared = {value.name for value in proto.graph.input}
    graph.input.extend(proto.graph.input)
    for weight in proto.graph.initializer:
        external = weight.data_location == onnx.TensorProto.EXTERNAL
        if not external and weight.ByteSize() <= LARGE:
            graph.initializer.append(weight)
        elif weight.name not in declared:
            graph.input.append(
                onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims))
            )
    return light
