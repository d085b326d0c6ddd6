"""Largest sizes that a user gives for tensors whose real ones only a run decides."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
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
            advice({name: shape}, bound) if None in shape else "leave the bound out",
        )
    return element, bound


def advice(shapes: Mapping[str, tuple[int | None, ...] | None], like: tuple[int, ...] | None = None) -> str:
    """How to bound tensors of which this is known, in words that can be typed as they are, and which axes are
    the user's.

    The sizes to be chosen are examples: those of `like`, or as many elements as that has, or 100.
    """
    bounds, chosen = {}, []
    for name, shape in shapes.items():
        bounds[name] = _filled((None,) if shape is None else shape, like)
        if shape is None:
            chosen.append(f"each axis of '{name}', and how many it has")
        else:
            chosen += [f"axis {axis} of '{name}'" for axis, size in enumerate(shape) if size is None]
    words = (shlex.quote(f"{name}={','.join(map(str, shape))}") for name, shape in bounds.items())
    return (
        f"give the largest shape that it can have, such as {' '.join(f'--bound {word}' for word in words)} "
        f"(from Python bounds={bounds}); for you to choose: {', '.join(chosen)}"
    )


def _filled(shape: tuple[int | None, ...], like: tuple[int, ...] | None) -> tuple[int, ...]:
    """The shape with sizes of `like` on its free axes; where that has another rank, all its elements on the
    last of them.
    """
    examples = [100] * len(shape) if like is None else list(like)
    if len(shape) != len(examples):
        known = math.prod(size for size in shape if size is not None)
        rest = max(1, math.prod(examples) // max(1, known))
        last = max(axis for axis, size in enumerate(shape) if size is None)
        examples = [rest if axis == last else 1 for axis in range(len(shape))]
    return tuple(most if size is None else size for size, most in zip(shape, examples, strict=True))


def _fits(bound: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return all(size is None or size == most for most, size in zip(bound, shape, strict=True))


def _words(shape: tuple[int | None, ...]) -> str:
    return f"[{', '.join('?' if size is None else str(size) for size in shape)}]"
