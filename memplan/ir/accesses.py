"""What is needed along the axes of one operand, in the cases that importers share."""

from __future__ import annotations

from collections.abc import Container

from memplan.ir.parts import Access

Shape = tuple[int, ...]

Axes = tuple[Access | None, ...]
"""What is needed along each axis of an operand: see `memplan.ir.parts.Needs`."""


def whole(shape: Shape | None) -> Axes:
    """All of an operand."""
    return (None,) * len(shape or ())


def same(shape: Shape | None, result: Shape, but: Container[int] = ()) -> Axes:
    """The elements of the same place, the operand being broadcast to the result; whole along axes of it in `but`."""
    shape = shape or ()
    ahead = len(result) - len(shape)
    return tuple(
        Access(k + ahead) if size == result[k + ahead] and k not in but else None
        for k, size in enumerate(shape)
    )


def along(shape: Shape | None, axis: int, size: int) -> Axes:
    """Of a vector that goes with one axis of the result its elements there; all of one that has another length."""
    return (Access(axis),) if shape == (size,) else whole(shape)


def kept_axes(shape: Shape, result: Shape) -> Axes:
    """Where only the shape changes: of each axis longer than 1 the one of the result that has as many elements before
    it and as many of its own."""
    where, before = {}, 1
    for axis, size in enumerate(result):
        if size > 1:
            where[before, size] = axis
        before *= size
    axes: list[Access | None] = []
    before = 1
    for size in shape:
        axes.append(Access(where[before, size]) if (before, size) in where else None)
        before *= size
    return tuple(axes)
