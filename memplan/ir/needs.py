"""What of its operands a part of an op's results needs."""

from __future__ import annotations

from collections.abc import Mapping

from memplan.ir.boxes import Box
from memplan.ir.parts import Access, Op, Tensor


def needed(op: Op, operand: int, shape: tuple[int, ...], box: Box) -> Box:
    """The box of operand number `operand`, of this shape, that `box` of the op's results needs; without padding.

    It is empty along an axis where nothing but padding is needed, and the whole where nobody knows.
    """
    found = []
    for size, access in zip(shape, _accesses(op, operand, shape), strict=True):
        first, stop = (0, size) if access is None else access.span(*box[access.axis])
        found.append((min(max(first, 0), size), max(min(stop, size), 0)))
    return tuple(found)


def padding(op: Op, operand: int, shape: tuple[int, ...], box: Box) -> tuple[tuple[int, int], ...]:
    """For each axis of that operand, how many elements in front of it and behind it `box` needs: the padding of a tile."""
    found = []
    for size, access in zip(shape, _accesses(op, operand, shape), strict=True):
        first, stop = (0, size) if access is None else access.span(*box[access.axis])
        found.append((max(0, -first), max(0, stop - size)))
    return tuple(found)


def _accesses(op: Op, operand: int, shape: tuple[int, ...]) -> tuple[Access | None, ...]:
    return op.needs[operand] if op.needs else (None,) * len(shape)


def cut_axes(op: Op) -> frozenset[int]:
    """Axes of the op's results along which it can be cut into tiles: those that an operand's axis follows.

    None of an op that must not be executed again.
    """
    if op.once:
        return frozenset()
    return frozenset(access.axis for operand in op.needs for access in operand if access is not None)


def needs_fault(tensor: Mapping[str, Tensor], op: Op) -> str:
    """Why the op's `needs` do not fit its operands and results; empty where they do."""
    if len(op.needs) != len(op.inputs):
        return f"it reads {len(op.inputs)} tensors, {len(op.needs)} are described"
    shapes = [tensor[name].shape for name in op.results]
    if not shapes or None in shapes:
        return "the shape of a result is not known"
    for name, axes in zip(op.inputs, op.needs, strict=True):
        shape = tensor[name].shape
        if shape is None or len(axes) != len(shape):
            return f"'{name}' has the shape {shape}, {len(axes)} axes are described"
        for access in axes:
            if access is not None and (
                not 0 <= access.axis < len(shapes[0] or ()) or min(access.stride, access.factor) < 1
            ):
                return (
                    f"{access} of '{name}' names no axis of '{op.results[0]}', or a stride or factor below 1"
                )
    for axis in cut_axes(op):
        if any(len(shape or ()) <= axis or shape[axis] != shapes[0][axis] for shape in shapes):  # type: ignore[index]
            return f"its results differ in length along axis {axis}"
    return ""
