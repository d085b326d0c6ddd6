"""Shapes and element types of every tensor of an ONNX model: inferred, declared, and at last measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from memplan.errors import GraphError
from memplan.importers.dtypes import nbytes
from memplan.importers.onnx_checks import first_line
from memplan.importers.onnx_dims import tensor_type

TensorType = tuple[int, tuple[int, ...]]
"""Element type (TensorProto.DataType) and shape."""

LARGE = 1024
"""Bytes beyond which an initializer's values cannot matter to a shape and are left out of inference."""

INFERENCE_MEMORY = 2**30
"""Bytes that shape inference may take, and 16 more for each byte of the model: damaged shapes ask for more."""


def infer_types(
    proto: Any, nodes: Sequence[Any], needed: set[str]
) -> tuple[dict[str, TensorType], list[str]]:
    """Type of every tensor in `needed` that any of three sources knows, and notes for people.

    ONNX shape inference with data propagation over `nodes` (in an order that respects dependencies);
    where it leaves gaps, what the file declares; and only for what is still missing, one run in
    onnxruntime. What can be inferred is not believed from the file: it may be stale.
    """
    light = _without_large_weights(proto, nodes)
    types = _inferred(light, needed)
    for weight in proto.graph.initializer:
        types[weight.name] = weight.data_type, tuple(weight.dims)
    for sparse in proto.graph.sparse_initializer:
        types[sparse.values.name] = sparse.values.data_type, tuple(sparse.dims)
    values = [*proto.graph.value_info, *proto.graph.output]
    notes = _stale(values, types)
    if needed - types.keys() and (declared := [v for v in values if v.name not in types]):
        light.graph.value_info.extend(declared)
        types = _inferred(light, needed) | types
    if missing := sorted(needed - types.keys()):
        from memplan.importers.onnx_measure import measure_types

        total = sum(nbytes(name, *types[name]) for name in needed if name in types)
        measured = measure_types(light, missing, total)
        types |= measured
        if measured:
            more = f" and {len(measured) - 1} more" if len(measured) > 1 else ""
            notes.append(
                f"the shape of tensor '{min(measured)}'{more} was read off one run on made-up inputs"
            )
    return types, notes


def _inferred(light: Any, needed: set[str]) -> dict[str, TensorType]:
    try:
        with _bounded(INFERENCE_MEMORY + 16 * light.ByteSize()):
            graph = onnx.shape_inference.infer_shapes(
                light, check_type=False, strict_mode=False, data_prop=True
            ).graph
    except Exception as error:  # C++ exceptions of several kinds
        text = first_line(error)
        if isinstance(error, MemoryError) or "bad_alloc" in text:
            text = "it runs out of memory; some shape in the file cannot be right"
        raise GraphError(f"shape inference failed: {text}", "check the model with onnx.checker") from error
    types: dict[str, TensorType] = {}
    for value in (*graph.value_info, *graph.output, *graph.input):
        if value.name in needed and (known := _static(tensor_type(value.name, value.type))) is not None:
            types[value.name] = known
    return types


@contextmanager
def _bounded(more: int) -> Iterator[None]:
    """A soft limit on the process's data `more` bytes above what it holds now, where the system has one."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[5])
    except (ImportError, OSError, ValueError, IndexError):
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = pages * resource.getpagesize() + more
    for known in (soft, hard):
        limit = limit if known == resource.RLIM_INFINITY else min(limit, known)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _static(tensor: Any) -> TensorType | None:
    if tensor is None or not tensor.elem_type or not tensor.HasField("shape"):
        return None
    dims = tensor.shape.dim
    if not all(dim.HasField("dim_value") for dim in dims):
        return None
    return tensor.elem_type, tuple(dim.dim_value for dim in dims)


def _stale(values: Sequence[Any], types: Mapping[str, TensorType]) -> list[str]:
    """A note on each output or intermediate (the first, and how many more) declared as what it is not."""
    wrong = []
    for value in values:
        declared = _static(tensor_type(value.name, value.type))
        if declared is not None and value.name in types and types[value.name] != declared:
            wrong.append((value.name, list(declared[1]), list(types[value.name][1])))
    if not wrong:
        return []
    name, shape, real = wrong[0]
    more = f", and so are {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return [f"tensor '{name}' is declared as {shape} but comes out as {real}{more}; inference is followed"]


def _without_large_weights(proto: Any, nodes: Sequence[Any]) -> Any:
    """A copy in which large or external initializers are inputs (their shapes matter, their values do not)
    and nothing is declared of what nodes write."""
    light = onnx.ModelProto()
    light.ir_version = max(proto.ir_version, 4)
    light.opset_import.extend(proto.opset_import)
    graph = light.graph
    graph.name = "light"
    graph.node.extend(nodes)
    for value in proto.graph.output:
        graph.output.add().name = value.name
    declared = {value.name for value in proto.graph.input}
    graph.input.extend(proto.graph.input)
    for sparse in proto.graph.sparse_initializer:
        if sparse.values.name not in declared:
            graph.input.append(_value(sparse.values, sparse.dims))
    for weight in proto.graph.initializer:
        external = weight.data_location == onnx.TensorProto.EXTERNAL
        if not external and weight.ByteSize() <= LARGE:
            graph.initializer.append(weight)
        elif weight.name not in declared:
            graph.input.append(_value(weight, weight.dims))
    return light


def _value(weight: Any, dims: Sequence[int]) -> Any:
    return onnx.helper.make_tensor_value_info(weight.name, weight.data_type, list(dims))
