"""Boxes: the part of a tensor between two indices along each axis."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

Box = tuple[tuple[int, int], ...]
"""For each axis the elements `[first, stop)`, counted from 0."""


def whole(shape: Iterable[int]) -> Box:
    """The box of all elements of a tensor of this shape."""
    return tuple((0, size) for size in shape)


def is_box(box: Box, shape: Sequence[int]) -> bool:
    """Whether it is a box, of something of this shape."""
    return (
        len(box) == len(shape)
        and all(0 <= first <= stop for first, stop in box)
        and extents(box) == tuple(shape)
    )


def extents(box: Box) -> tuple[int, ...]:
    """The shape of what the box holds."""
    return tuple(stop - first for first, stop in box)


def volume(box: Box) -> int:
    """How many elements the box holds."""
    return prod(extents(box))


def hull(one: Box, other: Box) -> Box:
    """The smallest box that holds both, which have as many axes."""
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(one, other, strict=True))


def common(one: Box, other: Box) -> Box | None:
    """What lies in both; None where nothing does."""
    found = []
    for (a, b), (c, d) in zip(one, other, strict=True):  # plain, since derivations ask millions of times
        first, stop = a if a > c else c, b if b < d else d
        if first >= stop:
            return None
        found.append((first, stop))
    return tuple(found)


def contiguous(box: Box, frame: Box) -> bool:
    """Whether the box, which lies in `frame`, holds adjoining elements of a row-major tensor of that box."""
    inside = False
    for part, all_of_it in zip(box, frame, strict=True):
        if inside and part != all_of_it:
            return False
        inside = inside or part[1] - part[0] > 1
    return True


def first_element(box: Box, frame: Box) -> int:
    """Where the box begins in a row-major tensor that holds `frame`, in elements."""
    at = 0
    for (first, _), (begin, stop) in zip(box, frame, strict=True):
        at = at * (stop - begin) + first - begin
    return at


def box_text(box: Box, shape: Sequence[int]) -> str:
    """The box as numpy writes it, such as "[:,:,0:64]"; axes at the end that it holds whole are left out."""
    words = [
        ":" if part == (0, size) else f"{part[0]}:{part[1]}" for part, size in zip(box, shape, strict=True)
    ]
    while words and words[-1] == ":":
        words.pop()
    return f"[{','.join(words) or ':'}]"
