"""Boxes for the rule of tiles, apart from those of the derivation: what is needed, and what of it lies where."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from memplan.ir.parts import Op, Tensor

Box = tuple[tuple[int, int], ...]


class Held(NamedTuple):
    """What a tensor of the derived graph holds of one of the original graph.

    Args:
        of: name of the original tensor.
        frame: the box of it that the tensor has room for.
        written: boxes that have their values already, no two of which share an element.
    """

    of: str
    frame: Box
    written: tuple[Box, ...]


def all_of(tensor: Tensor) -> Box:
    """The box of the whole tensor; of one of unknown shape that of a scalar."""
    return tuple((0, size) for size in tensor.shape or ())


def size(box: Box) -> int:
    """How many elements the box has."""
    return prod(max(stop - first, 0) for first, stop in box)


def shared(one: Box, other: Box) -> int:
    """How many elements are in both."""
    return prod(max(min(a[1], b[1]) - max(a[0], b[0]), 0) for a, b in zip(one, other, strict=True))


def both(one: Box, other: Box) -> Box:
    """What is in both, which share something."""
    return tuple((max(a[0], b[0]), min(a[1], b[1])) for a, b in zip(one, other, strict=True))


def read_by(op: Op, operand: int, tensor: Tensor, box: Box) -> Box:
    """What `box` of the op's results reads of this operand, from the first element that its first one reads to the last
    that its last one reads, as far as the operand goes."""
    ends = []
    for axis, length in enumerate(tensor.shape or ()):
        access = op.needs[operand][axis] if op.needs else None
        if access is None:
            ends.append((0, length))
            continue
        first, last = box[access.axis][0], box[access.axis][1] - 1
        begin = (access.stride * first - access.before) // access.factor
        end = (access.stride * last - access.before + access.extent) // access.factor
        ends.append((min(max(0, begin), length), max(0, min(length, end + 1))))
    return tuple(ends)


def adjoin(box: Box, frame: Box) -> bool:
    """Whether the box's elements are a run of those of a row-major tensor of the frame."""
    lengths = [stop - first for first, stop in box]
    longer = [axis for axis, length in enumerate(lengths) if length > 1]
    return all(box[axis] == frame[axis] for axis in range(longer[0] + 1, len(box))) if longer else True


def runs_before(box: Box, frame: Box) -> int:
    """How many elements of a row-major tensor of the frame lie before the box's first one."""
    sizes = [stop - first for first, stop in frame]
    return sum((box[k][0] - frame[k][0]) * prod(sizes[k + 1 :]) for k in range(len(box)))


def nbytes(tensor: Tensor, elements: int) -> int:
    """Bytes of so many elements of the tensor, rounded up, lying side by side."""
    lengths, strides = tensor.shape or (), tensor.strides
    span = (
        prod(lengths)
        if strides is None
        else 1 + sum((n - 1) * s for n, s in zip(lengths, strides, strict=True))
    )
    return (tensor.nbytes * elements + span - 1) // max(span, 1)
