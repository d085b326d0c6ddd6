"""Largest sizes that a user gives for tensors whose real ones only a run decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from memplan.base.errors import BoundError, nearest
from memplan.onnx.checks import every_graph

TensorType = tuple[int, tuple[int, ...]]
"""Element type (TensorProto.DataType) and shape."""

PartialType = tuple[int, tuple[int | None, ...] | None]
"""Element type and shape as far as they are known: None for a free axis, or for an unknown rank."""


def check_bounds(graph: Any, bounds: Mapping[str, tuple[int, ...]]) -> None:
    """BoundError where a bound is for no tensor that a node of the graph, or of a body in it, writes."""
    written = {name for one in every_graph(graph) for node in one.node for name in node.output if name}
    inputs = {value.name for value in graph.input}
    for name in bounds:
        if name in inputs:
            raise BoundError(
                f"'{name}' is an input, which has no bound", "size its free dimensions with --dim"
            )
        if name not in written:
            raise BoundError(f"the model has no tensor '{name}' to bound", nearest(name, written))


def bounded(
    name: str, bound: tuple[int, ...], partial: PartialType | None, types: Mapping[str, TensorType]
) -> TensorType:
    """The type that tensor `name` has at its bound; BoundError where it contradicts what is known of it."""
    known = types.get(name, partial)
    if known is None:
        raise BoundError(
            f"the element type of tensor '{name}' is unknown, so a bound does not size it",
            "declare its type in the file, or bound a tensor that it is made of",
        )
    element, shape = known
    if shape is not None and (len(shape) != len(bound) or not _fits(bound, shape)):
        raise BoundError(
            f"the bound {list(bound)} contradicts the shape {_words(shape)} of tensor '{name}'",
            f"--bound {name}={template(shape)}" if None in shape else "leave the bound out",
        )
    return element, bound


def template(shape: Iterable[int | None] | None) -> str:
    """A shape as --bound takes it, V where a size is to be chosen."""
    if shape is None:
        return "SHAPE"
    return ",".join("V" if size is None else str(size) for size in shape)


def _fits(bound: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return all(size is None or size == most for most, size in zip(bound, shape, strict=True))


def _words(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
