"""Sizes for the free dimensions of an ONNX model's inputs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import onnx

from memplan.base.errors import DimensionError, GraphError, nearest
from memplan.ir.ranges import Dims, Size, check_size, ranges, upper

_BATCH = re.compile(
    r"(?i)n|b|bs|(.*[\W_])?batch(e[sd])?([\W_]?(size|dim|axis|num|n))?|num_?batch(es)?|unk__\d+"
)
_NOT_BATCH = re.compile(
    r"(?i).*(seq|len|time|step|frame|token|past|cache|height|width|chan|feat|vocab).*|[tlshwcd]"
)


def fix_dims(graph: Any, dims: Dims) -> tuple[dict[str, Size], list[str]]:
    """Write a size into every free dimension of the graph's inputs; one that is given a range stays open, under a name.

    Returns the sizes by name (a dimension without one is called INPUT:AXIS) and what was decided
    without being told: a batch dimension, by its name or as axis 0 unless the name says otherwise,
    becomes 1. GraphError names any other that has no size, OptionError a size for no dimension.
    """
    free = list(_free_dims(graph))
    names = {name for _, _, dim, place in free for name in (dim.dim_param, place) if name}
    for name, size in dims.items():
        if name not in names:
            raise DimensionError(f"the model has no free dimension '{name}'", nearest(name, names))
        check_size(name, size)
    chosen = dict(dims)
    for _, _, dim, place in free:  # a size given by place also holds for others of that name
        if place in dims and dim.dim_param:
            chosen.setdefault(dim.dim_param, dims[place])
    notes: list[str] = []
    opened: dict[str, Size] = {}
    for tensor, axis, dim, place in free:
        label = dim.dim_param or place
        if place not in chosen and label not in chosen:
            if not _is_batch(dim.dim_param, axis):
                raise GraphError(
                    f"dimension '{label}' of input '{tensor}' (axis {axis}) is free",
                    f"give it a size: --dim {label}=V",
                )
            chosen[label] = 1
            notes.append(
                f"dimension '{label}' of input '{tensor}' was free and is taken as 1; "
                f"change it with --dim {label}=V"
            )
        size = chosen[place] if place in chosen else chosen[label]
        if isinstance(size, tuple):
            dim.dim_param = label if chosen.get(label) == size else place
            opened[dim.dim_param] = size
        else:
            dim.dim_value = size
    fixed = {name: size for name, size in chosen.items() if not isinstance(size, tuple)}
    _substitute(graph, fixed)
    return {
        name: opened.get(name, chosen[name]) for name in (*chosen, *opened) if name in fixed or name in opened
    }, notes


def closed(proto: Any, dims: Dims) -> Any:
    """The proto itself, or a copy in which the dimensions that `fix_dims` left open have their upper ends."""
    if not (open_ones := ranges(dims)):
        return proto
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    fix_dims(copy.graph, {name: upper(size) for name, size in open_ones.items()})
    return copy


def open_axes(graph: Any) -> dict[tuple[str, int], str]:
    """The names of the dimensions that `fix_dims` left open, by input and axis."""
    return {(name, axis): dim.dim_param for name, axis, dim, _ in _free_dims(graph)}


def _is_batch(name: str, axis: int) -> bool:
    return bool(_BATCH.fullmatch(name)) or (axis == 0 and not _NOT_BATCH.fullmatch(name))


def _free_dims(graph: Any) -> Iterator[tuple[str, int, Any, str]]:
    """(input, axis, dimension, INPUT:AXIS) of what the inputs leave open; GraphError for shapes that
    cannot be."""
    weights = {t.name for t in graph.initializer} | {t.values.name for t in graph.sparse_initializer}
    for value in graph.input:
        if value.name in weights:
            continue
        tensor = tensor_type(value.name, value.type)
        if tensor is None or not tensor.HasField("shape"):
            raise GraphError(f"input '{value.name}' has no shape", "declare its shape and export again")
        for axis, dim in enumerate(tensor.shape.dim):
            if not dim.HasField("dim_value") or dim.dim_value == -1:  # some exporters write a free one as -1
                yield value.name, axis, dim, f"{value.name}:{axis}"
            elif dim.dim_value < 0:
                raise GraphError(
                    f"input '{value.name}' has the size {dim.dim_value} on axis {axis}",
                    "sizes are whole numbers from 0",
                )


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


def tensor_type(name: str, type_proto: Any) -> Any:
    """The tensor type of a value, None where nothing is declared; GraphError for any other type."""
    kind = type_proto.WhichOneof("value")
    if kind is None:
        return None
    if kind != "tensor_type":
        what = kind.removesuffix("_type").replace("_", " ")
        article = "an" if what[0] in "aeiou" else "a"
        raise GraphError(
            f"'{name}' is {article} {what}, not a dense tensor",
            "sequences, maps, optionals and sparse tensors have no fixed size; export the model without them",
        )
    return type_proto.tensor_type
